//! `tls make`: what it makes, as `openssl`, `curl` and our own client verify it.

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown, symlink},
        process::CommandExt,
    },
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
    // A second server of the same authority: certificate and key were moved away.
    fs::rename(&crt, folder.join("first.crt")).unwrap();
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

/// It took a key without a certificate for what a killed run had left.
#[test]
fn no_key_that_it_did_not_make_is_ever_lost() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (tls, key) = (folder.join("tls"), folder.join("tls/tls.key"));
    let foreign = "a key of another authority's certificate\n";
    let make_name = ["--name", "vault.example"];
    fs::create_dir(&tls).unwrap();
    fs::set_permissions(&tls, Permissions::from_mode(0o700)).unwrap();
    fs::write(&key, foreign).unwrap();
    refused(folder, &make_name, "tls.key exists already");
    refused(folder, &make_name, "move tls/tls.key away");
    assert_eq!(fs::read_to_string(&key).unwrap(), foreign);
    assert_eq!(fs::read_dir(&tls).unwrap().count(), 1, "no authority, and no temporary file");
    // One that is empty, a link to a key elsewhere, and a link to none: a volume that is not mounted.
    fs::write(&key, "").unwrap();
    refused(folder, &make_name, "exists already");
    fs::remove_file(&key).unwrap();
    fs::write(folder.join("elsewhere.key"), foreign).unwrap();
    for target in ["../elsewhere.key", "../not-mounted.key"] {
        symlink(target, &key).unwrap();
        refused(folder, &make_name, "exists already");
        assert_eq!(fs::read_link(&key).unwrap(), Path::new(target));
        fs::remove_file(&key).unwrap();
    }
    assert_eq!(fs::read_to_string(folder.join("elsewhere.key")).unwrap(), foreign);
    // An authority's key without its certificate.
    fs::write(tls.join("ca.key"), foreign).unwrap();
    refused(folder, &make_name, "put the authority's certificate back");
    assert_eq!(fs::read_to_string(tls.join("ca.key")).unwrap(), foreign);
    fs::remove_file(tls.join("ca.key")).unwrap();
    made(folder, &make_name);
    // One that a run left which was killed before its certificate: the hint says so, and its removal is enough.
    fs::remove_file(tls.join("tls.crt")).unwrap();
    refused(folder, &make_name, "a killed `tls make`");
    fs::remove_file(&key).unwrap();
    made(folder, &make_name);
}

/// A renewal by root left `root:root 0600`: the service could neither reload its key nor start again.
#[test]
fn a_renewal_never_takes_a_key_from_its_service_or_shows_it_to_others() {
    const SERVICE: u32 = 65_534;
    if !rustix::process::getuid().is_root() {
        eprintln!("not run: it takes root to make files of another user");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    made(folder, &["--name", "vault.example"]);
    let at = |name: &str| folder.join("tls").join(name);
    let owned = |name: &str| {
        let found = fs::metadata(at(name)).unwrap();
        (found.uid(), found.gid(), found.mode() & 0o777)
    };
    let own = |name: &str, (user, group, mode): (u32, u32, u32)| {
        chown(at(name), Some(user), Some(group)).unwrap();
        fs::set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
    };
    for (key, certificate) in [
        ((0, SERVICE, 0o640), (0, 0, 0o644)),
        ((SERVICE, SERVICE, 0o600), (SERVICE, SERVICE, 0o600)),
        ((SERVICE, 0, 0o400), (0, SERVICE, 0o640)),
        ((0, SERVICE, 0o440), (0, SERVICE, 0o444)),
        ((0, 0, 0o600), (0, 0, 0o644)),
    ] {
        own("tls.key", key);
        own("tls.crt", certificate);
        let before = contents(folder);
        made(folder, &["--renew"]);
        assert_ne!(contents(folder)[3], before[3]);
        assert_eq!((owned("tls.key"), owned("tls.crt")), (key, certificate));
        assert_eq!((owned("ca.key"), owned("ca.pem")), ((0, 0, 0o600), (0, 0, 0o644)));
    }
    // Others no longer read or change what they could.
    own("tls.key", (0, SERVICE, 0o666));
    own("tls.crt", (0, 0, 0o666));
    made(folder, &["--renew"]);
    assert_eq!((owned("tls.key"), owned("tls.crt")), ((0, SERVICE, 0o640), (0, 0, 0o644)));
    // A user who cannot keep the owner is refused before a file is changed.
    let before = contents(folder);
    for name in ["ca.key", "ca.pem", "tls.crt", ""] {
        chown(at(name), Some(SERVICE), Some(SERVICE)).unwrap();
    }
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    let program = folder.join("sealroom");
    fs::copy(env!("CARGO_BIN_EXE_sealroom"), &program).unwrap();
    let mut renew = Command::new(program);
    renew.args(["tls", "make", "--renew", "--dir", "tls"]).current_dir(folder).env_clear();
    let renewed = renew.uid(SERVICE).gid(SERVICE).output().unwrap();
    assert_eq!(renewed.status.code(), Some(1), "{}", stderr(&renewed));
    assert!(stderr(&renewed).contains("cannot belong to uid 0 and gid 65534"), "{}", stderr(&renewed));
    assert_eq!(contents(folder), before);
    assert_eq!(fs::read_dir(at("")).unwrap().count(), FILES.len(), "no temporary file stays");
}

/// Another user's folder: its owner puts a key of its own there, and reads what root writes.
#[test]
fn no_authority_lies_where_another_user_can_replace_or_read_its_key() {
    const OTHER: u32 = 65_534;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    made(folder, &["--name", "vault.example"]);
    let (tls, key) = (folder.join("tls"), folder.join("tls/ca.key"));
    let before = contents(folder);
    for mode in [0o640, 0o660, 0o604, 0o601, 0o440] {
        fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
        refused(folder, &["--renew"], "chmod 600 tls/ca.key");
    }
    fs::set_permissions(&key, Permissions::from_mode(0o400)).unwrap();
    if rustix::process::getuid().is_root() {
        chown(&key, Some(OTHER), None).unwrap();
        refused(folder, &["--renew"], "belongs to uid 65534, who can replace it");
        chown(&key, Some(0), None).unwrap();
        chown(&tls, Some(OTHER), None).unwrap();
        refused(folder, &["--renew"], "belongs to uid 65534, who can replace the authority's key");
        fs::create_dir(folder.join("empty")).unwrap();
        chown(folder.join("empty"), Some(OTHER), None).unwrap();
        let first = sealroom(folder, &["tls", "make", "--name", "a.example", "--dir", "empty"]);
        assert!(stderr(&first).contains("run this as that user"), "{}", stderr(&first));
        assert_eq!(fs::read_dir(folder.join("empty")).unwrap().count(), 0);
        chown(&tls, Some(0), None).unwrap();
    }
    assert_eq!(contents(folder), before);
    made(folder, &["--renew"]);
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
