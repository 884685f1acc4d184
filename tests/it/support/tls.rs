//! `openssl` and the certificates that it makes.

use std::{
    path::Path,
    process::{Command, Stdio},
};

/// Returns whether a program is installed; prints one line if it is not.
pub fn has(program: &str) -> bool {
    let found = Command::new(program).arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_err() {
        eprintln!("skipped: {program} is not installed");
    }
    found.is_ok()
}

/// Makes a self-signed certificate for 127.0.0.1, as `NAME.crt` and `NAME.key`.
pub fn certificate(folder: &Path, name: &str) {
    let (key, cert, subject) = (format!("{name}.key"), format!("{name}.crt"), format!("/CN={name}"));
    let made = Command::new("openssl")
        .current_dir(folder)
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-keyout", &key, "-out", &cert, "-subj", &subject, "-addext", "subjectAltName=IP:127.0.0.1"])
        // As an authority issues them; without it webpki takes it for an authority.
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
