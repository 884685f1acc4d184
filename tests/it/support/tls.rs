//! `openssl` and the certificates that it makes.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use super::binary::Serving;

/// Connects to a server under that name, as a client that takes the file's certificate for its authority's.
pub fn connect(server: &Serving, ca: &Path, name: &str) -> StreamOwned<ClientConnection, TcpStream> {
    over(ca, name, TcpStream::connect(server.address()).unwrap())
}

/// The whole response to a request without a token, over TLS.
pub fn get(server: &Serving, ca: &Path, path: &str) -> String {
    let mut socket = connect(server, ca, "127.0.0.1");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    // Whether the end of TLS is told is another test's claim.
    drop(socket.read_to_end(&mut bytes));
    String::from_utf8(bytes).unwrap()
}

/// Returns whether a program is installed; prints one line if it is not.
pub fn has(program: &str) -> bool {
    let found = Command::new(program).arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_err() {
        eprintln!("skipped: {program} is not installed");
    }
    found.is_ok()
}

/// The extension of a server's certificate: without it webpki takes the certificate for an authority.
pub const LEAF: &str = "basicConstraints=critical,CA:FALSE";

/// Makes a self-signed certificate for 127.0.0.1, as `NAME.crt` and `NAME.key`.
pub fn certificate(folder: &Path, name: &str) {
    issue(folder, name, &format!("/CN={name}"), &["subjectAltName=IP:127.0.0.1", LEAF]);
}

/// Makes a self-signed certificate of that subject with these extensions, as `NAME.crt` and `NAME.key`.
pub fn issue(folder: &Path, name: &str, subject: &str, extensions: &[&str]) {
    let (key, cert) = (format!("{name}.key"), format!("{name}.crt"));
    let mut openssl = Command::new("openssl");
    openssl.current_dir(folder).args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]);
    openssl.args(["-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", &key, "-out", &cert, "-subj", subject]);
    openssl.args(extensions.iter().flat_map(|extension| ["-addext", extension]));
    let made = openssl.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Speaks TLS over a socket to a server at 127.0.0.1.
pub fn connected(
    folder: &Path,
    certificate: &str,
    socket: TcpStream,
) -> StreamOwned<ClientConnection, TcpStream> {
    over(&folder.join(certificate), "127.0.0.1", socket)
}

fn over(ca: &Path, name: &str, socket: TcpStream) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), socket)
}

/// Serves `v.redb` with `live.crt` and `live.key`, as `c.toml` says, so that they can be exchanged.
pub const SERVE_LIVE: &[&str] = &[
    "serve",
    "--data",
    "v.redb",
    "--passphrase-file",
    "pass",
    "--listen",
    "127.0.0.1:0",
    "--config",
    "c.toml",
];

/// Writes `c.toml`.
pub fn configure_live(folder: &Path) {
    fs::write(folder.join("c.toml"), "tls_cert = \"live.crt\"\ntls_key = \"live.key\"\n").unwrap();
}

/// Serves `v.redb` with the certificate `NAME.crt`, also under the name `vault.example.com`.
pub fn serve(folder: &Path, name: &str) -> Serving {
    let (cert, key) = (format!("{name}.crt"), format!("{name}.key"));
    let serve = ["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", "127.0.0.1:0"];
    let named = ["--tls-cert", &cert, "--tls-key", &key, "--host-names", "vault.example.com"];
    Serving::start(folder, &[&serve[..], &named].concat())
}
