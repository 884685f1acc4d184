//! `doctor` on each damage that hit a real system of this class, one row each: found, under the name of its check.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use sealroom::{
    audit::tree::leaf_hash,
    domain::{Actor, Timestamp},
    vault::Vault,
};
use serde_json::Value;

use crate::support::{
    binary::{sealroom, secret_file, stderr},
    memory_disk::{AUDIT, Bytes, META, close, edit, image, log, meta, owner, rows, shared, store},
    server::{PASSPHRASE, START, plan, secret, settings},
};

/// A vault at two moments, and another vault.
struct Files {
    older: Vec<u8>,
    newer: Vec<u8>,
    other: Vec<u8>,
}

async fn used(credentials: &[&str]) -> Vec<u8> {
    let (memory, medium) = shared(&[]);
    Vault::create(medium, 1 << 20, &plan()).map_err(drop).unwrap();
    grown(&image(&memory), credentials).await
}

async fn grown(file: &[u8], credentials: &[&str]) -> Vec<u8> {
    let (memory, medium) = shared(file);
    let vault = Vault::open(medium, settings()).unwrap();
    let now = Timestamp::from_millis(START);
    vault.unlock(secret(PASSPHRASE), Actor::host("test"), now, None).await.unwrap();
    let caller = owner(&vault).await;
    for credential in credentials {
        store(&vault, &caller, credential).await;
    }
    close(vault, &memory).await
}

type Damage = fn(&Files) -> Vec<u8>;

fn set(file: &[u8], table: &str, key: &[u8], value: Option<&[u8]>) -> Vec<u8> {
    edit(file, |txn| {
        let mut rows = txn.open_table(Bytes::new(table)).unwrap();
        match value {
            Some(value) => drop(rows.insert(key, value).unwrap()),
            None => drop(rows.remove(key).unwrap()),
        }
    })
}

fn set_meta(file: &[u8], name: &str, value: &[u8]) -> Vec<u8> {
    edit(file, |txn| drop(txn.open_table(META).unwrap().insert(name, value).unwrap()))
}

fn set_record(file: &[u8], sequence: u64, text: &[u8]) -> Vec<u8> {
    let row = [text, &leaf_hash(text)[..8]].concat();
    edit(file, |txn| drop(txn.open_table(AUDIT).unwrap().insert(sequence, row.as_slice()).unwrap()))
}

