//! The words of a rollback lock: each command names the only way on, and an accepted copy raises no alarm.

use std::{fs, path::Path};

use serde_json::Value;

use super::rollback::{args, login, rolled_back};
use crate::{
    lab::kills::request,
    support::{
        binary::{Serving, TOKEN, sealroom, secret_file, stderr},
        log::SERVE,
    },
};

/// `serve` with the checkpoint folder, and no passphrase.
fn locked_args() -> Vec<&'static str> {
    vec![
        "serve",
        "--data",
        "v.redb",
        "--listen",
        "127.0.0.1:0",
        "--checkpoint-folder",
        "kept",
        "--checkpoint-every-secs",
        "1",
    ]
}

fn server_log(folder: &Path) -> String {
    fs::read_to_string(folder.join("server.log")).unwrap()
}

/// An unlock was the advice of five commands, and opened nothing.
#[tokio::test]
async fn no_word_about_a_rolled_back_file_sends_its_operator_to_an_unlock() {
    let (home, _) = rolled_back().await;
    let folder = home.path();
    for start in [args(), locked_args()] {
        let mut server = Serving::start(folder, &start);
        server.logged("the vault file was restored from an older copy");
        assert!(server.health().contains(r#""detail":["rolled_back""#), "{}", server.health());
        let at = ["--server", &server.url];
        let login = ["login", "--email", "ada@example.com", "--password-file", "owner"];
        for command in [&["status"][..], &["health"], &login] {
            let refused = sealroom(folder, &[command, &at].concat());
            let said = String::from_utf8(refused.stdout.clone()).unwrap() + &stderr(&refused);
            assert_eq!(refused.status.code(), Some(1), "{command:?}: {said}");
            assert!(said.contains("its file is an older copy"), "{command:?}: {said}");
            assert!(said.contains("--accept-rollback"), "{command:?}: {said}");
            assert!(!said.contains("sealroom unlock --data"), "{command:?}: {said}");
        }
        // A client that asks for anything else gets the refusal alone.
        secret_file(folder, "bearer", TOKEN, 0o600);
        let with = [&at[..], &["--token-file", "bearer"]].concat();
        let commands = [
            &["user", "list"][..],
            &["credentials", "--all"],
            &["backup", "late.redb"],
            &["audit", "list"],
            &["token", "list", "--json"],
        ];
        for command in commands {
            let refused = sealroom(folder, &[command, &with].concat());
            let said = stderr(&refused);
            assert_eq!(refused.status.code(), Some(1), "{command:?}: {said}");
            assert!(said.contains("its file is an older copy"), "{command:?}: {said}");
            assert!(said.contains("--accept-rollback"), "{command:?}: {said}");
            assert!(!said.contains("sealroom unlock --data"), "{command:?}: {said}");
        }
        for (method, path) in [("GET", "/users"), ("POST", "/auth/login"), ("POST", "/backup")] {
            let path = format!("/sfp/api{path}");
            let (status, _, body) = request(server.address(), method, &path, "", "{}").unwrap();
            assert_eq!((status, body["code"].as_str()), (503, Some("locked")), "{body}");
            let message = body["message"].as_str().unwrap();
            assert!(message.contains("an older copy") && message.contains("--accept-rollback"), "{message}");
            assert!(!message.contains("sealroom unlock"), "{message}");
        }
        let unlock = ["unlock", "--data", "v.redb", "--passphrase-file", "pass"];
        let said = stderr(&sealroom(folder, &unlock));
        assert!(said.contains("--accept-rollback"), "{said}");
        assert!(server.stop());
        let log = server_log(folder);
        assert!(log.contains("start with --accept-rollback"), "{start:?}: {log}");
        assert!(!log.contains("run `sealroom unlock"), "{start:?}: {log}");
    }
}

/// The folder was settled only where the server had its passphrase from the start: after an `unlock` the next checkpoint
/// took the accepted history for a stranger's.
#[tokio::test]
async fn an_accepted_copy_is_served_without_an_alarm_however_it_is_unlocked() {
    for is_given in [true, false] {
        let (home, _) = rolled_back().await;
        let folder = home.path();
        fs::create_dir(folder.join("archives")).unwrap();
        let accept = ["--accept-rollback", "--archive-folder", "archives", "--archive-keep-days", "1"];
        let start = if is_given { args() } else { locked_args() };
        let mut server = Serving::start(folder, &[&start[..], &accept].concat());
        if !is_given {
            assert!(!server.health().contains("rolled_back"), "{}", server.health());
            let unlock = ["unlock", "--data", "v.redb", "--passphrase-file", "pass"];
            assert!(sealroom(folder, &unlock).status.success());
        }
        assert_eq!(login(&server, folder).0, 200);
        assert!(server.health().contains(r#""status":"healthy""#), "{}", server.health());
        assert!(!server.health().contains("detail"), "{}", server.health());
        let lock = ["lock", "--data", "v.redb"];
        let unlock = ["unlock", "--data", "v.redb", "--passphrase-file", "pass"];
        assert!(sealroom(folder, &lock).status.success() && sealroom(folder, &unlock).status.success());
        assert_eq!(login(&server, folder).0, 200, "it is accepted once");
        assert!(server.stop());
        let log = server_log(folder);
        assert!(log.contains("an older copy of the file was accepted"), "{log}");
        assert!(!log.contains("ERROR") && !log.contains("the archive failed"), "given: {is_given}: {log}");
        let mut later = Serving::start(folder, &args());
        assert_eq!(login(&later, folder).0, 200, "the folder is settled");
        assert!(later.stop());
    }
}

/// Runs `doctor`; returns its exit code, the check of the folder and what it said.
fn doctor(folder: &Path, file: &str, more: &[&str]) -> (Option<i32>, Value, String) {
    let examined = sealroom(folder, &[&["doctor", file, "--json", "--without-passphrase"], more].concat());
    let report: Value = serde_json::from_slice(&examined.stdout).unwrap_or_default();
    let checks = report["checks"].as_array().cloned().unwrap_or_default();
    let check = checks.into_iter().find(|check| check["name"] == "checkpoint").unwrap_or_default();
    (examined.status.code(), check, stderr(&examined))
}

#[tokio::test]
async fn doctor_passes_no_older_copy_where_the_folder_knows_better() {
    let (home, _) = rolled_back().await;
    let folder = home.path();
    secret_file(folder, "s.toml", "[checkpoint]\nfolder = \"kept\"\n", 0o600);
    let kept = &["--checkpoint-folder", "kept"][..];
    let fails = |what: &str, (code, check, said): (Option<i32>, Value, String)| {
        assert_eq!((code, check["status"].as_str()), (Some(1), Some("failed")), "{what}: {check} {said}");
        assert!(said.contains("was restored from an older copy"), "{what}: {said}");
        assert!(said.contains("--accept-rollback") && !said.contains("keep this file unchanged"), "{said}");
    };
    fails("by its flag", doctor(folder, "v.redb", kept));
    fails("by the config file", doctor(folder, "v.redb", &["--config", "s.toml"]));
    // Its server knows its own folder.
    for start in [args(), locked_args()] {
        let mut server = Serving::start(folder, &start);
        fails("served", doctor(folder, "v.redb", &[]));
        assert!(server.stop());
    }
    // It grew elsewhere: more records than the folder knows, and others.
    for _ in 0..3 {
        assert!(Serving::start(folder, SERVE).stop());
    }
    fails("grown elsewhere", doctor(folder, "v.redb", kept));
    let (code, check, _) = doctor(folder, "v.redb", &[]);
    assert_eq!((code, &check), (Some(0), &Value::Null), "without a folder nobody can know");

    let (code, check, said) = doctor(folder, "today.redb", kept);
    assert_eq!((code, check["status"].as_str()), (Some(0), Some("ok")), "{check} {said}");
    fs::create_dir(folder.join("empty")).unwrap();
    let (code, check, _) = doctor(folder, "today.redb", &["--checkpoint-folder", "empty"]);
    assert_eq!((code, check["status"].as_str()), (Some(0), Some("warning")), "{check}");
    let mut server = Serving::start(folder, SERVE);
    let (code, check, _) = doctor(folder, "v.redb", kept);
    assert_eq!((code, check["status"].as_str()), (Some(0), Some("skipped")), "{check}");
    // A backup is older than its vault: as long as it is kept as one, that is no fault of it.
    secret_file(folder, "bearer", &login(&server, folder).1, 0o600);
    let back_up = ["backup", "backup.redb", "--server", &server.url, "--token-file", "bearer"];
    assert!(sealroom(folder, &back_up).status.success());
    assert!(server.stop());
    let (code, check, _) = doctor(folder, "backup.redb", kept);
    assert_eq!((code, check["status"].as_str()), (Some(0), Some("warning")), "{check}");
    assert!(check["message"].as_str().unwrap().contains("this backup has"), "{check}");
}
