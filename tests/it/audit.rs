//! The log against RFC 6962 as it is written: what the file keeps of the tree is what its records make.

use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, backends::InMemoryBackend};
use sealroom::{
    audit::{
        checkpoint,
        tree::{self, Hash},
    },
    crypto::digest::sha256,
    domain::{Action, Actor, Event, Timestamp},
    vault::{Admitted, CredentialQuery, Error, EventQuery, Vault},
};

use super::{
    server::{OWNER, PASSPHRASE, PASSWORD, START, context, plan, secret, settings},
    tamper::{AUDIT, backend, close, edit, meta, owner, refused, shared, store, unlock},
};

const HASHES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("hashes");

/// RFC 6962 §2.1, word for word; knows nothing of frontiers.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(b""),
        [leaf] => *leaf,
        leaves => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            tree::node_hash(&root(left), &root(right))
        }
    }
}

/// An open vault with one credential, and its owner.
async fn vault() -> (Arc<InMemoryBackend>, Arc<Vault>, Admitted) {
    let (medium, shared) = shared(&[]);
    Vault::create(shared.clone(), 1 << 20, &plan()).unwrap();
    let vault = Vault::open(shared, settings()).unwrap();
    let now = Timestamp::from_millis(START);
    vault.unlock(secret(PASSPHRASE), Actor::host("test"), now, None).await.unwrap();
    let caller = owner(&vault).await;
    store(&vault, &caller, "ghp_example").await;
    (medium, Arc::new(vault), caller)
}

/// Reads the credential; the sequence of the event that says so.
async fn read(vault: &Vault, caller: &Admitted) -> u64 {
    let now = context(Timestamp::from_millis(START));
    let read = vault.read_credentials(&now, caller, CredentialQuery::default()).await.map_err(drop).unwrap();
    assert_eq!((read.items.len(), read.receipts.len()), (1, 1));
    read.receipts[0].sequence
}

