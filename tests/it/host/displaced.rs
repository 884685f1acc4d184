//! A file that goes away under its server: nothing is acknowledged or disclosed that would go with it.
//!
//! A server whose file had been removed once stayed healthy, disclosed, acknowledged, and ended with 0; all of it was
//! gone with the process.

use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    host::disks::{Served, run, verified},
    support::binary::{sealroom, stderr},
};

/// The time limit for health and log to show it.
const SOON: Duration = Duration::from_secs(5);

/// The changes to the file under a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mishap {
    Removed,
    Renamed,
    FolderRenamed,
    ReplacedByACopy,
    Truncated,
    Extended,
    CopiedOver,
    Shadowed,
}

impl Mishap {
    fn happens(self, folder: &Path) -> bool {
        let (data, aside) = (folder.join("in/v.redb"), folder.join("aside"));
        match self {
            Self::Removed => fs::remove_file(data).unwrap(),
            Self::Renamed => fs::rename(data, aside).unwrap(),
            Self::FolderRenamed => fs::rename(folder.join("in"), folder.join("away")).unwrap(),
            Self::ReplacedByACopy => {
                fs::copy(&data, &aside).unwrap();
                fs::rename(aside, data).unwrap();
            }
            Self::Truncated => truncate(&data),
            Self::Extended => {
                let file = File::options().write(true).open(data).unwrap();
                file.set_len(file.metadata().unwrap().len() + 4096).unwrap();
            }
            Self::CopiedOver => drop(fs::copy(folder.join("older"), data).unwrap()),
            Self::Shadowed => {
                fs::create_dir(&aside).unwrap();
                let (aside, over) = (aside.display().to_string(), folder.join("in").display().to_string());
                return run("mount", &["--bind", &aside, &over]);
            }
        }
        true
    }

    fn is_undone(self, folder: &Path) {
        match self {
            Self::Renamed => fs::rename(folder.join("aside"), folder.join("in/v.redb")).unwrap(),
            Self::FolderRenamed => fs::rename(folder.join("away"), folder.join("in")).unwrap(),
            Self::Shadowed => assert!(run("umount", &[&folder.join("in").display().to_string()])),
            _ => {}
        }
    }
}

fn truncate(data: &Path) {
    File::options().write(true).open(data).unwrap().set_len(8192).unwrap();
}

fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < SOON, "{what} takes longer than {SOON:?}");
        std::thread::yield_now();
    }
}

fn is_refused(served: &Served) {
    for (method, path, body) in [
        ("GET", "/sfp/api/integrations/credentials", ""),
        (
            "POST",
            "/sfp/api/projects",
            r#"{"identifier":"acme/late","remoteUrl":"https://github.com/acme/late"}"#,
        ),
    ] {
        let (status, body) = served.ask(method, path, body);
        assert_eq!((status, &body["code"]), (503, &json!("audit_unavailable")), "{body}");
    }
}

#[test]
fn nothing_is_acknowledged_or_disclosed_into_a_file_that_its_path_does_not_lead_to() {
    use Mishap::*;
    for mishap in
        [Removed, Renamed, FolderRenamed, ReplacedByACopy, Truncated, Extended, CopiedOver, Shadowed]
    {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("in");
        fs::create_dir(&folder).unwrap();
        let mut served = Served::start(&folder, "0");
        fs::copy(folder.join("v.redb"), home.path().join("older")).unwrap();
        assert_eq!(served.store("ghp_example_kept").0, 201);
        if !mishap.happens(home.path()) {
            eprintln!("skipped: a folder cannot be mounted here");
            continue;
        }
        // The very next answer, before anything had the time to look.
        is_refused(&served);
        wait_for("unhealthy", || {
            let (status, health) = served.health();
            status == 503 && health["status"] == "unhealthy" && health["detail"] == json!(["file_gone"])
        });
        let log = if mishap == FolderRenamed { home.path().join("away") } else { folder.clone() };
        if mishap != Shadowed {
            wait_for("a line in the log", || {
                let log = fs::read_to_string(log.join("server.log")).unwrap();
                let remedy = match mishap {
                    Truncated | Extended | CopiedOver => "restore a backup",
                    _ => "sealroom rescue --data",
                };
                log.contains("disclosures and changes are refused") && log.contains(remedy)
            });
        }
        is_refused(&served);
        mishap.is_undone(home.path());
        if matches!(mishap, Renamed | FolderRenamed | Shadowed) {
            wait_for("healthy", || served.health().0 == 200);
            assert_eq!(served.store("ghp_example_later").0, 201, "{mishap:?}");
            assert!(served.serving.stop(), "{mishap:?}");
            verified(&folder);
        } else {
            assert!(!served.serving.stop(), "{mishap:?} ends with a failure");
            // Not a byte goes into what somebody else has put there.
            let (there, older) = (fs::read(folder.join("v.redb")), home.path().join("older"));
            match mishap {
                CopiedOver => assert!(there.unwrap() == fs::read(older).unwrap()),
                Truncated => assert_eq!(there.unwrap().len(), 8192),
                _ => {}
            }
        }
    }
}

