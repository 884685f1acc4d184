//! Migrations, rehearsed with a pretend next format: cut short at every call to the disk, a migration is done once and
//! whole, or not at all.

use std::sync::{Arc, Mutex};

use sealroom::{
    domain::{Action, Actor, Event, Role, Timestamp},
    storage::{Keeper, Migrations, NotKept, OpenError, StorageError, Store, tables::Table},
    vault::{Settings, UnlockError, Vault},
};

use crate::{
    lab::{
        disk::{Disk, Fault},
        journal::Op,
        rng::Rng,
    },
    support::{
        memory_disk::{self, shared},
        server::{PASSPHRASE, START, context, secret, settings},
    },
};

/// Format 2 adds 100 to each user's version, and format 3 adds 7: a migration that ran twice would show.
const NEXT: Migrations = Migrations(&[|file| add(file, 100), |file| add(file, 7)]);
const ADDED: u64 = 107;
/// The second of two steps fails.
const HALF: Migrations = Migrations(&[|file| add(file, 100), |_| Err(StorageError::Random)]);

fn add(file: &mut sealroom::storage::Migrating<'_>, count: u8) -> Result<(), StorageError> {
    file.rewrite(Table::Users, |_, row| {
        // The version is the last field, and small: one byte.
        let mut row = row.to_vec();
        *row.last_mut().unwrap() += count;
        Ok(Some(row))
    })
}

fn fixture() -> Arc<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    Arc::new(std::fs::read(folder.join("format-1.redb")).unwrap())
}

/// The copies that were kept.
type Kept = Arc<Mutex<Vec<Vec<u8>>>>;

fn rehearsal(kept: &Kept) -> Settings {
    let kept = Arc::clone(kept);
    let keeper = Keeper::new(move |upgrade| {
        let (memory, medium) = shared(&[]);
        let medium: sealroom::disk::Medium = medium;
        let failed = |error: std::io::Error| NotKept { message: error.to_string(), hint: String::new() };
        upgrade.copy_to(&medium, |_| {}).map_err(failed)?;
        assert!(upgrade.is_kept_in(medium));
        assert_eq!((upgrade.from, upgrade.to), (1, 3));
        kept.lock().unwrap().push(memory_disk::image(&memory));
        Ok(())
    });
    Settings { migrations: NEXT, keeper: Some(keeper), ..settings() }
}

async fn unlock(vault: &Vault, passphrase: &str) -> Result<(), UnlockError> {
    vault.unlock(secret(passphrase), Actor::host("test"), Timestamp::from_millis(START), None).await
}

/// Returns the version of the one member, whom no login changes, and the number of `vault.migrate` in the log.
async fn outcome(vault: &Vault) -> (u64, usize) {
    let at = context(Timestamp::from_millis(START));
    let owner = memory_disk::owner(vault).await;
    let users = vault.list_users(&at, &owner).await.map_err(drop).unwrap();
    let version = users.iter().find(|user| user.role == Role::Member).unwrap().version;
    let mut migrated = 0;
    let mut next = 0;
    while let Ok(records) = vault.records(next)
        && let Some((last, _)) = records.last()
    {
        next = last + 1;
        let of_migration = |(_, record): &&(u64, Vec<u8>)| {
            String::from_utf8_lossy(record).contains(r#""action":"vault.migrate","outcome":"allowed""#)
        };
        migrated += records.iter().filter(of_migration).count();
    }
    (version, migrated)
}

/// Returns the outcome of a file that was never migrated.
async fn unmigrated() -> (u64, usize) {
    let vault = Vault::open(Disk::new(fixture()).medium(), settings()).unwrap();
    unlock(&vault, PASSPHRASE).await.unwrap();
    outcome(&vault).await
}

/// Opens what an attempt left as the next process does, and checks that the migration was done once.
async fn check_recovered(disk: &Disk, expected: u64, what: &str) {
    let kept = Kept::default();
    let vault =
        Vault::open(disk.medium(), rehearsal(&kept)).unwrap_or_else(|error| panic!("{what}: {error}"));
    unlock(&vault, PASSPHRASE).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(outcome(&vault).await, (expected, 1), "{what}");
    for copy in kept.lock().unwrap().iter() {
        assert!(Store::open(shared(copy).1, 1 << 20).is_ok_and(|file| file.format().unwrap() == 1), "{what}");
    }
}

#[tokio::test]
async fn an_older_file_is_migrated_once_with_a_record_and_a_copy_that_the_version_before_opens() {
    let (before, none) = unmigrated().await;
    assert_eq!(none, 0);
    let (disk, kept) = (Disk::new(fixture()), Kept::default());
    let vault = Vault::open(disk.medium(), rehearsal(&kept)).unwrap();
    for wrong in ["", "wrong"] {
        assert!(matches!(unlock(&vault, wrong).await, Err(UnlockError::WrongPassphrase)));
    }
    assert_eq!((disk.calls(), kept.lock().unwrap().len()), (0, 0), "a wrong passphrase migrates nothing");
    unlock(&vault, PASSPHRASE).await.unwrap();
    assert_eq!(outcome(&vault).await, (before + ADDED, 1));
    let now = Timestamp::from_millis(START);
    vault.lock(Event::new(now, Actor::host("test"), Action::VaultLock)).await.map_err(drop).unwrap();
    drop(vault);
    let copies = kept.lock().unwrap().clone();
    assert!(copies == [fixture().to_vec()], "one copy, byte for byte");
    check_recovered(&disk.kill(), before + ADDED, "a second start").await;
    assert_eq!(kept.lock().unwrap().len(), 1, "a file of the newest format needs no copy");
    // An earlier program names the version that it needs.
    let error =
        Store::open(Disk::new(Arc::new(disk.kill().image())).medium(), 1 << 20).map(drop).unwrap_err();
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        matches!(&error, OpenError::Newer { found: 3, known: 1, program } if program == version),
        "{error:?}"
    );
    assert!(error.to_string().contains(&format!("sealroom {version}")), "{error}");
}

