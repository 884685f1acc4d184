//! A log that continues with a new key: an auditor who has only the old one follows it, and a copy of the file from
//! before cannot sign a second history.

use std::{fs, path::Path};

use redb::{Database, ReadableDatabase};
use serde_json::Value;

use crate::{
    lab::kills::request,
    support::{
        binary::{INIT, PASSPHRASE, SERVE_KEPT as SERVE, Serving, sealroom, secret_file, stderr},
        memory_disk::{META, close, edit, meta, refused, shared, unlock},
        server,
    },
};

/// Makes a vault with a checkpoint folder; returns its audit key.
fn vault() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    secret_file(folder.path(), "pass", PASSPHRASE, 0o600);
    let made: Value = serde_json::from_slice(&sealroom(folder.path(), INIT).stdout).unwrap();
    fs::write(folder.path().join("owner"), made["owner_password"].as_str().unwrap()).unwrap();
    fs::create_dir(folder.path().join("kept")).unwrap();
    (folder, made["audit_key"].as_str().unwrap().to_owned())
}

/// Marks a file as a copy that a backup made.
fn mark(file: &Path) {
    let database = Database::builder().create(file).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(META).unwrap().insert("origin_copy", b"1".as_slice()).unwrap();
    txn.commit().unwrap();
}

fn value(file: &Path, name: &str) -> String {
    let database = Database::builder().open_read_only(file).unwrap();
    let txn = database.begin_read().unwrap();
    let table = txn.open_table(META).unwrap();
    String::from_utf8(table.get(name).unwrap().unwrap().value().to_vec()).unwrap()
}

/// Logs in, and exports the log.
fn run(folder: &Path, args: &[&str]) -> String {
    let mut server = Serving::start(folder, args);
    let password = fs::read_to_string(folder.join("owner")).unwrap();
    let body = serde_json::json!({ "email": "ada@example.com", "password": password }).to_string();
    let (_, _, login) = request(server.address(), "POST", "/sfp/api/auth/login", "", &body).unwrap();
    let bearer = login["access_token"].as_str().unwrap().to_owned();
    let token = folder.join("token");
    secret_file(folder, "token", &bearer, 0o600);
    let export = sealroom(
        folder,
        &["audit", "export", "--server", &server.url, "--token-file", token.to_str().unwrap()],
    );
    assert!(export.status.success(), "{}", stderr(&export));
    let verified = sealroom(folder, &["audit", "verify", "v.redb"]);
    assert!(verified.status.success(), "through the server: {}", stderr(&verified));
    assert!(server.stop());
    String::from_utf8(export.stdout).unwrap()
}

#[test]
fn an_old_key_follows_the_log_to_its_new_one_and_a_copy_from_before_cannot_sign_what_comes_after() {
    let (folder, old) = vault();
    let folder = folder.path();
    run(folder, SERVE);
    fs::copy(folder.join("v.redb"), folder.join("before.redb")).unwrap();
    mark(&folder.join("v.redb"));

    let export = run(folder, SERVE);
    fs::write(folder.join("export"), &export).unwrap();
    assert!(export.contains(r#""action":"vault.restore""#) && export.contains("copy_served"), "{export}");
    run(folder, SERVE);
    assert_eq!(run(folder, SERVE).matches("copy_served").count(), 1, "a later start keeps the key");

    let handover = value(&folder.join("v.redb"), "handovers");
    assert!(handover.contains("\nnext-key sealroom/") && handover.matches("\n— ").count() == 2, "{handover}");
    let new = handover.lines().find_map(|line| line.strip_prefix("next-key ")).unwrap();
    // An export of a later run holds everything that these checkpoints sign.
    fs::create_dir(folder.join("then")).unwrap();
    let mut notes = Vec::new();
    for entry in fs::read_dir(folder.join("kept")).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), folder.join("then").join(entry.file_name())).unwrap();
        if entry.path().extension().is_some_and(|end| end == "checkpoint") {
            notes.push(fs::read_to_string(entry.path()).unwrap());
        }
    }
    assert_eq!(notes.len(), 2);
    fs::write(folder.join("both"), notes.concat()).unwrap();
    fs::write(folder.join("later"), run(folder, SERVE)).unwrap();
    let verify = |args: &[&str]| sealroom(folder, &[&["audit", "verify"], args].concat());
    for args in [
        &["v.redb"][..],
        &["v.redb", "--strict", "--key", &old],
        &["v.redb", "--strict", "--key", new],
        &["v.redb", "--key", &old, "--checkpoint", "kept"],
        &["v.redb", "--checkpoint", "kept"],
        &["later", "--strict", "--key", new, "--checkpoint", "then"],
        &["later", "--strict", "--key", &old, "--checkpoint", "then"],
        &["later", "--strict", "--key", &old, "--checkpoint", "both"],
    ] {
        let good = verify(args);
        assert!(good.status.success(), "{args:?}: {}", stderr(&good));
    }
    let told = verify(&["v.redb", "--key", &old]);
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("its handover to the log's newest key"), "{told}");
}

