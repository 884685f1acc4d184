//! Backups: of the running vault for a caller, and on the server's own schedule.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Output,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::{Value, json};

use crate::{
    lab::kills::request,
    support::binary::{Serving, command, ended, sealroom, secret_file, stderr, vault},
};

const SERVE: &[&str] =
    &["serve", "--json", "--data", "v.redb", "--listen", "127.0.0.1:0", "--passphrase-file", "pass"];

fn call(address: &str, method: &str, path: &str, bearer: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, _, body) = request(address, method, path, bearer, &body).unwrap();
    (status, body)
}

fn login(address: &str, folder: &Path) -> String {
    let password = fs::read_to_string(folder.join("owner")).unwrap();
    let body = json!({ "email": "ada@example.com", "password": password });
    let (status, body) = call(address, "POST", "/sfp/api/auth/login", "", &body);
    assert_eq!(status, 200);
    body["access_token"].as_str().unwrap().to_owned()
}

fn store(address: &str, bearer: &str, value: &str) -> bool {
    let body = json!({ "provider": "github", "authType": "pat", "isGlobal": true,
        "credentials": { "token": value } });
    call(address, "POST", "/sfp/api/integrations", bearer, &body).0 == 201
}

fn back_up(folder: &Path, server: &Serving, token: &str, to: &str) -> Output {
    secret_file(folder, "token", token, 0o600);
    let args = ["backup", to, "--json", "--server", &server.url, "--token-file", "token"];
    ended(command(folder, &args).env("HOME", folder).stdout(std::process::Stdio::piped()))
}

fn values(folder: &Path, file: &str) -> Vec<String> {
    let args: Vec<&str> = SERVE.iter().map(|word| if *word == "v.redb" { file } else { word }).collect();
    let mut server = Serving::start(folder, &args);
    let owner = login(server.address(), folder);
    let path = "/sfp/api/integrations/credentials";
    let (_, all) = call(server.address(), "GET", path, &owner, &Value::Null);
    assert!(server.stop());
    let text = |one: &Value| one["credentials"]["token"].as_str().unwrap().to_owned();
    all.as_array().unwrap().iter().map(text).collect()
}

#[test]
fn a_backup_under_load_has_all_that_was_answered_before_it_and_nothing_that_came_after_it() {
    let folder = vault();
    let folder = folder.path();
    let mut server = Serving::start(folder, SERVE);
    let owner = login(server.address(), folder);
    for n in 0..30 {
        assert!(store(server.address(), &owner, &format!("ghp_example_before_{n}")));
    }
    let (stop, address) = (AtomicBool::new(false), server.address());
    let (made, during) = thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) {
                assert!(store(address, &owner, &format!("ghp_example_during_{sent}")));
                sent += 1;
            }
            sent
        });
        let made = back_up(folder, &server, &owner, "copy.redb");
        stop.store(true, Ordering::Relaxed);
        (made, load.join().unwrap())
    });
    assert!(made.status.success(), "{}", stderr(&made));
    let said: Value = serde_json::from_slice(&made.stdout).unwrap();
    let copy = fs::metadata(folder.join("copy.redb")).unwrap();
    assert_eq!((said["bytes"].as_u64(), copy.permissions().mode() & 0o777), (Some(copy.len()), 0o600));
    assert!(store(server.address(), &owner, "ghp_example_after"));
    let (_, events) =
        call(server.address(), "GET", "/sfp/api/audit?action=backup.create", &owner, &Value::Null);
    assert_eq!(events.as_array().unwrap().len(), 1);
    assert!(server.stop());
    assert!(sealroom(folder, &["audit", "verify", "copy.redb"]).status.success());
    let copied = values(folder, "copy.redb");
    for n in 0..30 {
        assert!(copied.contains(&format!("ghp_example_before_{n}")), "{n}");
    }
    assert!(!copied.contains(&"ghp_example_after".to_owned()));
    // Changes of meanwhile are in it up to one moment.
    let count = copied.iter().filter(|value| value.contains("during")).count();
    assert!(count <= during);
    for n in 0..count {
        assert!(copied.contains(&format!("ghp_example_during_{n}")), "{n} of {count}");
    }
}

