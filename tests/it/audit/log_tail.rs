//! The newest records stand beside the head until they are many or the writer pauses: nobody who reads can tell, and
//! nobody who writes the file gets away with it.

use redb::{ReadableTable, TableDefinition};
use sealroom::{
    crypto::digest::sha256,
    domain::{Actor, Timestamp},
    storage::{
        Engine,
        tables::{tail, tail_rows},
    },
    vault::{CredentialQuery, Vault},
};

use crate::support::{
    memory_disk::{AUDIT, close, edit, image, owner, refused, shared, store, unlock},
    server::{PASSPHRASE, START, context, plan, secret, settings},
};

const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");

type Rows = Vec<(u64, Vec<u8>)>;

/// Returns the records in the table and those beside the head.
fn both(image: &[u8]) -> (Rows, Rows) {
    let (mut table, mut beside) = (Vec::new(), Vec::new());
    edit(image, |txn| {
        let audit = txn.open_table(AUDIT).unwrap();
        table = audit
            .iter()
            .unwrap()
            .map(Result::unwrap)
            .map(|(n, row)| (n.value(), row.value().to_vec()))
            .collect();
        let meta = txn.open_table(META).unwrap();
        beside = meta.get("tail").unwrap().map_or(Vec::new(), |it| tail_rows(it.value()).unwrap());
    });
    (table, beside)
}

/// A running vault's file after each of some reads, as a power cut would leave it; and closed.
async fn images() -> (Vec<Vec<u8>>, Vec<u8>) {
    let (medium, shared) = shared(&[]);
    Vault::create(shared.clone(), 1 << 20, &plan()).unwrap();
    let mut images = vec![image(&medium)];
    let vault = Vault::open(shared, settings()).unwrap();
    let now = Timestamp::from_millis(START);
    vault.unlock(secret(PASSPHRASE), Actor::host("test"), now, None).await.unwrap();
    let caller = owner(&vault).await;
    store(&vault, &caller, "ghp_example").await;
    for _ in 0..12 {
        let read = vault.read_credentials(&context(now), &caller, CredentialQuery::default()).await;
        drop(read.map_err(drop).unwrap());
        images.push(image(&medium));
    }
    (images, close(vault, &medium).await)
}

#[tokio::test]
async fn the_log_reads_the_same_wherever_its_newest_records_stand() {
    let (images, closed) = images().await;
    let mut beside = std::collections::BTreeSet::new();
    for image in &images {
        let (mut all, newest) = both(image);
        beside.insert(newest.len());
        all.extend(newest);
        assert!(all.iter().enumerate().all(|(n, (sequence, _))| *sequence == n as u64));
        let snapshot = Engine::open(shared(image).1, 1 << 20).unwrap();
        let snapshot = snapshot.snapshot().unwrap();
        let record = |(sequence, row): &(u64, Vec<u8>)| (*sequence, row[..row.len() - 8].to_vec());
        for at in 0..=all.len() {
            for limit in 1..=all.len() + 1 {
                let from: Rows = all[at..].iter().take(limit).map(record).collect();
                assert_eq!(snapshot.records(at as u64, limit).unwrap(), from, "from {at}, {limit}");
                let before: Rows = all[..at].iter().rev().take(limit).map(record).collect();
                assert_eq!(
                    snapshot.records_before(at as u64, limit).unwrap(),
                    before,
                    "before {at}, {limit}"
                );
                let mut rows = Vec::new();
                snapshot.audit_rows(at as u64, limit, |n, row| rows.push((n, row.to_vec()))).unwrap();
                assert_eq!(rows, all[at..].iter().take(limit).cloned().collect::<Rows>());
            }
        }
        assert!(unlock(image, PASSPHRASE).await.is_ok());
    }
    assert!(beside.contains(&0) && beside.contains(&1) && beside.contains(&3), "{beside:?}");
    assert!(both(&closed).1.is_empty() && both(&images[0]).1.is_empty(), "a file at rest has none");
}

#[tokio::test]
async fn a_tail_that_was_changed_is_refused() {
    let (images, _) = images().await;
    let image = images.iter().find(|image| both(image).1.len() == 3).unwrap();
    let (table, beside) = both(image);
    let with = |bytes: Option<Vec<u8>>| {
        edit(image, |txn| {
            let mut meta = txn.open_table(META).unwrap();
            match &bytes {
                Some(bytes) => drop(meta.insert("tail", bytes.as_slice()).unwrap()),
                None => drop(meta.remove("tail").unwrap()),
            }
        })
    };
    assert!(unlock(&with(Some(tail(&beside))), PASSPHRASE).await.is_ok(), "untouched it opens");
    let mut other = beside.clone();
    let record = String::from_utf8(other[1].1[..other[1].1.len() - 8].to_vec()).unwrap();
    let changed = record.replace("\"allowed\"", "\"failed\"");
    assert_ne!(record, changed);
    other[1].1 = [changed.as_bytes(), &sha256(&[&[0], changed.as_bytes()].concat())[..8]].concat();
    let again: Rows = table[table.len() - 1..].iter().chain(&beside).cloned().collect();
    for (what, bytes) in [
        ("no tail", None),
        ("a cut tail", Some(tail(&beside[..2]))),
        ("half a row", Some(tail(&beside)[..40].to_vec())),
        ("a tail that begins later", Some(tail(&beside[1..]))),
        ("a record twice", Some(tail(&again))),
        ("another record with its check", Some(tail(&other))),
    ] {
        refused(&with(bytes), what).await;
    }
    let large: Rows = (0..200).map(|n| (beside[0].0 + n, beside[0].1.clone())).collect();
    for (what, rows) in
        [("records of the table, forged", &table[1..3].to_vec()), ("more than it may hold", &large)]
    {
        let image = with(Some(tail(rows)));
        refused(&image, what).await;
        // However little of the log is asked for: a check in chunks could end with the table.
        let snapshot = Engine::open(shared(&image).1, 1 << 20).unwrap().snapshot().unwrap();
        assert!(snapshot.audit_rows(0, 1, |_, _| ()).is_err(), "{what}");
        assert!(
            snapshot.records(0, table.len()).is_err() && snapshot.records_before(2, 1).is_err(),
            "{what}"
        );
    }
}
