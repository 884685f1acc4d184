//! A record that was changed in the closed file never leaves the server: whoever reads the log is told, and soon nothing
//! is signed or disclosed any more.
//!
//! A hostile review rewrote an old record together with the unkeyed check beside it: the server listed and exported it
//! with a fresh leaf hash, and an application that had stolen a credential was nowhere in its log.

use std::fs;

use redb::{Database, WriteTransaction};
use sealroom::{
    audit::tree::{Frontier, leaf_hash},
    auth::policy::Verb,
    crypto::digest::sha256,
    domain::{Actor, Timestamp, seconds},
    storage::tables::hash_key,
    vault::{Admitted, CredentialQuery, Error, EventQuery, Proof, Settings, Vault},
};

use crate::support::{
    binary::Serving,
    log::{SERVE, grow},
    memory_disk::{AUDIT, Bytes, close, edit, image, log, owner, rows, shared, store, unlock},
    server::{PASSPHRASE, START, context, plan, secret, settings},
};

/// The number of records after which every test here forges: one full block of the tree, a second, and some more.
const RECORDS: usize = 600;

fn now() -> Timestamp {
    Timestamp::from_millis(START)
}

async fn read(vault: &Vault, caller: &Admitted) -> Result<(), Error> {
    let read = vault.read_credentials(&context(now()), caller, CredentialQuery::default()).await;
    read.map(drop)
}

/// A closed vault with a long log.
async fn long() -> Vec<u8> {
    let (medium, shared) = shared(&[]);
    Vault::create(shared.clone(), 1 << 20, &plan()).unwrap();
    drop(shared);
    let vault = unlock_on(&medium).await;
    let caller = owner(&vault).await;
    for n in 0..20 {
        store(&vault, &caller, &format!("ghp_example_{n}")).await;
    }
    for _ in 0..RECORDS / 20 {
        read(&vault, &caller).await.unwrap();
    }
    close(vault, &medium).await
}

async fn unlock_on(medium: &std::sync::Arc<redb::backends::InMemoryBackend>) -> Vault {
    let shared = std::sync::Arc::new(crate::support::memory_disk::Shared(medium.clone()));
    let vault = Vault::open(shared, settings()).unwrap();
    let passphrase = crate::support::server::secret(PASSPHRASE);
    vault.unlock(passphrase, sealroom::domain::Actor::host("test"), now(), None).await.unwrap();
    vault
}

/// Puts a record there, with the check that anybody can make.
fn put(txn: &WriteTransaction, sequence: u64, record: &[u8]) {
    let check = &sha256(&[&[0], record].concat())[..8];
    txn.open_table(AUDIT).unwrap().insert(sequence, [record, check].concat().as_slice()).unwrap();
}

fn record(image: &[u8], sequence: u64) -> Vec<u8> {
    let rows = log(image);
    let row = &rows.iter().find(|(found, _)| *found == sequence).unwrap().1;
    row[..row.len() - 8].to_vec()
}

/// The record with another actor, of the same length or not.
fn forged(image: &[u8], sequence: u64) -> Vec<u8> {
    let text = String::from_utf8(record(image, sequence)).unwrap();
    let forged = text.replacen("user:owner@example.com", "user:eve@example.com", 1);
    assert_ne!(text, forged);
    forged.into_bytes()
}

/// The hash over the first 256 records, with this one in its place.
fn block_hash(image: &[u8], at: u64, with: &[u8]) -> Vec<u8> {
    let mut frontier = Frontier::EMPTY;
    for (sequence, row) in log(image).into_iter().take(256) {
        let record = if sequence == at { with } else { &row[..row.len() - 8] };
        drop(frontier.push(leaf_hash(record)));
    }
    frontier.root().to_vec()
}

/// Each way to change a closed file's old records, and what it is called.
fn forgeries(image: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let at = 40;
    let put_one = |sequence: u64, record: Vec<u8>| edit(image, |txn| put(txn, sequence, &record));
    let other = forged(image, at);
    let junk = br#"{"v":1,"sequence":40,"time":"x\u001b[2J","actor":"nobody"}"#.to_vec();
    vec![
        ("changed", put_one(at, other.clone())),
        ("changed in the second block", put_one(300, forged(image, 300))),
        ("deleted", edit(image, |txn| drop(txn.open_table(AUDIT).unwrap().remove(at).unwrap()))),
        ("doubled", put_one(at, record(image, at + 1))),
        ("no record at all", put_one(at, junk)),
        (
            "changed with the hash over its block",
            edit(image, |txn| {
                put(txn, at, &other);
                let hash = block_hash(image, at, &other);
                let mut hashes = txn.open_table(Bytes::new("hashes")).unwrap();
                hashes.insert(hash_key(8, 0).as_slice(), hash.as_slice()).unwrap();
            }),
        ),
        (
            "without the hash over its block",
            edit(image, |txn| {
                put(txn, at, &other);
                let mut hashes = txn.open_table(Bytes::new("hashes")).unwrap();
                hashes.remove(hash_key(8, 0).as_slice()).unwrap();
            }),
        ),
    ]
}