#[test]
fn a_backup_never_replaces_anything_and_nobody_gets_one_who_may_not() {
    let folder = vault();
    let folder = folder.path();
    let mut server = Serving::start(folder, SERVE);
    let owner = login(server.address(), folder);
    let token = |role: &str| {
        let body = json!({ "name": role, "role": role });
        let (_, made) = call(server.address(), "POST", "/sfp/api/application-tokens", &owner, &body);
        made["token"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
    };
    let (operator, application, auditor) = (token("operator"), token("application"), token("auditor"));
    fs::write(folder.join("mine"), "mine").unwrap();
    std::os::unix::fs::symlink("v.redb", folder.join("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.join("dangling")).unwrap();
    let refused = |token: &str, to: &str, said: &str| {
        let before: Vec<_> = names(folder);
        let refused = back_up(folder, &server, token, to);
        assert!(!refused.status.success() && stderr(&refused).contains(said), "{to}: {}", stderr(&refused));
        let after = names(folder);
        assert!(after.iter().all(|name| before.contains(name) || name == "token"), "{after:?}");
    };
    for to in ["v.redb", "mine", "link", "dangling", "."] {
        refused(&operator, to, "exists already");
    }
    refused(&operator, "copy.redb.lock", "cannot name a vault file");
    refused(&operator, "none/copy.redb", "No such file");
    for other in [&application, &auditor] {
        refused(other, "copy.redb", "requires role: owner");
        refused(other, "copy.redb", "sealroom token create NAME --role operator");
    }
    assert_eq!(fs::read(folder.join("mine")).unwrap(), b"mine");
    assert!(back_up(folder, &server, &operator, "copy.redb").status.success());
    assert!(sealroom(folder, &["lock", "--data", "v.redb"]).status.success());
    refused(&operator, "late.redb", "locked");
    assert!(server.stop());
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn the_server_makes_backups_by_itself_and_keeps_the_newest() {
    let folder = vault();
    let folder = folder.path();
    fs::create_dir(folder.join("kept")).unwrap();
    let schedule = ["--backup-folder", "kept", "--backup-every-secs", "1", "--backup-keep", "2"];
    let mut server = Serving::start(folder, &[SERVE, &schedule].concat());
    let owner = login(server.address(), folder);
    let made = || {
        let path = "/sfp/api/audit?action=backup.create&outcome=allowed";
        call(server.address(), "GET", path, &owner, &Value::Null).1.as_array().unwrap().len()
    };
    let waited = (0..600).find(|_| {
        thread::sleep(std::time::Duration::from_millis(100));
        made() >= 4
    });
    assert!(waited.is_some(), "four backups");
    assert!(!server.health().contains("backup_failed"));
    let page = request(server.address(), "GET", "/metrics", "", "");
    assert!(page.is_some());
    assert!(server.stop());
    let files: Vec<String> = names(&folder.join("kept"))
        .into_iter()
        .filter(|name| name.ends_with(".redb") && !name.starts_with('.'))
        .collect();
    assert!((2..=3).contains(&files.len()), "{files:?}");
    for file in files {
        let path = folder.join("kept").join(&file);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(sealroom(folder, &["audit", "verify", &format!("kept/{file}")]).status.success());
    }
}

#[test]
fn a_scheduled_backup_that_fails_is_loud_and_the_next_one_heals_it() {
    let folder = vault();
    let folder = folder.path();
    let schedule = ["--backup-folder", "missing", "--backup-every-secs", "1"];
    let mut server = Serving::start(folder, &[SERVE, &schedule].concat());
    server.logged("the backup failed");
    assert!(server.health().contains("backup_failed"));
    fs::create_dir(folder.join("missing")).unwrap();
    server.logged("backup written and verified");
    let healed = (0..100).any(|_| {
        thread::sleep(std::time::Duration::from_millis(20));
        !server.health().contains("backup_failed")
    });
    assert!(healed, "{}", server.health());
    assert!(server.stop());
}