#[tokio::test]
async fn a_file_whose_copy_cannot_be_kept_or_whose_rows_do_not_migrate_stays_as_it_is() {
    let refuse: fn() -> Keeper =
        || Keeper::new(|_| Err(NotKept { message: "no room".to_owned(), hint: "free space".to_owned() }));
    let disk = Disk::new(fixture());
    let vault =
        Vault::open(disk.medium(), Settings { keeper: Some(refuse()), ..rehearsal(&Kept::default()) });
    let vault = vault.unwrap();
    for _ in 0..2 {
        let error = unlock(&vault, PASSPHRASE).await.unwrap_err();
        assert!(matches!(error, UnlockError::Migration(_)) && error.to_string() == "no room", "{error:?}");
    }
    let without =
        Vault::open(disk.medium(), Settings { keeper: None, ..rehearsal(&Kept::default()) }).unwrap();
    let error = unlock(&without, PASSPHRASE).await.unwrap_err();
    assert!(matches!(error, UnlockError::Storage(StorageError::Older { found: 1, newest: 3 })), "{error:?}");
    assert_eq!(disk.calls(), 0);
    // The second of two steps fails: nothing of the first is written.
    let vault =
        Vault::open(disk.medium(), Settings { migrations: HALF, ..rehearsal(&Kept::default()) }).unwrap();
    for _ in 0..2 {
        assert!(unlock(&vault, PASSPHRASE).await.is_err());
    }
    let released = Vault::open(disk.kill().medium(), settings()).unwrap();
    unlock(&released, PASSPHRASE).await.unwrap();
    assert_eq!(outcome(&released).await, unmigrated().await);
}

#[tokio::test]
async fn a_migration_that_fails_or_is_killed_at_any_call_is_done_once_by_the_next_unlock() {
    let (_, calls, expected) = recorded().await;
    for first in 1..=calls {
        for last in [first, usize::MAX] {
            let (disk, kept) = (Disk::new(fixture()), Kept::default());
            let vault = Vault::open(disk.medium(), rehearsal(&kept)).unwrap();
            disk.set_fault(Some(Fault { first, last, seed: first as u64 }));
            let _ = unlock(&vault, PASSPHRASE).await;
            disk.set_fault(None);
            let what = format!("call {first} to {last} of {calls}");
            if last == first {
                // The same process tries again.
                if vault.is_locked() {
                    unlock(&vault, PASSPHRASE).await.unwrap_or_else(|error| panic!("{what}: {error}"));
                }
                assert_eq!(outcome(&vault).await, (expected, 1), "{what}");
            }
            check_recovered(&disk.kill(), expected, &what).await;
        }
    }
}

#[tokio::test]
async fn a_power_cut_at_any_call_of_a_migration_leaves_the_older_file_or_the_migrated_one() {
    let (ops, _, expected) = recorded().await;
    let calls = ops.iter().enumerate().filter(|(_, op)| op.is_call()).map(|(at, _)| at);
    for at in calls {
        for seed in 0..3 {
            let disk = Disk::new(fixture());
            disk.replay_and_cut(&ops[..=at], &mut Rng::new(&[at as u64, seed]));
            check_recovered(&disk, expected, &format!("call {at}, seed {seed}")).await;
        }
    }
}

/// Records an unlock that migrates: its calls, their number, and the member's version after it.
async fn recorded() -> (Vec<Op>, usize, u64) {
    let disk = Disk::new(fixture());
    let vault = Vault::open(disk.medium(), rehearsal(&Kept::default())).unwrap();
    unlock(&vault, PASSPHRASE).await.unwrap();
    let (calls, ops) = (disk.calls(), disk.take_journal());
    (ops, calls, outcome(&vault).await.0)
}

#[test]
fn every_format_has_a_committed_file() {
    for format in 1..=Migrations::RELEASED.newest() {
        let path = format!("{}/tests/fixtures/format-{format}.redb", env!("CARGO_MANIFEST_DIR"));
        let store = Store::open(Disk::new(Arc::new(std::fs::read(path).unwrap())).medium(), 1 << 20).unwrap();
        assert_eq!(store.format().unwrap(), format);
    }
    assert_eq!(Migrations::RELEASED.newest(), sealroom::storage::FORMAT);
}