#[test]
fn a_copy_from_before_that_goes_on_alone_is_named_by_whoever_has_the_handover() {
    let (folder, old) = vault();
    let folder = folder.path();
    run(folder, SERVE);
    fs::copy(folder.join("v.redb"), folder.join("before.redb")).unwrap();
    mark(&folder.join("v.redb"));
    run(folder, SERVE);
    let handover = value(&folder.join("v.redb"), "handovers");
    fs::write(folder.join("handover"), &handover).unwrap();

    // The thief's copy, with the old key in it, grows beyond the handover.
    fs::rename(folder.join("before.redb"), folder.join("v.redb")).unwrap();
    let alone: Vec<&str> =
        SERVE.iter().copied().filter(|arg| !["--checkpoint-folder", "kept"].contains(arg)).collect();
    run(folder, &alone);
    run(folder, &alone);
    run(folder, &alone);
    let second = value(&folder.join("v.redb"), "checkpoint");
    fs::write(folder.join("both"), format!("{handover}{second}")).unwrap();
    for args in [
        &["v.redb", "--key", &old, "--checkpoint", "handover"][..],
        &["v.redb", "--checkpoint", "handover"],
        &["v.redb", "--key", &old, "--checkpoint", "both"],
        &["v.redb", "--key", &old, "--checkpoint", "kept"],
        &["v.redb", "--checkpoint", "kept"],
    ] {
        let caught = sealroom(folder, &[&["audit", "verify"], args].concat());
        assert_eq!(caught.status.code(), Some(1), "{args:?}");
        let told = stderr(&caught);
        assert!(told.contains("signature of a log key that ended"), "{args:?}: {told}");
    }
    // A server of that copy says that the folder knows another log.
    let mut server = Serving::start(folder, SERVE);
    server.logged("the vault file was restored from an older copy");
    assert!(server.stop());
}

/// The log keys in `meta` cannot be exchanged by whoever has the file without its passphrase.
#[tokio::test]
async fn no_log_key_or_handover_can_be_put_in_dropped_or_exchanged() {
    use redb::backends::InMemoryBackend;
    use sealroom::{
        domain::{Actor, Timestamp},
        vault::Vault,
    };

    let medium = std::sync::Arc::new(InMemoryBackend::new());
    let disk = std::sync::Arc::new(crate::support::memory_disk::Shared(medium.clone()));
    Vault::create(disk, 1 << 20, &server::plan()).map_err(drop).unwrap();
    let mut image = crate::support::memory_disk::image(&medium);
    for round in 0..2 {
        let before = image.clone();
        let (medium, disk) = shared(&edit(&image, |txn| {
            txn.open_table(META).unwrap().insert("origin_copy", b"1".as_slice()).unwrap();
        }));
        let vault = Vault::open(disk, server::settings()).unwrap();
        let now = Timestamp::from_millis(server::START);
        vault
            .unlock(server::secret(server::PASSPHRASE), Actor::host("test"), now, None)
            .await
            .map_err(drop)
            .unwrap();
        assert_eq!(vault.verifier_keys().unwrap().len(), round + 2);
        image = close(vault, &medium).await;
        assert!(unlock(&image, server::PASSPHRASE).await.is_ok());
        let put = |name: &'static str, bytes: &[u8]| {
            edit(&image, |txn| drop(txn.open_table(META).unwrap().insert(name, bytes).unwrap()))
        };
        let handovers = meta(&image, "handovers");
        let half = String::from_utf8(handovers.clone()).unwrap();
        let one_less = half.split_inclusive("\n\n").next().unwrap().as_bytes().to_vec();
        for (said, forged) in [
            ("the keys of before", put("log_keys", &meta(&before, "log_keys"))),
            ("no handover", put("handovers", b"")),
            ("part of a handover", put("handovers", &one_less)),
            ("a handover twice", put("handovers", &handovers.repeat(2))),
            ("another size", put("handovers", half.replacen("\nnext", "1\nnext", 1).as_bytes())),
            ("the checkpoint of before", put("checkpoint", &meta(&before, "checkpoint"))),
        ] {
            assert_eq!(refused(&forged, said).await, Some("meta"), "{said}");
        }
    }
}
