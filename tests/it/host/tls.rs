//! TLS of the real binary, as `openssl` and `curl` see it, and what a SIGHUP and a SIGTERM leave alone.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::Signal;

use crate::support::{
    binary::{Serving, sealroom, secret_file, stderr, vault},
    tls::{SERVE_LIVE as SERVE, certificate, configure_live, connected, has},
};

fn serve(folder: &Path) -> Serving {
    configure_live(folder);
    for kind in ["crt", "key"] {
        fs::copy(folder.join(format!("one.{kind}")), folder.join(format!("live.{kind}"))).unwrap();
    }
    let server = Serving::start(folder, SERVE);
    assert!(server.url.starts_with("https://"), "{}", server.url);
    server
}

fn curl(folder: &Path, server: &Serving, args: &[&str]) -> (bool, String) {
    let url = format!("{}/health", server.url);
    let output = Command::new("curl")
        .current_dir(folder)
        .args(["-sS", "-m", "5"])
        .args(args)
        .arg(url)
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

fn s_client(folder: &Path, server: &Serving, version: &str, ca: &str) -> (bool, String) {
    let output = Command::new("openssl")
        .current_dir(folder)
        .args([
            "s_client",
            "-connect",
            server.address(),
            version,
            "-CAfile",
            ca,
            "-verify_return_error",
            "-brief",
        ])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text.into_owned())
}

/// A connection that stays open, by a client of the same library as the server.
struct KeepAlive(rustls::StreamOwned<rustls::ClientConnection, TcpStream>);

impl KeepAlive {
    fn open(folder: &Path, server: &Serving, ca: &str) -> Self {
        Self(connected(folder, ca, TcpStream::connect(server.address()).unwrap()))
    }

