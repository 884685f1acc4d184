//! `sealroom doctor`: a healthy vault is well, whatever is wrong is named, and nothing is changed by looking.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Output,
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    lab::kills::request,
    support::binary::{INIT, PASSPHRASE, Serving, sealroom, secret_file, stderr, vault},
};

const SERVE: &[&str] =
    &["serve", "--json", "--data", "v.redb", "--listen", "127.0.0.1:0", "--passphrase-file", "pass"];
const WITH_KEY: &[&str] = &["--passphrase-file", "pass"];

/// The names of all checks, in the order of the report.
const NAMES: [&str; 21] = [
    "file",
    "names",
    "space",
    "pages",
    "passphrase",
    "head",
    "rows",
    "credentials",
    "indexes",
    "state",
    "log",
    "replay",
    "clock",
    "backup",
    "recovery",
    "kdf",
    "owners",
    "tokens",
    "expiry",
    "urls",
    "scopes",
];

fn doctor(folder: &Path, more: &[&str]) -> (Output, Value) {
    let output = sealroom(folder, &[&["doctor", "v.redb", "--json"], more].concat());
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output, report)
}

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name} in {report}"))
}

fn status<'a>(report: &'a Value, name: &str) -> &'a str {
    check(report, name)["status"].as_str().unwrap()
}

/// A vault with a project, integrations with several revisions, a token and a member, and its owner's session.
fn lived_in(folder: &Path) -> Serving {
    let server = Serving::start(folder, SERVE);
    let password = fs::read_to_string(folder.join("owner")).unwrap();
    let call = |method: &str, path: &str, bearer: &str, body: &Value| {
        let (status, _, body) = request(server.address(), method, path, bearer, &body.to_string()).unwrap();
        assert!(status < 300, "{method} {path}: {status} {body}");
        body
    };
    let login = json!({ "email": "ada@example.com", "password": password });
    let session =
        call("POST", "/sfp/api/auth/login", "", &login)["access_token"].as_str().unwrap().to_owned();
    let owner = |method: &str, path: &str, body: Value| call(method, path, &session, &body);
    owner("POST", "/sfp/api/projects", json!({ "identifier": "acme/app" }));
    let new = json!({ "provider": "github", "authType": "pat", "credentials": { "token": "ghp_example" },
                      "projects": ["acme/app"] });
    let id = owner("POST", "/sfp/api/integrations", new)["id"].as_str().unwrap().to_owned();
    for _ in 0..7 {
        let next = json!({ "credentials": { "token": "ghp_example_2" } });
        owner("PUT", &format!("/sfp/api/integrations/{id}/credentials"), next);
    }
    owner("POST", "/sfp/api/users", json!({ "email": "bob@example.com", "role": "owner" }));
    owner("PUT", "/sfp/api/users/bob@example.com", json!({ "role": "member" }));
    owner("POST", "/sfp/api/users", json!({ "email": "eve@example.com", "role": "owner" }));
    owner(
        "POST",
        "/sfp/api/application-tokens",
        json!({ "name": "ci", "expiresIn": 30, "projects": ["acme/app"] }),
    );
    server
}