fn is_tampered(error: &Error) -> bool {
    match error {
        Error::Logged(error) => is_tampered(error),
        error => matches!(error, Error::Tampered(_)),
    }
}

fn whole() -> EventQuery {
    EventQuery { limit: 1000, ..EventQuery::default() }
}

#[tokio::test]
async fn an_old_record_that_was_changed_in_the_closed_file_cannot_leave_the_server() {
    let image = long().await;
    let untouched = unlock(&edit(&image, |_| {}), PASSPHRASE).await.unwrap();
    let caller = owner(&untouched).await;
    let (events, _) = untouched.read_events(&context(now()), &caller, &whole()).await.unwrap();
    assert!(events.len() > RECORDS, "untouched it is read: {}", events.len());
    for (what, image) in forgeries(&image) {
        let vault = unlock(&image, PASSPHRASE).await.unwrap();
        let caller = owner(&vault).await;
        let listed = vault.read_events(&context(now()), &caller, &whole()).await.unwrap_err();
        assert!(is_tampered(&listed), "{what}: listed, {listed:?}");
        let thief = EventQuery { actor: Some("user:eve@example.com".parse().unwrap()), ..whole() };
        let filtered = vault.read_events(&context(now()), &caller, &thief).await.unwrap_err();
        assert!(is_tampered(&filtered), "{what}: filtered, {filtered:?}");
        let (range, _turn) = vault.begin_export(&context(now()), &caller, Some(0), None).await.unwrap();
        let size = range.end;
        let mut next = 0;
        let exported = loop {
            match vault.export_chunk(&caller, now(), next, size) {
                Ok(records) if records.is_empty() => break None,
                Ok(records) => next = records.last().unwrap().0 + 1,
                Err(error) => break Some(error),
            }
        };
        assert!(exported.is_some_and(|error| is_tampered(&error)), "{what}: exported {next}");
        for proof in [Proof::Inclusion { sequence: 41, size }, Proof::Consistency { from: 41, to: size }] {
            let proven = vault.prove(&context(now()), &caller, proof).await;
            let is_refused = proven.is_err_and(|error| is_tampered(&error));
            assert!(is_refused || what.contains("second"), "{what}: {proof:?}");
        }
        assert!(!vault.is_failing(), "{what}: a read by itself stops nothing");
    }
}