    fn ping(&mut self) -> String {
        self.0.write_all(b"GET /sfp/api/ping HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = vec![0; 4096];
        let mut length = 0;
        while !answer[..length].ends_with(b"pong") {
            let read = self.0.read(&mut answer[length..]).unwrap();
            assert!(read > 0, "the server closed");
            length += read;
        }
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }
}

#[test]
fn openssl_and_curl_speak_tls_1_2_and_1_3_with_it_and_nothing_older() {
    if !has("openssl") || !has("curl") {
        return;
    }
    let folder = vault();
    let folder = folder.path();
    certificate(folder, "one");
    let server = serve(folder);
    for version in ["1.2", "1.3"] {
        let exactly = [&*format!("--tlsv{version}"), "--tls-max", version, "--cacert", "one.crt"];
        let (done, body) = curl(folder, &server, &exactly);
        assert!(done && body.contains(r#""status":"healthy""#), "{version}: {body}");
        let (done, text) =
            s_client(folder, &server, &format!("-tls{}", version.replace('.', "_")), "one.crt");
        assert!(
            done && text.contains(&format!("TLSv{version}")) && text.contains("Verification: OK"),
            "{text}"
        );
    }
    assert!(!s_client(folder, &server, "-tls1_1", "one.crt").0, "TLS 1.1 is not spoken");
    assert!(!curl(folder, &server, &[]).0, "an unknown issuer is the client's to refuse");
    // Plain HTTP on the TLS port is no request and gets no answer of ours.
    let mut plain = TcpStream::connect(server.address()).unwrap();
    plain.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    drop(plain.read_to_end(&mut answer));
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1"));
    assert!(curl(folder, &server, &["--cacert", "one.crt"]).0, "and the server goes on");
}

#[test]
fn a_sighup_shows_a_new_certificate_and_drops_nobody_and_a_bad_one_is_refused_loudly() {
    if !has("openssl") || !has("curl") {
        return;
    }
    let folder = vault();
    let folder = folder.path();
    certificate(folder, "one");
    certificate(folder, "two");
    let mut server = serve(folder);
    let mut before = KeepAlive::open(folder, &server, "one.crt");
    assert!(before.ping().contains("pong"));
    for kind in ["crt", "key"] {
        fs::copy(folder.join(format!("two.{kind}")), folder.join(format!("live.{kind}"))).unwrap();
    }
    server.signal(Signal::HUP);
    server.logged("certificate reloaded");
    assert!(curl(folder, &server, &["--cacert", "two.crt"]).0);
    assert!(!curl(folder, &server, &["--cacert", "one.crt"]).0);
    assert!(before.ping().contains("pong"), "the old connection goes on");

    // Key of another certificate, then no certificate at all, then a key that others can read.
    fs::copy(folder.join("one.crt"), folder.join("live.crt")).unwrap();
    server.signal(Signal::HUP);
    server.logged("live.crt with live.key: certificate and key cannot be used together");
    fs::write(folder.join("live.crt"), "no certificate").unwrap();
    server.signal(Signal::HUP);
    let line = server.logged("there is no PEM certificate in it");
    assert!(line.contains("reload failed, certificate unchanged") && line.contains("hint"), "{line}");
    secret_file(folder, "live.key", "x", 0o644);
    server.signal(Signal::HUP);
    server.logged("chmod 600 live.key");
    assert!(curl(folder, &server, &["--cacert", "two.crt"]).0, "the second certificate stays");
    assert!(before.ping().contains("pong"));

    // At a start the same is an error.
    assert!(server.stop());
    let start = sealroom(folder, SERVE);
    assert_eq!(start.status.code(), Some(1));
    assert!(stderr(&start).contains("chmod 600 live.key"), "{}", stderr(&start));
}

#[test]
fn a_sighup_reads_limits_and_log_level_again_and_a_wrong_file_changes_nothing() {
    let folder = vault();
    let folder = folder.path();
    fs::write(folder.join("c.toml"), "").unwrap();
    let server = Serving::start(folder, SERVE);
    let login = |length: usize| {
        let mut socket = TcpStream::connect(server.address()).unwrap();
        let body = format!(r#"{{"email":"nobody@example.com","password":"{}"}}"#, "x".repeat(length));
        let head = "POST /sfp/api/auth/login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
        let kind = "Content-Type: application/json";
        write!(socket, "{head}{kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        drop(socket.read_to_string(&mut answer));
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!(login(2000), "401");
    fs::write(folder.join("c.toml"), "log_level = \"debug\"\n[limits]\nbody_bytes_max = 1024\n").unwrap();
    server.signal(Signal::HUP);
    server.logged("limits and log level reloaded");
    assert_eq!(login(2000), "413");
    fs::write(folder.join("c.toml"), "[limits]\nbody_bytes_mx = 5\n").unwrap();
    server.signal(Signal::HUP);
    server.logged("reload failed, settings unchanged");
    assert_eq!(login(2000), "413");
    let line = server.logged(r#""message":"answered""#);
    for field in ["timestamp", "request", "peer", "caller", "method", "route", "status", "micros", "bytes"] {
        assert!(line.contains(&format!("\"{field}\":")), "{field}: {line}");
    }
}

#[test]
fn the_log_names_who_was_refused() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["serve", "--dev", "--json", "--listen", "127.0.0.1:0", "--log-level", "info"];
    let server = Serving::start(folder.path(), &args);
    let said: serde_json::Value = serde_json::from_str(&server.said).unwrap();
    let mut socket = TcpStream::connect(server.address()).unwrap();
    let member = said["member_token"].as_str().unwrap();
    write!(
        socket,
        "GET /sfp/api/audit HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {member}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    let line = server.logged(r#""status":403"#);
    assert!(line.contains(r#""caller":"user:member@example.com""#), "{line}");
    assert!(!line.contains(member));
}

#[test]
fn a_sigterm_lets_what_is_under_way_finish() {
    let folder = vault();
    fs::write(folder.path().join("c.toml"), "").unwrap();
    let mut server = Serving::start(folder.path(), SERVE);
    let mut socket = TcpStream::connect(server.address()).unwrap();
    let body = r#"{"email":"nobody@example.com","password":"x"}"#;
    let (first, rest) = body.split_at(10);
    let head = "POST /sfp/api/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue";
    write!(socket, "{head}\r\nContent-Length: {}\r\n\r\n{first}", body.len()).unwrap();
    let mut invited = [0; 25];
    socket.read_exact(&mut invited).unwrap();
    assert!(invited.starts_with(b"HTTP/1.1 100"), "the request is under way");
    server.signal(Signal::TERM);
    // Nobody is let in any more, and the one inside still gets its answer.
    while TcpStream::connect(server.address()).is_ok() {
        std::thread::yield_now();
    }
    socket.write_all(rest.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(server.child.wait().unwrap().success());
}
