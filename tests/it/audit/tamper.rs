//! A closed file in an attacker's hands: what was changed is refused or named, never believed.

use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, backends::InMemoryBackend};
use sealroom::{
    api::{self, requests::RotateCredentials},
    domain::{Actor, Secret, Timestamp},
    storage::{OpenError, StorageError},
    vault::{UnlockError, Vault},
};

use crate::support::{
    memory_disk::{
        AUDIT, Bytes, META, Shared, backend, close, edit, image, meta, owner, refused, shared, store, unlock,
    },
    server::{PASSPHRASE, START, context, plan, secret, settings},
};

/// A closed vault of two credentials, and the same a rotation later.
async fn two_states() -> (Vec<u8>, Vec<u8>) {
    let (medium, shared) = shared(&[]);
    Vault::create(shared.clone(), 1 << 20, &plan()).unwrap();
    let now = Timestamp::from_millis(START);
    let open = async || {
        let vault = Vault::open(shared.clone(), settings()).unwrap();
        vault.unlock(secret(PASSPHRASE), Actor::host("test"), now, None).await.unwrap();
        vault
    };
    let vault = open().await;
    let caller = owner(&vault).await;
    let id = store(&vault, &caller, "ghp_example_1").await;
    store(&vault, &caller, "ghp_example_2").await;
    let before = close(vault, &medium).await;
    let vault = open().await;
    let caller = owner(&vault).await;
    let request: RotateCredentials =
        api::parse(br#"{"credentials":{"token":"ghp_example_3"}}"#).map_err(drop).unwrap();
    vault.rotate_credentials(&context(now), &caller, id, None, request).await.map_err(drop).unwrap();
    (before, close(vault, &medium).await)
}

fn rows(image: &[u8], table: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let database = Database::builder().create_with_backend(backend(image)).unwrap();
    let txn = database.begin_read().unwrap();
    let table = txn.open_table(Bytes::new(table)).unwrap();
    table
        .iter()
        .unwrap()
        .map(|row| row.map(|(k, v)| (k.value().to_vec(), v.value().to_vec())).unwrap())
        .collect()
}

fn put(txn: &redb::WriteTransaction, table: &str, key: &[u8], value: &[u8]) {
    txn.open_table(Bytes::new(table)).unwrap().insert(key, value).unwrap();
}

#[tokio::test]
async fn rows_that_were_swapped_moved_pasted_or_put_back_are_refused() {
    let (before, after) = two_states().await;
    assert!(unlock(&after, PASSPHRASE).await.is_ok(), "untouched it opens");
    let touched = edit(&after, |_| {});
    assert!(unlock(&touched, PASSPHRASE).await.is_ok(), "the editing itself changes nothing");
    let (stranger, _) = two_states().await;
    for table in ["users", "sessions", "integrations", "credentials"] {
        let (now, old, other) = (rows(&after, table), rows(&before, table), rows(&stranger, table));
        let (first, last) = (&now[0], &now[now.len() - 1]);
        if now.len() > 1 {
            let swapped = edit(&after, |txn| {
                put(txn, table, &first.0, &last.1);
                put(txn, table, &last.0, &first.1);
            });
            assert_eq!(refused(&swapped, &format!("{table}: rows swapped")).await, Some(table));
        }
        let mut moved = first.0.clone();
        moved[0] ^= 1;
        let moved = edit(&after, |txn| put(txn, table, &moved, &first.1));
        assert_eq!(refused(&moved, &format!("{table}: a row moved")).await, Some(table));
        let pasted = edit(&after, |txn| put(txn, table, &first.0, &other[0].1));
        assert_eq!(refused(&pasted, &format!("{table}: a row of another file")).await, Some(table));
        let older = old.iter().find(|(key, value)| now.iter().any(|(k, v)| k == key && v != value));
        if let Some((key, value)) = older {
            refused(&edit(&after, |txn| put(txn, table, key, value)), &format!("{table}: an older row"))
                .await;
        }
        let deleted =
            edit(&after, |txn| drop(txn.open_table(Bytes::new(table)).unwrap().remove(&*first.0).unwrap()));
        refused(&deleted, &format!("{table}: a row deleted")).await;
    }
    let entry = rows(&after, "scopes").remove(0).0;
    let deleted =
        edit(&after, |txn| drop(txn.open_table(Bytes::new("scopes")).unwrap().remove(&*entry).unwrap()));
    assert_eq!(refused(&deleted, "an index entry deleted").await, Some("scopes"));
}

#[tokio::test]
async fn a_log_that_was_cut_or_changed_and_an_older_slot_are_refused() {
    let (before, after) = two_states().await;
    let old_head = meta(&before, "head");
    let old_checkpoint = meta(&before, "checkpoint");
    let size: u64 =
        String::from_utf8(old_checkpoint.clone()).unwrap().lines().nth(1).unwrap().parse().unwrap();
    let cut = |with_head: bool| {
        edit(&after, |txn| {
            let mut audit = txn.open_table(AUDIT).unwrap();
            audit.retain(|sequence, _| sequence < size).unwrap();
            let mut meta = txn.open_table(META).unwrap();
            meta.insert("checkpoint", old_checkpoint.as_slice()).unwrap();
            if with_head {
                meta.insert("head", old_head.as_slice()).unwrap();
            }
        })
    };
    refused(&cut(false), "the log cut to an older checkpoint").await;
    refused(&cut(true), "the log cut to an older checkpoint with its head").await;
    let last = size - 1;
    let changed = edit(&after, |txn| {
        let mut audit = txn.open_table(AUDIT).unwrap();
        let mut record = audit.get(last).unwrap().unwrap().value().to_vec();
        let at = record.len() / 2;
        record[at] ^= 1;
        audit.insert(last, record.as_slice()).unwrap();
    });
    refused(&changed, "a record changed").await;
    let (stranger, _) = two_states().await;
    let slots = meta(&stranger, "slots");
    let pasted =
        edit(&after, |txn| drop(txn.open_table(META).unwrap().insert("slots", slots.as_slice()).unwrap()));
    refused(&pasted, "slots of another file").await;
}

#[tokio::test]
async fn a_file_that_is_no_vault_of_ours_is_refused_and_left_as_it_is() {
    let (_, good) = two_states().await;
    let newer = edit(&good, |txn| {
        drop(txn.open_table(META).unwrap().insert("format", &2_u32.to_le_bytes()[..]).unwrap())
    });
    let foreign = {
        let medium = Arc::new(InMemoryBackend::new());
        let database = Database::builder().create_with_backend(Shared(Arc::clone(&medium))).unwrap();
        drop(database);
        image(&medium)
    };
    let cases: [(&str, Vec<u8>, fn(&OpenError) -> bool); 5] = [
        ("empty", Vec::new(), |error| matches!(error, OpenError::Foreign)),
        ("text", b"hello, world\n".repeat(1000), |error| matches!(error, OpenError::Foreign)),
        ("another database", foreign, |error| matches!(error, OpenError::Foreign)),
        ("newer", newer, |error| matches!(error, OpenError::Newer { found: 2, known: 1, .. })),
        ("truncated", good[..good.len() / 2].to_vec(), |error| !matches!(error, OpenError::Newer { .. })),
    ];
    for (what, bytes, expected) in cases {
        let (medium, shared) = shared(&bytes);
        let error = Vault::open(shared, settings()).map(drop).unwrap_err();
        assert!(expected(&error), "{what}: {error:?}");
        assert_eq!(image(&medium), bytes, "{what}: the file changed");
    }
}

#[tokio::test]
async fn a_wrong_passphrase_never_unlocks_and_never_writes() {
    let (_, good) = two_states().await;
    let (medium, shared) = shared(&good);
    let vault = Vault::open(shared, settings()).unwrap();
    let now = Timestamp::from_millis(START);
    let mistyped = "0000-0000-0000-0000-0000-0000-0000-0000-0000";
    for wrong in ["", "wrong", "correct horse battery staple example ", mistyped] {
        let result = vault.unlock(secret(wrong), Actor::host("test"), now, None).await;
        match result {
            Err(UnlockError::WrongPassphrase) => assert_ne!(wrong, mistyped),
            Err(UnlockError::Mistyped { .. }) => assert_eq!(wrong, mistyped),
            other => panic!("{wrong}: {other:?}"),
        }
    }
    assert!(vault.is_locked());
    drop(vault);
    assert_eq!(image(&medium), good);
}

#[tokio::test]
async fn the_recovery_key_unlocks_too() {
    let (_, shared) = shared(&[]);
    let created = Vault::create(shared.clone(), 1 << 20, &plan()).unwrap();
    let vault = Vault::open(shared, settings()).unwrap();
    let typed = String::from_utf8(created.recovery_key.expose().to_vec()).unwrap().to_lowercase();
    let now = Timestamp::from_millis(START);
    vault.unlock(Secret::from(typed), Actor::host("test"), now, None).await.unwrap();
}

/// Returns a slot's numbers as stored: id, kind, KDF, memory, passes, lanes (each below 251 is one byte).
fn slot_of(kdf: &[u8]) -> Vec<u8> {
    [&[1, 1, 1, 1], kdf, &[1; 16], &[2; 24], &[48], &[3; 48]].concat()
}

#[tokio::test]
async fn hostile_numbers_in_a_slot_are_refused_before_any_work_or_memory() {
    let (_, good) = two_states().await;
    let cases: [(&str, &[u8]); 6] = [
        ("4 TiB of memory", b"\xfc\xff\xff\xff\xff\x01\x01"),
        ("a KiB over the bound", b"\xfc\x01\x00\x10\x00\x01\x01"),
        ("4 billion passes", b"\x40\xfc\xff\xff\xff\xff\x01"),
        ("no pass", b"\x40\x00\x01"),
        ("17 lanes", b"\xfb\x00\x10\x01\x11"),
        ("no lane", b"\x40\x01\x00"),
    ];
    for (what, kdf) in cases {
        let bytes = edit(&good, |txn| {
            drop(txn.open_table(META).unwrap().insert("slots", slot_of(kdf).as_slice()).unwrap())
        });
        let (medium, shared) = shared(&bytes);
        let named = |error: &StorageError| match error {
            StorageError::Tampered { table, key } => (*table, key.as_str()) == ("meta", "slots"),
            _ => false,
        };
        let error = match Vault::open(shared, settings()) {
            Ok(vault) => {
                let now = Timestamp::from_millis(START);
                vault.unlock(secret(PASSPHRASE), Actor::host("test"), now, None).await.unwrap_err()
            }
            Err(error) => panic!("{what}: {error:?}"),
        };
        assert!(matches!(&error, UnlockError::Storage(error) if named(error)), "{what}: {error:?}");
        assert_eq!(image(&medium), bytes, "{what}: the file changed");
    }
    let fair = edit(&good, |txn| {
        let slots = slot_of(b"\x40\x01\x01");
        drop(txn.open_table(META).unwrap().insert("slots", slots.as_slice()).unwrap())
    });
    let refused = unlock(&fair, PASSPHRASE).await.map(drop);
    assert!(
        matches!(refused, Err(UnlockError::WrongPassphrase)),
        "within bounds the slot is tried: {refused:?}"
    );
}