#[test]
fn what_only_the_open_file_holds_is_rescued_and_served_again() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("in");
    fs::create_dir(&folder).unwrap();
    let mut served = Served::start(&folder, "0");
    assert_eq!(served.store("ghp_example_kept").0, 201);
    let rescue = |to: &str| sealroom(&folder, &["rescue", "--data", "v.redb", "--to", to, "--json"]);
    let early = rescue("early.redb");
    assert!(stderr(&early).contains("the file is in place"), "{}", stderr(&early));
    fs::remove_file(folder.join("v.redb")).unwrap();
    is_refused(&served);
    let onto = rescue("pass");
    assert!(stderr(&onto).contains("pass already exists"), "{}", stderr(&onto));
    assert!(!folder.join("early.redb").exists());
    let saved = rescue("v.redb");
    assert!(saved.status.success(), "{}", stderr(&saved));
    let said: Value = serde_json::from_slice(&saved.stdout).unwrap();
    assert!(said["file"] == "v.redb" && said["bytes"].is_u64() && said["records"].is_u64(), "{said}");
    is_refused(&served);
    assert!(!served.serving.stop());
    let mut again = Served::start(&folder, "0");
    assert_eq!(again.values(), ["ghp_example_kept"]);
    assert!(again.serving.stop());
    verified(&folder);
}

#[test]
fn status_and_lock_say_that_the_file_is_gone_and_how_to_save_it() {
    let home = tempfile::tempdir().unwrap();
    let served = Served::start(home.path(), "0");
    fs::remove_file(home.path().join("v.redb")).unwrap();
    is_refused(&served);
    let status = || sealroom(home.path(), &["status", "--server", &served.serving.url]);
    wait_for("file_gone", || String::from_utf8_lossy(&status().stdout).contains("file_gone"));
    let status = status();
    assert_eq!(status.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&status.stdout).contains("file_gone"), "health comes first: {status:?}");
    let said = stderr(&status);
    assert!(said.contains("not healthy: file_gone") && said.contains("sealroom rescue"), "{said}");
    let lock = sealroom(home.path(), &["lock", "--data", "v.redb"]);
    let said = stderr(&lock);
    assert!(said.contains("was removed") && said.contains("sealroom rescue"), "{said}");
    let unlock = sealroom(home.path(), &["unlock", "--data", "v.redb", "--passphrase-file", "pass"]);
    let said = stderr(&unlock);
    assert!(said.contains("was removed") && said.contains("sealroom rescue"), "{said}");
}

#[test]
fn what_was_truncated_is_saved_and_never_called_verified() {
    let home = tempfile::tempdir().unwrap();
    let mut served = Served::start(home.path(), "0");
    assert_eq!(served.store("ghp_example_kept").0, 201);
    truncate(&home.path().join("v.redb"));
    is_refused(&served);
    let saved = sealroom(home.path(), &["rescue", "--data", "v.redb", "--to", "saved.redb"]);
    assert_eq!(saved.status.code(), Some(1));
    let said = stderr(&saved);
    assert!(said.contains("saved.redb is what the path leads to now, not what the server wrote"), "{said}");
    assert!(!said.contains(".tmp/.tmp"), "{said}");
    assert_eq!(fs::metadata(home.path().join("saved.redb")).unwrap().len(), 8192);
    assert!(!served.serving.stop());
}

