//! A disk that keeps an older page, and an engine whose checksum does not notice.
//!
//! The engine's checksum of a page stands in the page above it and is not keyed. Here it always agrees, as if the
//! attacker had found a collision: rows of one page go back to the commit before, through the engine itself.

use std::sync::Arc;

use redb::{Database, Key, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use sealroom::storage::Store;

use crate::{
    lab::{
        cuts,
        disk::Disk,
        journal::{Op, settle},
        recording::Recording,
        rng::Rng,
    },
    support::memory_disk::{backend, edit},
};

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

const BY_BYTES: [&str; 9] = [
    "users",
    "sessions",
    "projects",
    "integrations",
    "tokens",
    "token_ids",
    "credentials",
    "scopes",
    "hashes",
];
const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
const AUDIT: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("audit");

fn rows<K: Key + 'static>(database: &Database, table: TableDefinition<'_, K, &[u8]>) -> Rows {
    let Ok(table) = database.begin_read().unwrap().open_table(table) else { return Vec::new() };
    let rows = table.iter().unwrap().map(Result::unwrap);
    rows.map(|(key, value)| (K::as_bytes(&key.value()).as_ref().to_vec(), value.value().to_vec())).collect()
}

/// Puts the rows from `first` to `last` back to what they were.
fn put_back<K: Key + 'static>(
    txn: &WriteTransaction,
    table: TableDefinition<'_, K, &[u8]>,
    [old, new]: [&Rows; 2],
    [first, last]: [&[u8]; 2],
) {
    let within = |key: &[u8]| {
        K::compare(first, key) != std::cmp::Ordering::Greater
            && K::compare(key, last) != std::cmp::Ordering::Greater
    };
    let mut table = txn.open_table(table).unwrap();
    for (key, _) in new.iter().filter(|(key, _)| within(key)) {
        table.remove(K::from_bytes(key)).unwrap();
    }
    for (key, value) in old.iter().filter(|(key, _)| within(key)) {
        table.insert(K::from_bytes(key), value.as_slice()).unwrap();
    }
}

/// Draws a page that the last commit wrote, with up to eight rows, and puts it back.
fn stale<K: Key + 'static>(
    [before, after]: [&[u8]; 2],
    table: TableDefinition<'_, K, &[u8]>,
    rng: &mut Rng,
) -> Option<Vec<u8>> {
    let [old, new] = [before, after]
        .map(|image| rows(&Database::builder().create_with_backend(backend(image)).unwrap(), table));
    let mut all: Rows = old.iter().chain(&new).cloned().collect();
    all.sort_by(|(one, _), (other, _)| K::compare(one, other));
    // A row that did not change stands here twice; one that did, or came or went, has no twin.
    let changed = |at: &usize| all.iter().filter(|row| *row == &all[*at]).count() == 1;
    let changed: Vec<usize> = (0..all.len()).filter(changed).collect();
    let at = *rng.of(&changed)?;
    let [first, last] = [at.saturating_sub(rng.below(4)), (at + rng.below(4)).min(all.len() - 1)];
    let page = [&*all[first].0, &*all[last].0];
    Some(edit(after, |txn| put_back(txn, table, [&old, &new], page)))
}

/// Opens and unlocks the file; the checkpoint of the state that is served, if it is not refused.
async fn served(recording: &Recording, image: Vec<u8>) -> Option<String> {
    let store = Store::open(Disk::new(Arc::new(image)).medium(), 1 << 20).ok()?;
    let running = store.unlock(&recording.key, cuts::writing()).ok()?;
    let checkpoint = store.checkpoint().unwrap();
    drop(running.writer);
    drop(running.ended.await);
    Some(checkpoint)
}

#[tokio::test]
async fn a_page_of_the_commit_before_is_never_served_though_the_engine_takes_it() {
    let (mut refused, mut rolled_back) = (0, 0);
    for seed in 1..=3 {
        let recording = Recording::make(seed, 30).await.unwrap();
        let mut rng = Rng::new(&[seed, 9]);
        let (mut image, mut pending) = (recording.base.to_vec(), Vec::new());
        let mut before = image.clone();
        for op in &recording.ops {
            settle(&mut image, &mut pending, op);
            if !matches!(op, Op::Sync) || !rng.one_in(2) {
                continue;
            }
            let states = [&*before, &*image];
            let mut damaged: Vec<_> = BY_BYTES
                .iter()
                .map(|table| stale(states, TableDefinition::<&[u8], &[u8]>::new(table), &mut rng))
                .collect();
            damaged.push(stale(states, META, &mut rng));
            damaged.push(stale(states, AUDIT, &mut rng));
            for damaged in damaged.into_iter().flatten() {
                let Some(checkpoint) = served(&recording, damaged).await else {
                    refused += 1;
                    continue;
                };
                // The head was one of that page's rows, and all the others are as it says: the commit before, whole.
                let old = Store::open(Disk::new(Arc::new(before.clone())).medium(), 1 << 20).unwrap();
                assert_eq!(checkpoint, old.checkpoint().unwrap(), "seed {seed}: a mixture was served");
                rolled_back += 1;
            }
            before.clone_from(&image);
        }
    }
    assert!(refused > 100 && rolled_back < refused, "{refused} refused, {rolled_back} rolled back");
}
