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

use super::{
    binary::{sealroom, stderr},
    disks::{Served, run, verified},
};

/// How soon health and log must say it.
const SOON: Duration = Duration::from_secs(5);

/// What is done to the file under a server.
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
                fs::read_to_string(log.join("server.log")).unwrap().contains("sealroom rescue --data")
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
    assert!(stderr(&early).contains("the file is in its place"), "{}", stderr(&early));
    fs::remove_file(folder.join("v.redb")).unwrap();
    is_refused(&served);
    let onto = rescue("pass");
    assert!(stderr(&onto).contains("pass exists already"), "{}", stderr(&onto));
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
fn what_was_truncated_is_saved_and_never_called_verified() {
    let home = tempfile::tempdir().unwrap();
    let mut served = Served::start(home.path(), "0");
    assert_eq!(served.store("ghp_example_kept").0, 201);
    truncate(&home.path().join("v.redb"));
    is_refused(&served);
    let saved = sealroom(home.path(), &["rescue", "--data", "v.redb", "--to", "saved.redb"]);
    assert_eq!(saved.status.code(), Some(1));
    let said = stderr(&saved);
    assert!(said.contains("saved.redb is what the server holds, unverified"), "{said}");
    assert_eq!(fs::metadata(home.path().join("saved.redb")).unwrap().len(), 8192);
    assert!(!served.serving.stop());
}
