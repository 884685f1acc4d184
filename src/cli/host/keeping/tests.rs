//! The copy that a migration keeps, with a pretend next format.

mod kills;

use std::{fs, os::unix::fs::PermissionsExt};

use tempfile::TempDir;

use super::*;
use crate::{
    auth::token,
    clock,
    domain::{Actor, Role, Secret, Timestamp},
    storage::{Migrations, StorageError, Store, tables::Table},
    vault::{Context, Settings, UnlockError, Vault},
};

/// Rewrites each user.
const NEXT: Migrations = Migrations(&[|file| file.rewrite(Table::Users, |_, row| Ok(Some(row.to_vec())))]);
/// Fails as a row of an unknown form would make it fail.
const BROKEN: Migrations = Migrations(&[|_| Err(StorageError::Random)]);

/// A file of format 1 in a folder of its own.
fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v.redb");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1.redb");
    fs::write(&path, fs::read(fixture).unwrap()).unwrap();
    (folder, path)
}

fn unlock(path: &Path, migrations: Migrations) -> Result<(), UnlockError> {
    migrate(path, migrations).map(drop)
}

/// Unlocks and locks the file; returns the member's version, and the number of migrations that its log tells of.
fn migrate(path: &Path, migrations: Migrations) -> Result<(u64, usize), UnlockError> {
    let file = DataFile::open(path, Locking::Required).unwrap();
    let keeper = Some(keeper(file.path(), Locking::Required, &Output::new(true)));
    let settings = Settings { migrations, keeper, ..Settings::new(Actor::host("test"), clock::monotonic) };
    let vault = Vault::open(file.medium(), settings).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (actor, now) = (Actor::host("test"), Timestamp::from_millis(1_795_514_400_000));
        let secret = Secret::new(b"correct horse battery staple example".to_vec());
        vault.unlock(secret, actor.clone(), now, None).await?;
        let outcome = (member_version(&vault, now).await, migrations_told(&vault));
        let event = crate::domain::Event::new(now, actor, crate::domain::Action::VaultLock);
        vault.lock(event).await.map_err(drop).unwrap();
        Ok(outcome)
    })
}

async fn member_version(vault: &Vault, now: Timestamp) -> u64 {
    let at = Context { now, request: None, peer: None };
    let password = Secret::new(b"password-example".to_vec());
    let login = vault.login(&at, "owner@example.com", password).await.map_err(drop).unwrap();
    let bearer = token::parse_bearer(login.access.expose_text().unwrap()).unwrap();
    let owner = vault.authenticate(bearer, &at).map_err(drop).unwrap();
    let users = vault.list_users(&at, &owner).await.map_err(drop).unwrap();
    // No login changes a member.
    users.iter().find(|user| user.role == Role::Member).unwrap().version
}

fn migrations_told(vault: &Vault) -> usize {
    let (mut told, mut next) = (0, 0);
    while let Ok(records) = vault.records(next)
        && let Some((last, _)) = records.last()
    {
        next = last + 1;
        let done = r#""action":"vault.migrate","outcome":"allowed""#;
        told += records.iter().filter(|(_, record)| String::from_utf8_lossy(record).contains(done)).count();
    }
    told
}

fn format(path: &Path) -> u32 {
    let file = DataFile::open_read_only(path).unwrap();
    Store::open_with(file.medium(), 0, NEXT).unwrap().format().unwrap()
}

fn names(folder: &TempDir) -> Vec<String> {
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_migrated_file_leaves_its_older_self_beside_it_byte_for_byte_and_private() {
    let (folder, path) = folder();
    let before = fs::read(&path).unwrap();
    unlock(&path, NEXT).unwrap();
    assert_eq!(format(&path), 2);
    let copy = path.with_extension("redb.format-1");
    assert_eq!(names(&folder), ["v.redb", "v.redb.format-1"]);
    assert!(fs::read(&copy).unwrap() == before);
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    unlock(&path, NEXT).unwrap();
    assert_eq!(names(&folder), ["v.redb", "v.redb.format-1"], "there is nothing to migrate any more");
    // The way back: the copy is a file of the version before.
    fs::rename(&copy, &path).unwrap();
    unlock(&path, Migrations::RELEASED).unwrap();
    assert_eq!(format(&path), 1);
}

#[test]
fn nothing_that_lies_under_the_name_of_a_copy_is_ever_overwritten() {
    let (folder, path) = folder();
    let (first, third) = (path.with_extension("redb.format-1"), path.with_extension("redb.format-1-3"));
    fs::write(&first, "not a vault").unwrap();
    std::os::unix::fs::symlink("nowhere", path.with_extension("redb.format-1-2")).unwrap();
    unlock(&path, NEXT).unwrap();
    assert_eq!(fs::read(&first).unwrap(), b"not a vault");
    assert_eq!(format(&third), 1);
    // A vault that went back, was used, and is upgraded once more: the copy of then stays.
    fs::copy(&third, &path).unwrap();
    let kept = fs::read(&third).unwrap();
    unlock(&path, Migrations::RELEASED).unwrap();
    unlock(&path, NEXT).unwrap();
    assert!(fs::read(&third).unwrap() == kept);
    assert_eq!(names(&folder).len(), 5, "{:?}", names(&folder));
}

#[test]
fn a_migration_that_fails_leaves_the_older_file_and_one_copy_however_often_it_is_tried() {
    let (folder, path) = folder();
    for _ in 0..3 {
        assert!(unlock(&path, BROKEN).is_err());
        assert_eq!(format(&path), 1);
        assert_eq!(names(&folder), ["v.redb", "v.redb.format-1"]);
    }
    unlock(&path, NEXT).unwrap();
    assert_eq!((format(&path), names(&folder).len()), (2, 2));
}

#[test]
fn no_byte_of_an_older_file_changes_where_no_copy_can_be_kept() {
    let (folder, path) = folder();
    let before = fs::read(&path).unwrap();
    for number in 1..=COPIES_MAX {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        fs::write(path.with_extension(format!("redb.format-1{suffix}")), "").unwrap();
    }
    let error = unlock(&path, NEXT).unwrap_err();
    let CliError { message, hint, .. } = CliError::unlock(&error);
    assert!(
        message.contains("9 other copies of format 1") && message.contains("was not changed"),
        "{message}"
    );
    assert!(hint.contains("move"), "{hint}");
    assert!(fs::read(&path).unwrap() == before);
    assert_eq!(names(&folder).len(), 10);
    let error = check_room(10 << 20, 20 << 20, Path::new("v.redb.format-1")).unwrap_err();
    assert!(
        error.message.contains("22020096 bytes") && error.message.contains("20971520 are free"),
        "{error:?}"
    );
    assert!(check_room(10 << 20, 21 << 20, Path::new("v.redb.format-1")).is_ok());
}