/// If its socket is gone too, `--pid` searches the process.
#[test]
fn a_file_is_rescued_also_where_its_socket_is_gone() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("in");
    fs::create_dir(&folder).unwrap();
    let mut served = Served::start(&folder, "0");
    assert_eq!(served.store("ghp_example_kept").0, 201);
    let pid = served.serving.child.id().to_string();
    let rescue = |to: &str| sealroom(home.path(), &["rescue", "--pid", &pid, "--to", to]);
    assert!(stderr(&rescue("early.redb")).contains("no open vault file that has lost its path"));
    for name in ["v.redb", "v.redb.sock", "v.redb.lock"] {
        fs::remove_file(folder.join(name)).unwrap();
    }
    is_refused(&served);
    let saved = rescue("in/v.redb");
    assert!(saved.status.success(), "{}", stderr(&saved));
    assert!(!served.serving.stop());
    assert_eq!(Served::start(&folder, "0").values(), ["ghp_example_kept"]);
}

/// The engine once opened whatever lay there after a failed commit, and served its rows: a token that had been revoked
/// was let in again.
#[test]
fn nobody_is_served_from_a_file_that_somebody_else_wrote() {
    let home = tempfile::tempdir().unwrap();
    let served = Served::start(home.path(), "0");
    let at = |name: &str| home.path().join(name);
    let (status, made) = served.ask("POST", "/sfp/api/application-tokens", r#"{"name":"ci","expiresIn":30}"#);
    assert_eq!(status, 201, "{made}");
    let (id, token) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    assert_eq!(served.ask_as(token, "GET", "/sfp/api/projects", "").0, 200);
    fs::copy(at("v.redb"), at("older")).unwrap();
    assert_eq!(served.ask("DELETE", &format!("/sfp/api/application-tokens/{id}"), "").0, 200);
    assert_eq!(served.ask_as(token, "GET", "/sfp/api/projects", "").0, 401);
    let newest = fs::read(at("v.redb")).unwrap();
    fs::write(at("v.redb"), fs::read(at("older")).unwrap()).unwrap();
    is_refused(&served);
    assert_eq!(served.ask_as(token, "GET", "/sfp/api/projects", "").0, 503);
    let told = stderr(&sealroom(home.path(), &["rescue", "--data", "v.redb", "--to", "saved.redb"]));
    assert!(told.contains("not what the server wrote"), "{told}");
    // An empty file is no empty vault, in which the owner would be unknown.
    fs::write(at("v.redb"), "").unwrap();
    is_refused(&served);
    assert_eq!(served.ask("GET", "/sfp/api/projects", "").0, 503);
    // Its own bytes again are its own file again.
    fs::write(at("v.redb"), newest).unwrap();
    wait_for("healthy", || served.health().0 == 200);
    assert_eq!(served.ask("GET", "/sfp/api/projects", "").0, 200);
    assert_eq!(served.ask_as(token, "GET", "/sfp/api/projects", "").0, 401);
}

#[test]
fn a_server_that_ends_takes_no_other_servers_socket_with_it() {
    let home = tempfile::tempdir().unwrap();
    let (folder, away) = (home.path().join("in"), home.path().join("away"));
    fs::create_dir(&folder).unwrap();
    let mut old = Served::start(&folder, "0");
    fs::rename(&folder, &away).unwrap();
    fs::create_dir(&folder).unwrap();
    for name in ["v.redb", "pass", "owner"] {
        fs::copy(away.join(name), folder.join(name)).unwrap();
    }
    let mut new = Served::start(&folder, "0");
    assert!(!old.serving.stop());
    assert!(folder.join("v.redb.sock").exists());
    assert!(sealroom(&folder, &["lock", "--data", "v.redb"]).status.success());
    assert!(new.serving.stop());
}