/// Each damage: its name, its making, the check that fails, and a part of its message.
const DAMAGES: &[(&str, Damage, &str, &str)] = &[
    (
        "two ciphertexts are swapped",
        |files| {
            let all = rows(&files.newer, "credentials");
            let file = set(&files.newer, "credentials", &all[0].0, Some(&all[1].1));
            set(&file, "credentials", &all[1].0, Some(&all[0].1))
        },
        "credentials",
        "does not open",
    ),
    (
        "a row is moved to another key",
        |files| {
            let (key, value) = &rows(&files.newer, "integrations")[0];
            let mut other = key.clone();
            other[15] ^= 1;
            set(&files.newer, "integrations", &other, Some(value))
        },
        "rows",
        "does not open",
    ),
    (
        "a row is pasted from another file",
        |files| {
            let (key, _) = &rows(&files.newer, "users")[0];
            set(&files.newer, "users", key, Some(&rows(&files.other, "users")[0].1))
        },
        "rows",
        "does not open",
    ),
    (
        "an older row of the same key is put back",
        |files| {
            let (key, value) = &rows(&files.older, "users")[0];
            set(&files.newer, "users", key, Some(value))
        },
        "state",
        "put back",
    ),
    (
        "an index entry is deleted",
        |files| set(&files.newer, "scopes", &rows(&files.newer, "scopes")[0].0, None),
        "indexes",
        "",
    ),
    (
        "an integration is deleted behind the log's back",
        |files| set(&files.newer, "integrations", &rows(&files.newer, "integrations")[0].0, None),
        "replay",
        "not there, though record",
    ),
    (
        "the log is cut to an older checkpoint, head and all",
        |files| {
            let last = log(&files.older).last().unwrap().0;
            let mut file = files.newer.clone();
            for name in ["head", "checkpoint"] {
                file = set_meta(&file, name, &meta(&files.older, name));
            }
            edit(&file, |txn| txn.open_table(AUDIT).unwrap().retain(|sequence, _| sequence <= last).unwrap())
        },
        "state",
        "the rows are not those of the last commit",
    ),
    (
        "the end of the log is cut off",
        |files| {
            let last = log(&files.newer).last().unwrap().0;
            edit(&files.newer, |txn| drop(txn.open_table(AUDIT).unwrap().remove(last).unwrap()))
        },
        "log",
        "is missing",
    ),
    (
        "the beginning of the log is cut off",
        |files| edit(&files.newer, |txn| drop(txn.open_table(AUDIT).unwrap().remove(0).unwrap())),
        "log",
        "record 0 is missing",
    ),
    (
        "the log is deleted",
        |files| edit(&files.newer, |txn| txn.open_table(AUDIT).unwrap().retain(|_, _| false).unwrap()),
        "log",
        "are missing",
    ),
    (
        "a record is rewritten, with the hash beside it",
        |files| {
            let text = log(&files.newer)[3].1.clone();
            let text = String::from_utf8_lossy(&text[..text.len() - 8]).replace("allowed", "denied");
            set_record(&files.newer, 3, text.as_bytes())
        },
        "log",
        "do not make the root",
    ),
    (
        "a record is of a format that is not known",
        |files| set_record(&files.newer, 3, br#"{"v":2,"sequence":3,"time":"x"}"#),
        "log",
        "record 3 is damaged",
    ),
    (
        "a record is oversized",
        |files| {
            let text = format!(r#"{{"v":1,"sequence":3,"time":"{}"}}"#, "x".repeat(100_000));
            set_record(&files.newer, 3, text.as_bytes())
        },
        "log",
        "record 3 is damaged",
    ),
    (
        "the parameters of the key derivation are hostile",
        |files| {
            let mut slots = meta(&files.newer, "slots");
            // LIGHT, as the tests have it: 64 KiB become 4 GiB.
            let at = slots.iter().position(|byte| *byte == 64).unwrap();
            slots.splice(at..=at, [252, 0, 0, 64, 0]);
            set_meta(&files.newer, "slots", &slots)
        },
        "head",
        "meta slots",
    ),
    (
        "the key slots are pasted from another file",
        |files| set_meta(&files.newer, "slots", &meta(&files.other, "slots")),
        "head",
        "meta head",
    ),
    (
        "the head is that of an older moment",
        |files| set_meta(&files.newer, "head", &meta(&files.older, "head")),
        "head",
        "meta checkpoint",
    ),
    (
        "a byte of a page is flipped",
        |files| {
            let mut file = files.newer.clone();
            // Wherever it stands: some of the pages may be free ones.
            let found = files.newer.windows(12).enumerate().filter(|(_, bytes)| bytes == b"vault.unlock");
            found.for_each(|(at, _)| file[at] ^= 1);
            file
        },
        "pages",
        "the file is damaged",
    ),
    ("the file is truncated", |files| files.newer[..files.newer.len() / 2].to_vec(), "pages", ""),
    ("the file is empty", |_| Vec::new(), "pages", "not a sealroom vault"),
    ("the file is another one", |_| b"no vault at all".to_vec(), "pages", "not a sealroom vault"),
    (
        "the file has a newer format",
        |files| set_meta(&files.newer, "format", &2_u32.to_le_bytes()),
        "pages",
        "the file has format 2",
    ),
];

fn examined(folder: &Path, file: &[u8]) -> (Option<i32>, Value) {
    let path = folder.join("v.redb");
    fs::write(&path, file).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let done = sealroom(folder, &["doctor", "v.redb", "--json", "--passphrase-file", "pass"]);
    assert!(!stderr(&done).contains("panicked"), "{}", stderr(&done));
    assert!(fs::read(&path).unwrap() == file, "no byte of the file changes");
    (done.status.code(), serde_json::from_slice(&done.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_damage_of_a_file_that_was_seen_in_the_wild_is_called_well() {
    let older = used(&["ghp_example_1"]).await;
    let newer = grown(&older, &["ghp_example_2", "ghp_example_3"]).await;
    let files = Files { older, newer, other: used(&["ghp_example_4"]).await };
    let folder = tempfile::tempdir().unwrap();
    secret_file(folder.path(), "pass", PASSPHRASE, 0o600);
    let (code, report) = examined(folder.path(), &files.newer);
    assert_eq!((code, &report["ok"]), (Some(0), &Value::Bool(true)), "{report}");
    for (what, damage, name, message) in DAMAGES {
        let (code, report) = examined(folder.path(), &damage(&files));
        let checks = report["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == *name).unwrap();
        assert_eq!((code, check["status"].as_str()), (Some(1), Some("failed")), "{what}: {report}");
        assert!(check.to_string().contains(message), "{what}: {check}");
    }
    // The one that no examination of a file alone can see: an older copy of the whole file. A checkpoint does.
    let note = String::from_utf8(meta(&files.newer, "checkpoint")).unwrap();
    fs::write(folder.path().join("kept"), note).unwrap();
    assert_eq!(examined(folder.path(), &files.older).0, Some(0));
    let verified = sealroom(folder.path(), &["audit", "verify", "v.redb", "--checkpoint", "kept"]);
    assert!(
        !verified.status.success() && stderr(&verified).contains("missing at the end"),
        "{}",
        stderr(&verified)
    );
}