/// The leaf hashes of a closed file's records, in their order, and the rows of `hashes`.
fn leaves_and_hashes(image: &[u8]) -> (Vec<Hash>, Vec<(Vec<u8>, Vec<u8>)>) {
    let database = Database::builder().create_with_backend(backend(image)).unwrap();
    let txn = database.begin_read().unwrap();
    let mut leaves = Vec::new();
    for (n, row) in txn.open_table(AUDIT).unwrap().iter().unwrap().enumerate() {
        let (sequence, record) = row.unwrap();
        assert_eq!(sequence.value(), n as u64);
        let (record, check) = record.value().split_at(record.value().len() - 8);
        let leaf = sha256(&[&[0], record].concat());
        assert_eq!(check, &leaf[..8], "the check beside the record");
        leaves.push(leaf);
    }
    // A log without a complete subtree has no table of them yet.
    let Ok(hashes) = txn.open_table(HASHES) else { return (leaves, Vec::new()) };
    let pair = |row: Result<(redb::AccessGuard<'_, &[u8]>, redb::AccessGuard<'_, &[u8]>), _>| {
        let (key, value) = row.unwrap();
        (key.value().to_vec(), value.value().to_vec())
    };
    (leaves, hashes.iter().unwrap().map(pair).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_ten_thousand_events_tree_hashes_and_checkpoint_agree_with_the_records() {
    let (medium, vault, caller) = vault().await;
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (vault, caller) = (Arc::clone(&vault), caller.clone());
        readers.spawn(async move {
            for _ in 0..101 {
                read(&vault, &caller).await;
            }
        });
    }
    while let Some(done) = readers.join_next().await {
        done.unwrap();
    }
    let key = vault.verifier_key().unwrap();
    let closed = close(Arc::into_inner(vault).unwrap(), &medium).await;
    let (leaves, hashes) = leaves_and_hashes(&closed);
    assert!(leaves.len() > 10_000);

    let subtree = |(index, leaves): (usize, &[Hash])| {
        ([&[8], (index as u64).to_be_bytes().as_slice()].concat(), root(leaves).to_vec())
    };
    let expected: Vec<_> = leaves.chunks_exact(256).enumerate().map(subtree).collect();
    assert_eq!(hashes, expected, "each complete subtree of 256 leaves, under its key, and nothing else");

    let note = String::from_utf8(meta(&closed, "checkpoint")).unwrap();
    let signed = checkpoint::open(&note, &[key]).unwrap();
    assert_eq!((signed.size, signed.root), (leaves.len() as u64, root(&leaves)));
    assert!(unlock(&closed, PASSPHRASE).await.is_ok(), "head and digest agree");
}

#[test]
fn the_subtrees_of_the_second_level_are_stored_too() {
    let mut frontier = tree::Frontier::EMPTY;
    let leaves: Vec<Hash> = (0..(1_u64 << 16) + 1).map(|n| tree::leaf_hash(&n.to_be_bytes())).collect();
    let stored: Vec<_> = leaves.iter().flat_map(|leaf| frontier.push(*leaf)).collect();
    let second: Vec<_> = stored.iter().filter(|one| one.level != 8).collect();
    assert_eq!((stored.len(), second.len()), (257, 1));
    assert_eq!((second[0].level, second[0].index, second[0].hash), (16, 0, root(&leaves[..1 << 16])));
    assert_eq!((frontier.size(), frontier.root()), (leaves.len() as u64, root(&leaves)));
}

/// At a size that is a multiple of 256 the start once re-hashed the records after the last full 256: none.
#[tokio::test]
async fn the_newest_records_are_checked_at_every_size_of_the_log() {
    for size in [255, 256, 257, 512] {
        let (medium, vault, caller) = vault().await;
        while read(&vault, &caller).await + 2 < size {}
        let closed = close(Arc::into_inner(vault).unwrap(), &medium).await;
        assert_eq!(leaves_and_hashes(&closed).0.len() as u64, size);
        assert!(unlock(&closed, PASSPHRASE).await.is_ok(), "untouched, at size {size}, it opens");
        let changed = edit(&closed, |txn| {
            let mut audit = txn.open_table(AUDIT).unwrap();
            let row = audit.get(size - 1).unwrap().unwrap().value().to_vec();
            let record = String::from_utf8(row[..row.len() - 8].to_vec()).unwrap();
            let other = record.replace("host:test", "host:evil");
            assert_ne!(other, record);
            // Its check is made anew too: what notices it is the tree.
            let check = &sha256(&[&[0], other.as_bytes()].concat())[..8];
            audit.insert(size - 1, [other.as_bytes(), check].concat().as_slice()).unwrap();
        });
        refused(&changed, &format!("the newest of {size} records changed")).await;
    }
}

/// The host's events passed a lock that the commit thread had decided already.
#[tokio::test]
async fn nothing_is_decided_or_recorded_once_a_lock_is_decided() {
    let (_, vault, caller) = vault().await;
    let now = Timestamp::from_millis(START);
    let (at, event) = (context(now), |action| Event::new(now, Actor::host("test"), action));
    // On one thread the lock is submitted first, and the others before it is committed.
    let (locked, recorded, read, listed, login) = tokio::join!(
        vault.lock(event(Action::VaultLock)),
        vault.record(event(Action::ServerStart)),
        vault.read_credentials(&at, &caller, CredentialQuery::default()),
        vault.list_tokens(&at, &caller),
        vault.login(&at, OWNER, secret(PASSWORD)),
    );
    locked.unwrap();
    let others = [recorded.err(), read.err(), listed.err(), login.err()];
    assert!(others.iter().all(|error| matches!(error, Some(Error::Locked))), "{others:?}");
    vault.unlock(secret(PASSPHRASE), Actor::host("test"), now, None).await.unwrap();
    let query = EventQuery { limit: 3, ..EventQuery::default() };
    let (events, _) = vault.read_events(&at, &caller, &query).await.unwrap();
    for (event, action) in events.iter().zip(["audit.read", "vault.unlock", "vault.lock"]) {
        assert!(event.contains(&format!(r#""action":"{action}""#)), "{events:?}");
    }
}
