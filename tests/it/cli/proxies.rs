//! The commands behind a company's proxy.

use std::{
    fs, io,
    net::TcpListener,
    path::Path,
    process::{Output, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use sealroom::auth::token::application;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use crate::support::{
    binary::{Serving, command, stderr, vault},
    fake::{Fake, Reply},
    ports::free_port,
    tls::{LEAF, certificate, has, issue, serve},
};

const LIST: &[&str] = &["project", "list"];
/// `ada:ex@mple`, as Basic has it.
const BASIC: &str = "proxy-authorization: Basic YWRhOmV4QG1wbGU=";

/// A proxy that tunnels to one server, whatever it is asked for, and remembers what it was asked.
struct Tunnel {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Tunnel {
    /// With a certificate it speaks TLS itself.
    fn to(server: &str, tls: Option<rustls::ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (server, record) = (server.to_owned(), Arc::clone(&heads));
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        listener.set_nonblocking(true).unwrap();
        let serving = async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((client, _)) = listener.accept().await {
                let (server, record, tls) = (server.clone(), Arc::clone(&record), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => tunnel(client, &server, &record).await,
                        Some(tls) => tunnel(tls.accept(client).await?, &server, &record).await,
                    }
                });
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        thread::spawn(move || runtime.block_on(serving));
        Self { url, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn tunnel<S>(mut client: S, server: &str, record: &Mutex<Vec<String>>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    record.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
    let mut server = tokio::net::TcpStream::connect(server).await?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// A token of the right form, that no server knows.
fn token() -> String {
    String::from_utf8(application().unwrap().text.expose().to_vec()).unwrap()
}

fn run(folder: &Path, url: &str, args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = command(folder, args);
    command.env("SFP_SERVER_URL", url).env("SFP_SERVER_TOKEN", token()).env("HOME", folder);
    command.envs(environment.iter().copied()).stdin(Stdio::null()).output().unwrap()
}

fn refused(output: &Output, error: &[&str], hint: &str) {
    let said = stderr(output);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let [told, way_out] = lines[..] else { panic!("two lines: {said}") };
    assert!(error.iter().all(|word| told.contains(word)) && way_out.contains(hint), "{said}");
    assert!(!said.contains("mple@") && !said.contains("ex%40mple") && !said.contains("sfp_app"), "{said}");
}

/// A server of that name, whose certificate is `vault.crt`, and the token of an application.
fn named(folder: &Path) -> Serving {
    issue(folder, "vault", "/CN=vault", &["subjectAltName=DNS:vault.example.com", LEAF]);
    serve(folder, "vault")
}

#[test]
fn a_server_behind_a_proxy_is_reached_and_the_proxy_sees_no_token() {
    if !has("openssl") {
        return;
    }
    let folder = vault();
    let folder = folder.path();
    let server = named(folder);
    let proxy = Tunnel::to(server.address(), None);
    let url = "https://vault.example.com:8443";
    let with = proxy.url.replace("http://", "http://ada:ex%40mple@");
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let output = run(folder, url, LIST, &[(variable, &with), ("SEALROOM_CA_FILE", "vault.crt")]);
        // It is reached: it is the server that does not know this token.
        assert!(stderr(&output).contains("does not accept this token"), "{variable}: {}", stderr(&output));
    }
    let heads = proxy.heads();
    assert!(heads.len() >= 4, "{heads:?}");
    for head in heads {
        assert!(head.starts_with("CONNECT vault.example.com:8443 HTTP/1.1\r\n"), "{head}");
        assert!(head.to_lowercase().contains("\r\nhost: vault.example.com:8443\r\n"), "{head}");
        assert!(head.to_lowercase().contains(&BASIC.to_lowercase()), "{head}");
        assert!(!head.contains("sfp_app"), "{head}");
    }
    // The proxy cannot be the server: the certificate is asked for at the end of the tunnel.
    let output = run(
        folder,
        "https://other.example.com",
        LIST,
        &[("HTTPS_PROXY", &with), ("SEALROOM_CA_FILE", "vault.crt")],
    );
    refused(&output, &["https://other.example.com", "only for vault.example.com"], "certificate");
}

#[test]
fn a_proxy_that_speaks_tls_itself_is_spoken_to_so_and_trusted_like_any_server() {
    if !has("openssl") {
        return;
    }
    let folder = vault();
    let folder = folder.path();
    let server = named(folder);
    certificate(folder, "proxy");
    let chain = vec![CertificateDer::from_pem_file(folder.join("proxy.crt")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(folder.join("proxy.key")).unwrap();
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(ring).with_safe_default_protocol_versions();
    let config = config.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let proxy = Tunnel::to(server.address(), Some(config));
    let (url, with) = ("https://vault.example.com", proxy.url.replace("https://", "https://ada:ex%40mple@"));
    let of_server = ("SEALROOM_CA_FILE", "vault.crt");
    // The system's authorities count for the proxy, beside those of the server.
    let reached = [("HTTPS_PROXY", &*with), of_server, ("SSL_CERT_FILE", "proxy.crt")];
    let output = run(folder, url, LIST, &reached);
    assert!(stderr(&output).contains("does not accept this token"), "{}", stderr(&output));
    assert!(proxy.heads()[0].to_lowercase().contains(&BASIC.to_lowercase()), "{:?}", proxy.heads());
    let strange = [("HTTPS_PROXY", &*with), of_server, ("SSL_CERT_FILE", "vault.crt")];
    let output = run(folder, url, LIST, &strange);
    refused(
        &output,
        &["the proxy", &proxy.url, "(HTTPS_PROXY)", "no authority in vault.crt issued"],
        "--no-proxy",
    );
    assert_eq!(proxy.heads().len(), 1, "it was told nothing");
}

/// This host by a name that is not its own, and a port that refuses at once.
fn nowhere(scheme: &str) -> String {
    let port = free_port();
    format!("{scheme}://0.0.0.0:{port}")
}

#[test]
fn no_proxy_is_taken_where_the_user_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("c.toml"), "[client]\nno_proxy = true\n").unwrap();
    let url = &nowhere("https");
    let fake = Fake::start(|_, _| Reply::json(200, "[]"));
    let proxy = ("HTTPS_PROXY", fake.url.as_str());
    let system = ("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt");
    for (args, more) in [
        (&["--no-proxy"][..], ("X", "")),
        (&["--no-proxy=true"], ("X", "")),
        (&[], ("SEALROOM_NO_PROXY", "true")),
        (&["--config", "c.toml"], ("X", "")),
        (&[], ("NO_PROXY", "example.com,0.0.0.0/8")),
        (&[], ("no_proxy", "*")),
    ] {
        let output = run(folder, url, &[LIST, args].concat(), &[proxy, system, more]);
        let said = stderr(&output);
        assert!(!output.status.success() && !said.contains("proxy http"), "{args:?} {more:?}: {said}");
        assert!(fake.asked().is_empty(), "{args:?} {more:?}: {:?}", fake.asked());
    }
    let output =
        run(folder, url, &[LIST, &["--no-proxy=false", "--config", "c.toml"]].concat(), &[proxy, system]);
    assert!(!output.status.success() && !fake.asked().is_empty(), "a flag wins over the file");
}

#[test]
fn a_failing_proxy_is_named_with_its_variable_and_never_with_its_password() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let system = ("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt");
    if fs::metadata(system.1).is_err() {
        return eprintln!("skipped: this system has no roots");
    }
    let url = "https://vault.example.com";
    let answering = |status| Fake::start(move |_, _| Reply::json(status, "<html>no</html>"));
    let with = |fake: &Fake| fake.url.replace("http://", "http://ada:ex%40mple@");
    for (status, error, hint) in [
        (407, "requires a valid user name and password", "in HTTPS_PROXY"),
        (403, "refused to connect to the server (status 403)", "--no-proxy"),
        (502, "refused to connect to the server (status 502)", "--no-proxy"),
    ] {
        let fake = answering(status);
        let output = run(folder, url, LIST, &[("HTTPS_PROXY", &with(&fake)), system]);
        refused(&output, &[&fake.url, "(HTTPS_PROXY)", error], hint);
        assert_eq!(fake.asked(), ["CONNECT vault.example.com:443"]);
    }
    let closed = format!("127.0.0.1:{}", free_port());
    let dead = format!("http://ada:ex%40mple@{closed}");
    let output = run(folder, url, LIST, &[("all_proxy", &dead), system]);
    refused(&output, &[&closed, "(all_proxy)", "does not answer"], "check all_proxy");
    let hangs_up = Fake::start(|_, _| Reply::Hangup);
    let output = run(folder, url, LIST, &[("HTTPS_PROXY", &with(&hangs_up)), system]);
    refused(&output, &["(HTTPS_PROXY)", "like a proxy"], "check HTTPS_PROXY");
    for unusable in ["socks5://ada:ex%40mple@127.0.0.1:1", "http://ada:ex%40mple@", "ftp://ada:ex%40mple@x"] {
        let output = run(folder, url, LIST, &[("HTTPS_PROXY", unusable), system]);
        refused(
            &output,
            &["HTTPS_PROXY names a proxy that cannot be used"],
            "http://USER:PASSWORD@HOST:PORT",
        );
    }
}

#[test]
fn a_credential_never_reaches_a_proxy_in_the_clear_unless_that_was_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let proxy = Fake::start(|_, _| Reply::json(200, "[]"));
    let with = proxy.url.replace("http://", "http://ada:ex%40mple@");
    let all = [("http_proxy", &*with), ("ALL_PROXY", &*with), ("HTTP_PROXY", &*with)];
    let output = run(folder, "http://vault.example.com", LIST, &all);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("--insecure-http") && proxy.asked().is_empty());
    // Accepted: the request goes out in the absolute form.
    let accepted = [LIST, &["--insecure-http"]].concat();
    let output = run(folder, "http://vault.example.com", &accepted, &all);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(proxy.asked(), ["GET http://vault.example.com/sfp/api/projects"]);
    // This host's own server is asked straight, and HTTP_PROXY in capitals is a stranger's header in a CGI script.
    let own = Fake::start(|_, _| Reply::json(200, "[]"));
    assert!(run(folder, &own.url, LIST, &all).status.success());
    assert_eq!((own.asked().len(), proxy.asked().len()), (1, 1));
    let alone = [("HTTP_PROXY", &*with)];
    let output = run(folder, &nowhere("http"), &accepted, &alone);
    assert!(!output.status.success() && proxy.asked().len() == 1, "{}", stderr(&output));
    let wants = Fake::start(|_, _| Reply::json(407, "<html>no</html>"));
    let output = run(folder, "http://vault.example.com", &accepted, &[("http_proxy", &wants.url)]);
    refused(&output, &[&wants.url, "(http_proxy)", "requires a valid user name"], "in http_proxy");
    let broken = Fake::start(|_, _| Reply::json(502, "<html>no</html>"));
    let output = run(folder, "http://vault.example.com", &accepted, &[("http_proxy", &broken.url)]);
    refused(&output, &["through the proxy", &broken.url, "status 502"], "URL");
}
