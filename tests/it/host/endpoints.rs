//! The ways to a server: TLS with a given authority, a unix socket; what TLS refuses, and a library's own use.

use std::{fs, path::Path, process::Stdio};

use sealroom::{
    client::{Client, CredentialFilter, Endpoint, Error, Expired, NewIntegration, Roots, Scope},
    domain::Secret,
};
use serde_json::Value;

use crate::support::{
    binary::{INIT, Serving, command, sealroom, secret_file, stderr},
    tls::{certificate, has},
};

/// A vault with its owner's password in `owner.password`.
fn vault() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    secret_file(folder.path(), "pass", crate::support::binary::PASSPHRASE, 0o600);
    let made = sealroom(folder.path(), INIT);
    let keys: Value = serde_json::from_slice(&made.stdout).unwrap();
    secret_file(folder.path(), "owner.password", keys["owner_password"].as_str().unwrap(), 0o600);
    folder
}

fn run(folder: &Path, args: &[&str]) -> std::process::Output {
    command(folder, args).env("HOME", folder).stdin(Stdio::null()).output().unwrap()
}

const LOGIN: [&str; 5] = ["login", "--email", "ada@example.com", "--password-file", "owner.password"];

#[test]
fn tls_needs_an_authority_that_is_trusted_and_a_name_that_fits() {
    if !has("openssl") {
        return;
    }
    let folder = vault();
    certificate(folder.path(), "one");
    certificate(folder.path(), "two");
    fs::set_permissions(folder.path().join("one.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    let serve = ["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", "127.0.0.1:0"];
    let tls = ["--tls-cert", "one.crt", "--tls-key", "one.key"];
    let server = Serving::start(folder.path(), &[&serve[..], &tls].concat());
    assert!(server.url.starts_with("https://"), "{}", server.url);
    let at = |url: &str, rest: &[&str]| run(folder.path(), &[&["status", "--server", url], rest].concat());
    assert!(at(&server.url, &["--ca-file", "one.crt"]).status.success());
    for (url, ca, hint) in [
        (server.url.clone(), Some("two.crt"), "--ca-file"),
        (server.url.replace("127.0.0.1", "localhost"), Some("one.crt"), "a name that the certificate lists"),
        (server.url.replace("https", "http"), None, "https://"),
    ] {
        let rest: Vec<&str> = ca.iter().flat_map(|ca| ["--ca-file", ca]).collect();
        let output = at(&url, &rest);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).lines().last().unwrap().contains(hint), "{url}: {}", stderr(&output));
    }
    // A login remembers the authority, so that the commands after it need no flag.
    let login = [&LOGIN[..], &["--server", &server.url, "--ca-file", "one.crt"]].concat();
    let logged_in = run(folder.path(), &login);
    assert!(logged_in.status.success(), "{}", stderr(&logged_in));
    let who = run(folder.path(), &["whoami", "--json"]);
    assert!(who.status.success(), "{}", stderr(&who));
}

#[test]
fn a_unix_socket_is_a_server_like_any_other() {
    let folder = vault();
    let serve = ["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", "unix:api.sock"];
    let _server = Serving::start(folder.path(), &serve);
    let login = run(folder.path(), &[&LOGIN[..], &["--server", "unix:api.sock"]].concat());
    assert!(login.status.success(), "{}", stderr(&login));
    assert!(run(folder.path(), &["user", "list"]).status.success());
    let locked = run(folder.path(), &["lock", "--data", "v.redb"]);
    assert!(locked.status.success());
    // A probe tells a locked server from one that is gone.
    let probe =
        |args: &[&str]| run(folder.path(), &[&["health", "--server", "unix:api.sock"], args].concat());
    assert_eq!(probe(&[]).status.code(), Some(1));
    assert_eq!(probe(&["--live"]).stdout, b"locked\n");
    // A login asks for nothing first: there is no e-mail for it here, and nobody to ask.
    for args in [&["user", "list"][..], &["status"], &["login", "--email", "ada@example.com"]] {
        let output = run(folder.path(), args);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("hint: on its host: sealroom unlock"), "{}", stderr(&output));
    }
}

#[tokio::test]
async fn another_program_uses_the_client_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let server = Serving::start(folder.path(), &["serve", "--dev", "--json", "--listen", "127.0.0.1:0"]);
    let said: Value = serde_json::from_str(&server.said).unwrap();
    let client = |token: &str| {
        let endpoint: Endpoint = server.url.parse().unwrap();
        let token = Secret::from(said[token].as_str().unwrap().to_owned());
        Client::new(endpoint, &Roots::System).unwrap().with_token(token)
    };
    let (owner, machine) = (client("owner_token"), client("application_token"));
    let credential = r#"{"token":"ghp_example", "n":1.50}"#;
    let new = NewIntegration {
        provider: "github".to_owned(),
        auth_type: "pat".to_owned(),
        credentials: Secret::from(credential.to_owned()),
        scope: Scope::Global,
        name: Some("library".to_owned()),
        expires_at: None,
        expired: Expired::Refused,
        config: None,
        is_canary: false,
    };
    let made = owner.create_integration(&new).await.unwrap();
    let read = machine.credentials(&CredentialFilter::default()).await.unwrap();
    assert!(read.receipt.as_ref().is_some_and(|receipt| receipt.contains(':')));
    let items = read.items().unwrap();
    assert_eq!(items[0].integration_id, made.id);
    assert_eq!(items[0].credentials.expose(), credential.as_bytes(), "byte for byte");
    let rotated = owner.rotate(made.id, Some(1), &new.credentials, None).await.unwrap();
    assert_eq!(rotated.revision, 2);
    match owner.rotate(made.id, Some(1), &new.credentials, None).await {
        Err(Error::Refused(refusal)) => {
            assert_eq!((refusal.status, &*refusal.code), (412, "revision_conflict"))
        }
        other => panic!("{:?}", other.map(|_| ())),
    }
    match machine.integrations(None, None).await {
        Err(error) => assert_eq!(error.code(), Some("forbidden")),
        Ok(_) => panic!("a machine lists integrations"),
    }
}