#[test]
fn a_healthy_vault_is_well_stopped_served_and_locked_and_no_byte_of_it_changes() {
    let folder = vault();
    let folder = folder.path();
    let mut server = lived_in(folder);

    let (served, report) = doctor(folder, &[]);
    assert!(served.status.success(), "{} {report}", stderr(&served));
    assert_eq!(status(&report, "pages"), "skipped", "its server has the file");
    for name in ["passphrase", "head", "rows", "credentials", "indexes", "state", "log", "replay"] {
        assert_eq!(status(&report, name), "ok", "{name}: {report}");
    }
    assert!(sealroom(folder, &["lock", "--data", "v.redb"]).status.success());
    let (locked, report) = doctor(folder, &[]);
    assert!(locked.status.success(), "{}", stderr(&locked));
    assert_eq!((status(&report, "rows"), status(&report, "log")), ("skipped", "ok"));
    assert!(server.stop());

    let before = fs::read(folder.join("v.redb")).unwrap();
    let listed = |folder: &Path| {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let beside = listed(folder);
    let (stopped, report) = doctor(folder, WITH_KEY);
    assert!(stopped.status.success(), "{} {report}", stderr(&stopped));
    let names: Vec<&str> =
        report["checks"].as_array().unwrap().iter().map(|check| check["name"].as_str().unwrap()).collect();
    assert_eq!(names, NAMES);
    let warns = ["backup", "kdf"];
    for name in NAMES {
        let expected = if warns.contains(&name) { "warning" } else { "ok" };
        assert_eq!(status(&report, name), expected, "{name}: {report}");
        let members: Vec<&String> = check(&report, name).as_object().unwrap().keys().collect();
        assert_eq!(members, ["detail", "message", "name", "status"]);
    }
    assert_eq!((&report["ok"], &report["file"]), (&json!(true), &json!("v.redb")));
    assert!(!String::from_utf8_lossy(&stopped.stdout).contains("ghp_example"));
    assert!(fs::read(folder.join("v.redb")).unwrap() == before, "no byte changes");
    assert_eq!(listed(folder), beside, "no file is left beside it");
}

#[test]
fn a_killed_servers_file_and_one_in_a_folder_that_takes_no_files_are_examined_as_they_are() {
    let folder = vault();
    let home = tempfile::tempdir().unwrap();
    let mut server = lived_in(folder.path());
    server.signal(Signal::KILL);
    server.child.wait().unwrap();
    let before = fs::read(folder.path().join("v.redb")).unwrap();
    let (killed, report) = doctor(folder.path(), WITH_KEY);
    assert!(killed.status.success(), "{} {report}", stderr(&killed));
    assert_eq!(status(&report, "replay"), "ok");
    assert!(fs::read(folder.path().join("v.redb")).unwrap() == before);

    // A backup on a read-only mount: neither the file nor its folder can be written.
    let backups = home.path().join("backups");
    fs::create_dir(&backups).unwrap();
    fs::copy(folder.path().join("v.redb"), backups.join("v.redb")).unwrap();
    secret_file(home.path(), "pass", PASSPHRASE, 0o600);
    fs::set_permissions(backups.join("v.redb"), fs::Permissions::from_mode(0o400)).unwrap();
    fs::set_permissions(&backups, fs::Permissions::from_mode(0o500)).unwrap();
    let examined = sealroom(home.path(), &["doctor", "backups/v.redb", "--passphrase-file", "pass"]);
    assert!(examined.status.success(), "{}", stderr(&examined));
    assert_eq!(fs::read_dir(&backups).unwrap().count(), 1);
    fs::set_permissions(&backups, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn the_exit_code_says_whether_anything_failed_and_with_strict_whether_anything_warns() {
    let folder = vault();
    let folder = folder.path();
    assert_eq!(doctor(folder, WITH_KEY).0.status.code(), Some(0), "warnings alone");
    let (strict, report) = doctor(folder, &[WITH_KEY, &["--strict"]].concat());
    assert_eq!((strict.status.code(), &report["ok"]), (Some(1), &json!(false)));
    assert!(stderr(&strict).contains("--strict"), "{}", stderr(&strict));

    secret_file(folder, "wrong", "another passphrase example\n", 0o600);
    let (wrong, report) = doctor(folder, &["--passphrase-file", "wrong"]);
    assert_eq!((wrong.status.code(), status(&report, "passphrase")), (Some(1), "failed"));
    assert_eq!((status(&report, "rows"), status(&report, "log")), ("skipped", "ok"), "the rest runs");
    let (without, report) = doctor(folder, &["--without-passphrase"]);
    assert_eq!((without.status.code(), status(&report, "passphrase")), (Some(0), "skipped"));

    let both = ["--without-passphrase", "--passphrase-file", "pass"];
    assert_eq!(doctor(folder, &both).0.status.code(), Some(2));
    let missing = sealroom(folder, &["doctor", "nothing.redb"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("nothing.redb does not exist"), "{}", stderr(&missing));

    let whole = fs::read(folder.join("v.redb")).unwrap();
    for damaged in [&whole[..whole.len() / 3], b"hello, world", b""] {
        fs::write(folder.join("v.redb"), damaged).unwrap();
        let (broken, report) = doctor(folder, WITH_KEY);
        assert_eq!((broken.status.code(), status(&report, "pages")), (Some(1), "failed"), "{report}");
        let names: Vec<&Value> =
            report["checks"].as_array().unwrap().iter().map(|check| &check["name"]).collect();
        assert_eq!(names, NAMES, "the report keeps its shape");
    }
}

#[test]
fn what_is_wrong_around_the_file_is_named() {
    let folder = vault();
    let folder = folder.path();
    fs::set_permissions(folder.join("v.redb"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::hard_link(folder.join("v.redb"), folder.join("second.redb")).unwrap();
    fs::write(folder.join(".v.redb.sealroom-new"), "").unwrap();
    symlink("v.redb", folder.join("link.redb")).unwrap();
    let examined = sealroom(folder, &["doctor", "link.redb", "--json", "--without-passphrase"]);
    let report: Value = serde_json::from_slice(&examined.stdout).unwrap();
    assert!(check(&report, "file")["message"].as_str().unwrap().contains("chmod 600"), "{report}");
    let names = check(&report, "names")["detail"].to_string();
    for said in ["symbolic link to v.redb", "2 names", "second.redb", ".v.redb.sealroom-new"] {
        assert!(names.contains(said), "{said}: {names}");
    }
}

#[test]
fn a_vault_without_a_second_owner_or_with_a_weak_passphrase_slot_is_told_so() {
    let folder = vault();
    let folder = folder.path();
    let (_, report) = doctor(folder, WITH_KEY);
    for (name, said) in [
        ("owners", "ada@example.com is the only enabled owner"),
        ("kdf", "weaker than the default"),
        ("backup", "no backup was ever made"),
    ] {
        assert_eq!(status(&report, name), "warning");
        assert!(check(&report, name)["message"].as_str().unwrap().contains(said), "{name}: {report}");
    }
    assert_eq!(status(&report, "recovery"), "ok");
    assert!(INIT.contains(&"--kdf-memory"));
}

/// The file was blamed for what was typed, and its operator told to keep it as evidence.
#[test]
fn a_wrong_secret_or_a_file_that_is_no_vault_is_never_called_damage() {
    let folder = vault();
    let folder = folder.path();
    secret_file(folder, "wrong", "another passphrase example\n", 0o600);
    let machine = format!("sealroom_machine_{}\n", "A".repeat(43));
    secret_file(folder, "machine", &machine, 0o600);
    fs::write(folder.join("text"), "hello, world").unwrap();
    fs::write(folder.join("nothing"), "").unwrap();
    let whole = fs::read(folder.join("v.redb")).unwrap();
    fs::write(folder.join("cut"), &whole[..whole.len() / 2]).unwrap();
    for (file, with, said) in [
        ("v.redb", "wrong", "v.redb: wrong passphrase"),
        ("v.redb", "machine", "v.redb: this machine key opens no slot"),
        ("text", "pass", "text: this is not a sealroom vault"),
        ("pass", "pass", "pass: this is not a sealroom vault"),
        ("nothing", "pass", "nothing: this is not a sealroom vault"),
        ("cut", "pass", "cut: the file is truncated"),
    ] {
        let examined = sealroom(folder, &["doctor", file, "--json", "--passphrase-file", with]);
        let told = stderr(&examined);
        assert_eq!(examined.status.code(), Some(1), "{file}: {told}");
        assert!(told.contains(said) && !told.contains("keep this file unchanged"), "{file}: {told}");
        let report: Value = serde_json::from_slice(&examined.stdout).unwrap();
        assert_eq!(status(&report, "log"), if file == "v.redb" { "ok" } else { "skipped" }, "{report}");
    }
    // With damage beside it, the damage is what counts.
    let mut damaged = whole.clone();
    let at = damaged.windows(10).position(|bytes| bytes == b"vault.init").unwrap();
    damaged[at] = b'x';
    fs::write(folder.join("v.redb"), damaged).unwrap();
    let (examined, _) = doctor(folder, &["--passphrase-file", "wrong"]);
    assert!(stderr(&examined).contains("keep this file unchanged"), "{}", stderr(&examined));
}
