//! `tls make`: what it makes, as `openssl`, `curl` and our own client verify it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{
    binary::{Serving, command, sealroom, stderr, vault},
    tls::{get, has},
};

const FILES: [(&str, u32); 4] =
    [("ca.pem", 0o644), ("ca.key", 0o600), ("tls.crt", 0o644), ("tls.key", 0o600)];

fn make(folder: &Path, args: &[&str]) -> Output {
    sealroom(folder, &[&["tls", "make", "--json", "--dir", "tls"], args].concat())
}

fn made(folder: &Path, args: &[&str]) -> Value {
    let output = make(folder, args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(folder: &Path, args: &[&str], says: &str) {
    let output = make(folder, args);
    assert!(!output.status.success(), "{args:?}");
    let said: Value = serde_json::from_str(stderr(&output).lines().last().unwrap()).unwrap();
    let text = format!("{} / {}", said["error"], said["hint"]);
    assert!(text.contains(says), "{args:?}: {text}");
    assert!(!said["hint"].as_str().unwrap().is_empty());
}

fn contents(folder: &Path) -> Vec<Vec<u8>> {
    FILES.iter().map(|(name, _)| fs::read(folder.join("tls").join(name)).unwrap()).collect()
}

fn serve(folder: &Path) -> Serving {
    let serve = ["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", "127.0.0.1:0"];
    let serve = [&serve[..], &["--host-names", "vault.example"]].concat();
    Serving::start(folder, &[&serve[..], &["--tls-cert", "tls/tls.crt", "--tls-key", "tls/tls.key"]].concat())
}

fn openssl(folder: &Path, args: &[&str]) -> (bool, String) {
    let output = Command::new("openssl").current_dir(folder).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text.into_owned())
}

/// Asks for the health as that name, which leads to the server.
fn curl(folder: &Path, server: &Serving, name: &str) -> (bool, String) {
    let (_, port) = server.address().rsplit_once(':').unwrap();
    let mut curl = Command::new("curl");
    curl.current_dir(folder).args(["-sS", "-m", "5", "--cacert", "tls/ca.pem"]);
    curl.args(["--connect-to", &format!("::127.0.0.1:{port}"), &format!("https://{name}:{port}/health")]);
    let output = curl.output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn what_it_makes_is_what_openssl_curl_and_the_client_accept() {
    let folder = vault();
    let folder = folder.path();
    let names =
        ["--name", "vault.example", "--name", "127.0.0.1", "--name", "Vault.Example.", "--name", "::1"];
    let value = made(folder, &names);
    assert_eq!(value["names"], serde_json::json!(["vault.example", "127.0.0.1", "::1"]));
    for (name, mode) in FILES {
        let found = fs::metadata(folder.join("tls").join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{name}");
    }
    assert_eq!(fs::metadata(folder.join("tls")).unwrap().permissions().mode() & 0o777, 0o700);
    let server = serve(folder);
    server.logged(r#""message":"started""#);
    let health = ["health", "--server", &server.url, "--ca-file", "tls/ca.pem"];
    let healthy = sealroom(folder, &health);
    assert!(healthy.status.success(), "{}", stderr(&healthy));
    assert!(!sealroom(folder, &health[..3]).status.success(), "the system does not know the authority");
    if !has("openssl") || !has("curl") {
        return;
    }
    for purpose in ["sslserver", "any"] {
        let verify = ["verify", "-x509_strict", "-purpose", purpose, "-CAfile", "tls/ca.pem", "tls/tls.crt"];
        let (done, text) = openssl(folder, &verify);
        assert!(done, "{purpose}: {text}");
    }
    let (_, text) = openssl(folder, &["x509", "-in", "tls/tls.crt", "-noout", "-text"]);
    for part in [
        "CA:FALSE",
        "TLS Web Server Authentication",
        "Digital Signature",
        "DNS:vault.example",
        "IP Address:127.0.0.1",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (_, text) =
        openssl(folder, &["x509", "-in", "tls/ca.pem", "-noout", "-text", "-fingerprint", "-sha256"]);
    for part in [
        "CA:TRUE, pathlen:0",
        "Certificate Sign",
        "Name Constraints: critical",
        "DNS:vault.example",
        value["authorityFingerprint"].as_str().unwrap(),
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for name in ["vault.example", "127.0.0.1"] {
        let (done, said) = curl(folder, &server, name);
        assert!(done && said.contains("healthy"), "{name}: {said}");
    }
    assert!(!curl(folder, &server, "other.example").0);
}

/// A stolen key of an authority that vouches for everything would let its holder pose as any server to those clients.
#[test]
fn an_authority_vouches_for_no_other_name_and_for_no_address_beside_its_own() {
    let home = vault();
    for (own, others) in [
        (&["vault.example"][..], &["other.example", "192.0.2.7", "2001:db8::7", "localhost"][..]),
        (&["192.0.2.7"], &["192.0.2.8", "2001:db8::7", "vault.example", "127.0.0.1"]),
        (&["2001:db8::7", "localhost"], &["2001:db8::8", "192.0.2.7", "vault.example"]),
    ] {
        let folder = tempfile::tempdir_in(home.path()).unwrap();
        let folder = folder.path();
        let flags = |names: &[&str]| -> Vec<String> {
            names.iter().flat_map(|name| ["--name".to_owned(), (*name).to_owned()]).collect()
        };
        let own_flags = flags(own);
        made(folder, &own_flags.iter().map(String::as_str).collect::<Vec<_>>());
        let before = contents(folder);
        for other in others {
            refused(folder, &["--renew", "--name", own[0], "--name", other], "vouches for other names only");
            assert_eq!(contents(folder), before, "{other}");
        }
        if has("openssl") {
            let (done, text) =
                openssl(folder, &["verify", "-x509_strict", "-CAfile", "tls/ca.pem", "tls/tls.crt"]);
            assert!(done, "{own:?}: {text}");
        }
    }
}

#[test]
fn a_renewal_keeps_authority_and_names_and_a_running_server_shows_it() {
    let folder = vault();
    let folder = folder.path();
    let first = made(folder, &["--name", "127.0.0.1", "--name", "localhost", "--days", "20"]);
    let server = serve(folder);
    server.logged("expires in 20 days");
    let end = |value: &Value| value["expiresAt"].as_str().unwrap()[..10].to_owned();
    let before = contents(folder);
    let second = made(folder, &["--renew"]);
    let after = contents(folder);
    assert_eq!(before[..2], after[..2], "the authority stays");
    assert_ne!(before[2], after[2]);
    assert_ne!(before[3], after[3], "each certificate has a key of its own");
    assert_eq!(first["names"], second["names"]);
    assert_eq!((&second["authorityIsNew"], &first["authorityIsNew"]), (&false.into(), &true.into()));
    assert!(end(&second) > end(&first), "{second}");
    server.signal(Signal::HUP);
    server.logged("certificate reloaded");
    let health = ["health", "--server", &server.url, "--ca-file", "tls/ca.pem"];
    let healthy = sealroom(folder, &health);
    assert!(healthy.status.success(), "{}", stderr(&healthy));
    let text = get(&server, &folder.join("tls/ca.pem"), "/metrics");
    let name = "sealroom_tls_certificate_expiry_timestamp_seconds ";
    let shown = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{text}"));
    let day = jiff::Timestamp::from_second(shown.parse().unwrap()).unwrap().to_string();
    assert_eq!(day[..10], end(&second), "the metric is of the new one");
}

#[test]
fn nothing_that_exists_is_ever_overwritten_and_each_refusal_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (ca, key, crt) = (folder.join("tls/ca.pem"), folder.join("tls/ca.key"), folder.join("tls/tls.crt"));
    for (args, says) in [
        (&["--renew"][..], "does not exist"),
        (&["--name", "*.example"], "neither a DNS name nor an address"),
        (&["--name", "https://vault.example"], "neither a DNS name nor an address"),
        (&["--name", "vault.example:8443"], "neither a DNS name nor an address"),
        (&["--name", ""], "neither a DNS name nor an address"),
        (&["--name", "a", "--days", "0"], "1..=825"),
        (&["--name", "a", "--days", "826"], "1..=825"),
        (&[], "--name"),
    ] {
        refused(folder, args, says);
        assert!(!ca.exists() && !key.exists());
    }
    made(folder, &["--name", "vault.example"]);
    let before = contents(folder);
    refused(folder, &["--name", "vault.example"], "--renew");
    refused(folder, &["--name", "other.example"], "exists already");
    assert_eq!(contents(folder), before);
    // A second server of the same authority: the certificate was moved away.
    fs::rename(&crt, folder.join("first.crt")).unwrap();
    // Its key may be the only one there is.
    refused(folder, &["--name", "two.vault.example"], "move the key away");
    assert_eq!(fs::read(folder.join("tls/tls.key")).unwrap(), before[3]);
    fs::rename(folder.join("tls/tls.key"), folder.join("first.key")).unwrap();
    made(folder, &["--name", "two.vault.example"]);
    assert_eq!(contents(folder)[..2], before[..2]);
    let away = |path: &Path, says: &str| {
        let kept = path.with_extension("away");
        fs::rename(path, &kept).unwrap();
        refused(folder, &["--renew"], says);
        assert!(!path.exists());
        fs::rename(kept, path).unwrap();
    };
    away(&key, "put it back");
    away(&ca, "put the authority's certificate back");
    // The key of another authority, and one that others can read.
    let other = tempfile::tempdir().unwrap();
    made(other.path(), &["--name", "vault.example"]);
    fs::copy(other.path().join("tls/ca.key"), &key).unwrap();
    let leaf = fs::read(&crt).unwrap();
    refused(folder, &["--renew"], "do not belong together");
    fs::write(&key, "no key").unwrap();
    refused(folder, &["--renew"], "there is no PEM private key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    refused(folder, &["--renew"], "chmod 600");
    assert_eq!(fs::read(&crt).unwrap(), leaf);
    // Others could put an authority of theirs into such a folder.
    fs::set_permissions(folder.join("tls"), Permissions::from_mode(0o777)).unwrap();
    refused(folder, &["--renew"], "chmod go-w");
    let nested = sealroom(folder, &["tls", "make", "--name", "a", "--dir", "none/tls"]);
    assert!(stderr(&nested).contains("a folder that exists"), "{}", stderr(&nested));
}

/// `echo MYKEY > tls/tls.key` was gone after a first run, which ended well.
#[test]
fn a_key_that_is_there_is_never_taken_for_one_to_replace() {
    for kind in ["text", "empty", "link", "folder"] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::create_dir(folder.join("tls")).unwrap();
        let key = folder.join("tls/tls.key");
        match kind {
            "text" => fs::write(&key, "MYKEY").unwrap(),
            "empty" => fs::write(&key, "").unwrap(),
            "link" => std::os::unix::fs::symlink("nowhere", &key).unwrap(),
            _ => fs::create_dir(&key).unwrap(),
        }
        let looked = || fs::symlink_metadata(&key).map(|file| (file.file_type(), file.len())).unwrap();
        let before = looked();
        refused(folder, &["--name", "vault.example"], "move the key away");
        assert_eq!(looked(), before, "{kind}");
        assert_eq!(fs::read_dir(folder.join("tls")).unwrap().count(), 1, "{kind}: no authority either");
    }
}

/// Root renewed, and the service could not read its key any more.
#[test]
fn a_renewal_never_takes_key_or_certificate_away_from_the_service() {
    use std::os::unix::fs::{MetadataExt, chown};
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    made(folder, &["--name", "vault.example"]);
    let (key, crt) = (folder.join("tls/tls.key"), folder.join("tls/tls.crt"));
    let is_root = rustix::process::geteuid().is_root();
    let looked = |path: &Path| {
        let file = fs::metadata(path).unwrap();
        (file.uid(), file.gid(), file.mode() & 0o7777)
    };
    for (mode, owner, group) in
        [(0o640, 0, 65_534), (0o440, 0, 65_534), (0o600, 65_534, 65_534), (0o600, 0, 0)]
    {
        for path in [&key, &crt] {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
            if is_root {
                chown(path, Some(owner), Some(group)).unwrap();
            }
        }
        let (before, old) = ([looked(&key), looked(&crt)], contents(folder));
        made(folder, &["--renew"]);
        assert_eq!([looked(&key), looked(&crt)], before, "{mode:o}");
        assert_ne!(contents(folder)[2..], old[2..]);
        // A refused one leaves the pair that belongs together, and nothing beside it.
        let pair = contents(folder);
        refused(folder, &["--renew", "--name", "other.example"], "vouches for other names only");
        assert_eq!(contents(folder), pair);
        assert_eq!(fs::read_dir(folder.join("tls")).unwrap().count(), FILES.len());
    }
}

#[test]
fn a_throw_away_server_with_tls_prints_lines_that_work() {
    let folder = tempfile::tempdir().unwrap();
    let dev = ["serve", "--dev", "--tls", "--json", "--listen", "127.0.0.1:0"];
    let mut server = Serving::start(folder.path(), &dev);
    assert!(server.url.starts_with("https://"), "{}", server.said);
    let said: Value = serde_json::from_str(&server.said).unwrap();
    let ca = said["ca_file"].as_str().unwrap().to_owned();
    let healthy = sealroom(folder.path(), &["health", "--server", &server.url, "--ca-file", &ca]);
    assert!(healthy.status.success(), "{}", stderr(&healthy));
    assert!(server.stop());
    assert!(!Path::new(&ca).exists(), "it goes with the vault");
    let alone = command(folder.path(), &["serve", "--tls"]).output().unwrap();
    assert_eq!(alone.status.code(), Some(2), "--tls takes --dev");
    let socket = ["serve", "--dev", "--tls", "--listen", "unix:s.sock"];
    let refused = sealroom(folder.path(), &socket);
    assert!(stderr(&refused).contains("a unix socket cannot use TLS"), "{}", stderr(&refused));
}