#[tokio::test]
async fn a_check_of_the_whole_log_stops_signing_and_disclosing_at_the_first_flaw() {
    let image = long().await;
    let check = |vault: &Vault| {
        let mut next = 0;
        loop {
            match vault.check_log(next) {
                Ok(Some(after)) => next = after,
                Ok(None) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    };
    for (what, image) in forgeries(&image) {
        let vault = unlock(&image, PASSPHRASE).await.unwrap();
        let caller = owner(&vault).await;
        read(&vault, &caller).await.unwrap();
        let checkpoint = vault.checkpoint().unwrap();
        assert!(vault.is_log_check_due(), "{what}");
        let found = check(&vault).unwrap_err();
        assert!(is_tampered(&found), "{what}: {found:?}");
        assert!(vault.is_log_flawed() && vault.is_failing() && !vault.is_log_check_due(), "{what}");
        let refused = read(&vault, &caller).await.unwrap_err();
        assert!(matches!(refused, Error::AuditUnavailable), "{what}: {refused:?}");
        assert_eq!(vault.checkpoint().unwrap(), checkpoint, "{what}: nothing was signed since");
    }
    let vault = unlock(&image, PASSPHRASE).await.unwrap();
    check(&vault).unwrap();
    assert!(!vault.is_log_flawed() && !vault.is_log_check_due(), "the next one is due in a day");
    read(&vault, &owner(&vault).await).await.unwrap();
}

/// The last access of the newest integration, as its list shows it.
async fn last_access(vault: &Vault) -> Vec<Option<u64>> {
    let caller = owner(vault).await;
    let context = context(now());
    let listed =
        vault.list_integrations(&context, &caller, Verb::ListIntegrations, None, None, (None, None)).await;
    let (listed, _) = listed.map_err(drop).unwrap();
    listed.iter().map(|one| one.last_access.as_ref().map(|access| access.sequence)).collect()
}

/// A clock that was ahead kept all later ones in memory until it was there again, and each start read the log since.
#[tokio::test]
async fn last_accesses_go_to_their_table_within_a_second_also_after_a_clock_that_was_ahead() {
    let (medium, shared) = shared(&[]);
    Vault::create(shared.clone(), 1 << 20, &plan()).unwrap();
    // A vault that is never idle.
    let settings = Settings { flush_interval: seconds(600), ..settings() };
    let vault = Vault::open(shared, settings).unwrap();
    vault.unlock(secret(PASSPHRASE), Actor::host("test"), now(), None).await.unwrap();
    let caller = owner(&vault).await;
    store(&vault, &caller, "ghp_example").await;
    let written = async |after: u64| {
        let context = context(now().plus(seconds(after)));
        let read = vault.read_credentials(&context, &caller, CredentialQuery::default()).await;
        read.map(drop).unwrap();
        rows(&image(&medium), "last_access")
    };
    for times in [[1, 3, 5], [600, 602, 604], [7, 9, 11]] {
        let states = [written(times[0]).await, written(times[1]).await, written(times[2]).await];
        assert!(states[0] != states[1] && states[1] != states[2], "{times:?} s after the start");
    }
}

#[tokio::test]
async fn a_last_access_that_was_deleted_or_put_back_is_read_from_the_log_again() {
    let (medium, shared) = shared(&[]);
    Vault::create(shared.clone(), 1 << 20, &plan()).unwrap();
    drop(shared);
    let vault = unlock_on(&medium).await;
    let caller = owner(&vault).await;
    for n in 0..3 {
        store(&vault, &caller, &format!("ghp_example_{n}")).await;
    }
    read(&vault, &caller).await.unwrap();
    let before = close(vault, &medium).await;
    let vault = unlock_on(&medium).await;
    let caller = owner(&vault).await;
    read(&vault, &caller).await.unwrap();
    let after = close(vault, &medium).await;
    let honest = last_access(&unlock(&after, PASSPHRASE).await.unwrap()).await;
    assert!(honest.iter().all(Option::is_some), "{honest:?}");
    let (old, new) = (rows(&before, "last_access"), rows(&after, "last_access"));
    assert!(old.len() == 4 && new.len() == 4, "three and their watermark: {} {}", old.len(), new.len());
    let insert = |txn: &WriteTransaction, row: &(Vec<u8>, Vec<u8>)| {
        let mut table = txn.open_table(Bytes::new("last_access")).unwrap();
        table.insert(row.0.as_slice(), row.1.as_slice()).unwrap();
    };
    let remove = |txn: &WriteTransaction, key: &[u8]| {
        drop(txn.open_table(Bytes::new("last_access")).unwrap().remove(key).unwrap());
    };
    let cases = [
        ("one deleted", edit(&after, |txn| remove(txn, &new[2].0))),
        ("one put back", edit(&after, |txn| insert(txn, &old[2]))),
        (
            "all but the watermark deleted",
            edit(&after, |txn| new[1..].iter().for_each(|row| remove(txn, &row.0))),
        ),
        ("all deleted", edit(&after, |txn| new.iter().for_each(|row| remove(txn, &row.0)))),
        ("all put back", edit(&after, |txn| old.iter().for_each(|row| insert(txn, row)))),
        (
            "all but the watermark put back",
            edit(&after, |txn| old[1..].iter().for_each(|row| insert(txn, row))),
        ),
        ("the watermark put back", edit(&after, |txn| insert(txn, &old[0]))),
    ];
    for (what, image) in cases {
        let vault = unlock(&image, PASSPHRASE).await.unwrap();
        assert_eq!(last_access(&vault).await, honest, "{what}");
    }
    // Their source is held against the head as well: a forged record becomes nobody's last access.
    let lie = edit(&after, |txn| {
        let last = log(&after)
            .into_iter()
            .rev()
            .find(|(_, row)| String::from_utf8_lossy(row).contains("credentials.read"));
        put(txn, last.as_ref().unwrap().0, &forged(&after, last.as_ref().unwrap().0));
        new.iter().for_each(|row| remove(txn, &row.0));
    });
    assert!(unlock(&lie, PASSPHRASE).await.is_err());
    let old_lie = {
        let image = long().await;
        edit(&image, |txn| {
            put(txn, 40, &forged(&image, 40));
            rows(&image, "last_access").iter().for_each(|row| remove(txn, &row.0));
        })
    };
    assert!(unlock(&old_lie, PASSPHRASE).await.is_err(), "nor one far behind the newest block");
}

#[tokio::test]
async fn a_server_on_a_forged_log_says_so_and_stops_by_itself() {
    let folder = crate::support::binary::vault();
    grow(folder.path(), 300).await;
    let file = folder.path().join("v.redb");
    let bytes = fs::read(&file).unwrap();
    {
        let database = Database::builder().create(&file).unwrap();
        let txn = database.begin_write().unwrap();
        let text = String::from_utf8(record(&bytes, 6)).unwrap();
        put(&txn, 6, text.replacen("ada@example.com", "eve@example.com", 1).as_bytes());
        txn.commit().unwrap();
    }
    let mut server = Serving::start(folder.path(), SERVE);
    server.logged("the audit log is not the one that was signed");
    let health = server.health();
    assert!(health.contains(" 503 ") && health.contains(r#""detail":["log_flawed"]"#), "{health}");
    assert!(health.contains(r#""audit":"unavailable""#), "{health}");
    assert!(server.stop());
}
