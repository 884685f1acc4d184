//! A restore of a backup from before a roll: the token that was rolled does not get its end back.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::restore::{call, login, ok};
use crate::support::binary::{INIT, PASSPHRASE, SERVE_KEPT as SERVE, Serving, sealroom, secret_file, stderr};

const TOKENS: &str = "/sfp/api/application-tokens";

/// Returns the end of a token.
fn end_of(server: &Serving, session: &str, id: &str) -> Value {
    let all = ok(server, "GET", TOKENS, session, &Value::Null);
    all.as_array().unwrap().iter().find(|one| one["id"] == id).unwrap()["expiresAt"].clone()
}

fn restored(folder: &Path) -> Value {
    let args =
        ["restore", "--json", "--data", "v.redb", "--passphrase-file", "pass", "backup.redb", "--force"];
    let done = sealroom(folder, &[&args[..], &["--checkpoint-folder", "kept"]].concat());
    assert!(done.status.success(), "{}", stderr(&done));
    let doctor = sealroom(folder, &["doctor", "v.redb", "--passphrase-file", "pass"]);
    assert!(doctor.status.success(), "{doctor:?}");
    serde_json::from_slice(&done.stdout).unwrap()
}

#[test]
fn a_backup_gives_no_rolled_token_its_end_back_however_often_it_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    secret_file(path, "pass", PASSPHRASE, 0o600);
    fs::create_dir(path.join("kept")).unwrap();
    let made: Value = serde_json::from_slice(&sealroom(path, INIT).stdout).unwrap();
    let password = made["owner_password"].as_str().unwrap();
    let mut server = Serving::start(path, SERVE);
    let (_, session) = login(&server, "ada@example.com", password);
    let make = |name: &str| {
        let made = ok(&server, "POST", TOKENS, &session, &json!({ "name": name, "expiresIn": 90 }));
        (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned())
    };
    let (ended, running, other) = (make("ended"), make("running"), make("other"));
    assert!(server.stop());
    fs::copy(path.join("v.redb"), path.join("backup.redb")).unwrap();
    let mut server = Serving::start(path, SERVE);
    for ((id, _), secs) in [(&ended, 0), (&running, 86_400)] {
        ok(&server, "POST", &format!("{TOKENS}/{id}/roll"), &session, &json!({ "overlapSeconds": secs }));
    }
    let end = end_of(&server, &session, &running.0);
    assert!(server.stop());
    for round in 0..2 {
        let done = restored(path);
        let told = done["takenAway"].to_string();
        assert!(
            told.contains("token ended") && told.contains("token running") && told.contains("ends at"),
            "{done}"
        );
        assert!(!told.contains("token other"), "{done}");
        if round == 0 {
            assert!(done["byHand"].to_string().contains("its successor"), "{done}");
        }
        let let_in = done["tokens"].to_string();
        assert!(!let_in.contains("ended") && let_in.contains("running"), "{done}");
        let mut server = Serving::start(path, SERVE);
        let status = |token: &str| call(&server, "GET", "/sfp/api/projects", token, &Value::Null).0;
        assert_eq!([&ended, &running, &other].map(|(_, text)| status(text)), [401, 200, 200], "{round}");
        let (_, session) = login(&server, "ada@example.com", password);
        assert_eq!(end_of(&server, &session, &running.0), end, "{round}");
        assert!(server.stop());
    }
}
