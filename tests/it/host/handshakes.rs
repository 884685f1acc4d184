//! TLS handshakes that fail: each cause has its own words and its own way out.
//!
//! The certificate that `openssl req -x509` makes is an authority's. A client refused it with a library's debug text,
//! and the hint to name it with `--ca-file`, which had been done.

use std::{fs, io::Read, net::TcpListener, path::Path, process::Stdio};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::support::{
    binary::{Serving, command, stderr, vault},
    tls::{LEAF, has, issue, serve},
};

/// The same certificate with other times of its validity: what comes before a signature is even looked at.
fn redated(folder: &Path, name: &str, from: &str, to: &str) {
    let pem = fs::read_to_string(folder.join("good.crt")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let mut der = STANDARD.decode(body).unwrap();
    // Two UTCTimes of 13 letters, one after the other.
    let is_time = |at: usize| der[at..].starts_with(&[0x17, 0x0d]);
    let at = (0..der.len() - 30).find(|at| is_time(*at) && is_time(at + 15)).unwrap();
    for (at, time) in [(at + 2, from), (at + 17, to)] {
        der[at..at + 13].copy_from_slice(time.as_bytes());
    }
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der));
    fs::write(folder.join(format!("{name}.crt")), pem).unwrap();
    fs::copy(folder.join("good.key"), folder.join(format!("{name}.key"))).unwrap();
}

/// Returns the message of a command about a server, checked for exit code 1, one error and one hint.
fn said(folder: &Path, url: &str, ca_file: Option<&str>) -> (String, String) {
    let mut status = command(folder, &["status"]);
    status.env("SFP_SERVER_URL", url).env("HOME", folder).env("SSL_CERT_FILE", folder.join("system.crt"));
    status.envs(ca_file.map(|file| ("SEALROOM_CA_FILE", file)));
    let output = status.stdin(Stdio::null()).output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    let [error, hint] = lines[..] else { panic!("two lines: {text}") };
    for word in ["Error", "Other", "CaUsed", "UnknownIssuer", "InvalidCert", "Context", "{", "os error"] {
        assert!(!text.contains(word), "a library's word: {text}");
    }
    (error.to_owned(), hint.to_owned())
}

#[test]
fn no_tls_failure_leads_in_a_circle_or_speaks_in_a_librarys_words() {
    if !has("openssl") {
        return;
    }
    let folder = vault();
    let folder = folder.path();
    let (names, leaf) = ("subjectAltName=DNS:localhost,IP:127.0.0.1", LEAF);
    issue(folder, "good", "/CN=good", &[names, leaf]);
    issue(folder, "usual", "/CN=usual", &[names]);
    issue(folder, "system", "/CN=system", &[leaf]);
    issue(folder, "other", "/CN=other", &["subjectAltName=DNS:vault.example.com,DNS:*.example.org", leaf]);
    issue(folder, "nameless", "/CN=nameless", &[leaf]);
    issue(folder, "client", "/CN=client", &[names, leaf, "extendedKeyUsage=clientAuth"]);
    issue(folder, "older", "/CN=good", &[names, leaf]);
    redated(folder, "expired", "200101000000Z", "210101000000Z");
    redated(folder, "early", "480101000000Z", "490101000000Z");
    for (name, ca_file, error, hint, warned) in [
        ("good", None, "an authority that this system does not trust", "--ca-file", ""),
        (
            "good",
            Some("system.crt"),
            "no authority in system.crt issued",
            "the issuing authority's certificate with --ca-file",
            "",
        ),
        ("good", Some("older.crt"), "trusted authority of that name did not sign", "reissued", ""),
        (
            "usual",
            Some("usual.crt"),
            "an authority's certificate (CA:TRUE) as its own",
            "CA:FALSE",
            "CA:TRUE",
        ),
        ("usual", None, "an authority's certificate (CA:TRUE) as its own", "CA:FALSE", "CA:TRUE"),
        (
            "other",
            Some("other.crt"),
            "only for vault.example.com, *.example.org",
            "a name that the certificate lists",
            "",
        ),
        ("nameless", Some("nameless.crt"), "without a server name", "subjectAltName=DNS:", ""),
        ("client", Some("client.crt"), "not meant for servers", "serverAuth", "extendedKeyUsage"),
        ("expired", Some("expired.crt"), "expired 2021-01-01T00:00:00", "renew it", "expired 2021-01-01"),
        (
            "early",
            Some("early.crt"),
            "not valid before 2048-01-01T00:00:00",
            "clock",
            "not valid before 2048-01-01",
        ),
    ] {
        let server = serve(folder, name);
        let (told, way_out) = said(folder, &server.url, ca_file);
        assert!(told.contains(error) && told.contains(&server.url), "{name}: {told}");
        assert!(way_out.contains(hint), "{name}: {way_out}");
        let log = fs::read_to_string(folder.join("server.log")).unwrap();
        let is_warned = log.contains(&format!("clients will refuse the certificate in {name}.crt"));
        assert_eq!(is_warned, !warned.is_empty(), "{name}: {log}");
        assert!(log.contains(warned), "{name}: {log}");
    }
}

#[test]
fn what_speaks_no_tls_and_what_speaks_nothing_else_are_told_apart() {
    if !has("openssl") {
        return;
    }
    let folder = vault();
    let folder = folder.path();
    let names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
    issue(folder, "good", "/CN=good", &[names, LEAF]);
    let with = serve(folder, "good");
    let (told, way_out) = said(folder, &with.url.replace("https", "http"), None);
    assert!(told.contains("does not answer in HTTP") && way_out.contains("https://"), "{told} {way_out}");
    drop(with);
    let without = Serving::start(
        folder,
        &["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", "127.0.0.1:0"],
    );
    let (told, way_out) = said(folder, &without.url.replace("http", "https"), Some("good.crt"));
    assert!(told.contains("does not speak TLS") && way_out.contains("http://"), "{told} {way_out}");
    // One that hangs up in the middle.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let hangs_up = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut hello = [0; 64];
        let _ = socket.read(&mut hello).unwrap();
    });
    let (told, way_out) = said(folder, &url, Some("good.crt"));
    assert!(told.contains("ended the connection in the TLS handshake"), "{told}");
    assert!(way_out.contains("host and port"), "{way_out}");
    hangs_up.join().unwrap();
}

#[test]
fn a_renewed_certificate_that_clients_will_refuse_is_warned_of_too() {
    if !has("openssl") {
        return;
    }
    let folder = vault();
    let folder = folder.path();
    let names = "subjectAltName=IP:127.0.0.1";
    issue(folder, "live", "/CN=live", &[names, LEAF]);
    let server = serve(folder, "live");
    let log = fs::read_to_string(folder.join("server.log")).unwrap();
    assert!(!log.contains("clients will refuse"), "{log}");
    issue(folder, "live", "/CN=live", &[names]);
    server.signal(rustix::process::Signal::HUP);
    let line = server.logged("clients will refuse the certificate in live.crt");
    assert!(line.contains("CA:TRUE") && line.contains("WARN"), "{line}");
    server.logged("certificate reloaded");
}
