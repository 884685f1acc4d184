//! A log key ends at a rekey, a restore or an accepted rollback, and years later the records of that time are archived.
//!
//! The checkpoint with which a key ended then lies within archived records, and no hash of the log proves it any more. The
//! folder was taken for another history's: its checkpoint was called lost for ever, and nothing was archived again.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::rollback::{args, rolled_back};
use crate::{
    lab::kills::request,
    support::{
        binary::{Serving, sealroom, secret_file, stderr},
        log::log,
    },
};

fn done(folder: &Path, line: &str) -> Value {
    let output = sealroom(folder, &line.split(' ').collect::<Vec<_>>());
    assert!(output.status.success(), "{line}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// The server's bearer of an owner.
fn owner(server: &Serving, folder: &Path) -> String {
    let password = fs::read_to_string(folder.join("owner")).unwrap();
    let body = json!({ "email": "ada@example.com", "password": password }).to_string();
    let (status, _, login) = request(server.address(), "POST", "/sfp/api/auth/login", "", &body).unwrap();
    assert_eq!(status, 200, "{login}");
    login["access_token"].as_str().unwrap().to_owned()
}

/// Archives what a whole block holds, and once more: the folder gets its newest checkpoint before each.
fn archived(folder: &Path, to: &str) -> Value {
    let archive =
        |to: &str| done(folder, &format!("audit archive --json --before 2100-01-01 --to {to} --data v.redb"));
    let first = archive(to);
    assert!(
        archive(&format!("{to}-2"))["archived"].is_null(),
        "the folder is settled, and nothing is left to move"
    );
    first["archived"].clone()
}

/// A vault whose first log key ended in one of three ways, with the folder of its checkpoints in `kept`.
async fn ended(way: &str) -> tempfile::TempDir {
    if way == "rollback" {
        let (home, _) = rolled_back().await;
        let mut server = Serving::start(home.path(), &[&args()[..], &["--accept-rollback"]].concat());
        owner(&server, home.path());
        assert!(server.stop());
        return home;
    }
    let home = log(1).await.folder;
    let folder = home.path();
    fs::create_dir(folder.join("kept")).unwrap();
    let mut server = Serving::start(folder, &args());
    if way == "restore" {
        secret_file(folder, "bearer", &owner(&server, folder), 0o600);
        done(folder, &format!("backup kept.redb --server {} --token-file bearer", server.url));
    }
    assert!(server.stop());
    match way {
        "rekey" => {
            done(folder, "rekey --yes --json --data v.redb --passphrase-file pass --recovery-key-file paper")
        }
        _ => done(
            folder,
            "restore kept.redb --force --json --data v.redb --passphrase-file pass --checkpoint-folder kept",
        ),
    };
    home
}

#[tokio::test]
async fn a_log_key_that_ended_within_archived_records_stops_no_checkpoint_no_archive_and_no_restore() {
    for way in ["rekey", "restore", "rollback"] {
        let home = ended(way).await;
        let folder = home.path();
        let mut server = Serving::start(folder, &args());
        let bearer = owner(&server, folder);
        for _ in 0..260 {
            assert_eq!(
                request(server.address(), "GET", "/sfp/api/audit?limit=1", &bearer, "").unwrap().0,
                200
            );
        }
        assert_eq!(
            archived(folder, "one.archive"),
            json!({ "first": 0, "last": 255, "file": "one.archive" }),
            "{way}"
        );
        let health = server.health();
        assert!(health.contains(r#""status":"healthy""#) && !health.contains("detail"), "{way}: {health}");
        secret_file(folder, "bearer", &bearer, 0o600);
        done(folder, &format!("backup later.redb --server {} --token-file bearer", server.url));
        assert!(server.stop());

        // The next start, an examination and the offline archive compare the folder too.
        let mut server = Serving::start(folder, &args());
        owner(&server, folder);
        assert!(!server.health().contains("detail"), "{way}: {}", server.health());
        assert!(server.stop());
        let log = fs::read_to_string(folder.join("server.log")).unwrap();
        assert!(!log.contains("ERROR"), "{way}: {log}");
        let examined = done(folder, "doctor v.redb --json --passphrase-file pass --checkpoint-folder kept");
        let checks = examined["checks"].as_array().unwrap();
        let folder_check = checks.iter().find(|check| check["name"] == "checkpoint").unwrap();
        assert_eq!(folder_check["status"], "ok", "{way}: {folder_check}");
        let key = fs::read_to_string(folder.join("key")).unwrap();
        done(folder, &format!("audit verify v.redb --json --key {} --checkpoint kept", key.trim()));
        let offline = "audit archive --json --before 2100-01-01 --to two.archive --data v.redb --passphrase-file pass \
                       --checkpoint-folder kept";
        assert!(done(folder, offline)["archived"].is_null(), "{way}");

        // A restore puts aside what the replaced history alone signed, and none of the log's own.
        let restore =
            "restore later.redb --force --json --data v.redb --passphrase-file pass --checkpoint-folder kept";
        let restored = done(folder, restore);
        let aside = restored["checkpointsAside"].as_array().unwrap();
        assert!(aside.iter().all(|path| !path.as_str().unwrap().contains("handover")), "{way}: {restored}");
        let mut server = Serving::start(folder, &args());
        owner(&server, folder);
        assert!(!server.health().contains("detail"), "{way}: {}", server.health());
        assert!(server.stop());
    }
}
