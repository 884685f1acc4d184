//! The examination of a file: silent about any honest history, and it names every row that was changed underneath.

use redb::{Database, ReadableDatabase, ReadableTable, TableHandle};
use sealroom::{
    crypto::keys::{MasterKey, SlotKind, VaultKey},
    domain::{
        AccessScope, Action, Actor, ApplicationToken, Digest, Event, Integration, KeptRevision, Project,
        ProjectId, Provider, Role, Scope, SecondFactor, Secret, Timestamp, TokenId, User, UserId,
    },
    storage::{Changes, Check, Decision, Refusal, Status, Store, Surroundings, View, Writing},
    vault::Vault,
};

use crate::{
    lab::{
        damage,
        disk::Disk,
        driver::{Driver, PASSPHRASE, START, fresh, secret, settings},
        rng::Rng,
    },
    support::memory_disk::{AUDIT, Bytes, META, backend, edit, shared},
};

/// Half an hour after the start: later than anything in a history.
const NOW: Timestamp = Timestamp::from_millis(START + 1_800_000);

fn around() -> Surroundings {
    Surroundings { now: NOW, memory_bytes: None }
}

pub fn examine(image: &[u8], passphrase: Option<&str>) -> Vec<Check> {
    let vault = Vault::open(shared(image).1, settings()).unwrap();
    vault.examine(passphrase.map(secret).as_ref(), around(), None, &|_| true)
}

pub fn failed(checks: &[Check]) -> Vec<&Check> {
    checks.iter().filter(|check| check.status == Status::Failed).collect()
}

pub fn said(checks: &[Check]) -> String {
    failed(checks)
        .iter()
        .map(|check| format!("{}: {} {:?}\n", check.name, check.message, check.detail))
        .collect()
}

async fn history(seed: u64, steps: usize) -> Vec<u8> {
    let disk = Disk::new(fresh());
    Driver::new(disk.clone(), Rng::new(&[seed, 18]), true).run(steps).await.unwrap();
    disk.image()
}

#[tokio::test]
async fn no_honest_history_gives_a_false_alarm() {
    for seed in 0..8 {
        let image = history(seed, 90).await;
        for passphrase in [Some(PASSPHRASE), None] {
            let checks = examine(&image, passphrase);
            assert!(failed(&checks).is_empty(), "history {seed}: {}", said(&checks));
            let replay = checks.iter().find(|check| check.name == "replay").unwrap();
            assert!(replay.message.starts_with("the log explains"), "{}", replay.message);
        }
    }
}

fn vault_key(store: &Store) -> VaultKey {
    let slots = store.slots().unwrap();
    let slot = slots.iter().find(|slot| slot.header.kind == SlotKind::Passphrase).unwrap();
    let master = MasterKey::derive(&secret(PASSPHRASE), &slot.header.salt, slot.header.params).unwrap();
    master.unwrap(&slot.header, &slot.wrapped).map_err(drop).unwrap()
}

/// Changes rows as a process would that has the keys: digest, head and checkpoint agree, and no event says it.
pub async fn forge(image: &[u8], change: impl FnOnce(&View<'_>, &mut Changes) + Send + 'static) -> Vec<u8> {
    let (medium, shared) = shared(image);
    let store = Store::open(shared, 1 << 20).unwrap();
    let running = store
        .unlock(
            &vault_key(&store),
            Writing {
                queue_max: 4,
                monotonic: sealroom::clock::monotonic,
                commit_timeout: std::time::Duration::from_secs(60),
                flush_interval: std::time::Duration::from_secs(600),
            },
        )
        .unwrap();
    let decide = move |view: &View<'_>| {
        let mut changes = Changes::none();
        change(view, &mut changes);
        let event = Event::new(NOW, Actor::host("eve"), Action::ServerStart);
        Ok::<_, Refusal<()>>(Decision::changing((), changes, event))
    };
    running.writer.submit(decide).await.map(drop).map_err(drop).unwrap();
    drop(running.writer);
    running.ended.await.unwrap();
    drop(store);
    crate::support::memory_disk::image(&medium)
}

fn member(view: &View<'_>) -> User {
    view.users().unwrap().into_iter().find(|user| user.role == Role::Member).unwrap()
}

fn some_integration(view: &View<'_>) -> Integration {
    let all = view.integrations().unwrap();
    Integration::clone(all.iter().max_by_key(|one| one.kept.len()).unwrap())
}

fn some_token(view: &View<'_>) -> ApplicationToken {
    view.tokens().unwrap().remove(0)
}

type Forgery = (&'static str, fn(&View<'_>, &mut Changes), &'static str);

/// Each way to change what someone may do, without the event that would say so.
const FORGERIES: &[Forgery] = &[
    (
        "an owner more",
        |view, changes| {
            let id = UserId::from_bytes([7; 16]);
            let email = "eve@example.com".parse().unwrap();
            changes.user(User { id, email, role: Role::Owner, ..member(view) });
        },
        "users eve@example.com: no event explains it",
    ),
    (
        "a second factor",
        |view, changes| {
            let secret = std::sync::Arc::new(Secret::new(vec![1; 20]));
            let factor = SecondFactor { secret, used_step: 0, codes: Vec::new() };
            changes.user(User { factor: Some(factor), ..member(view) });
        },
        "second factor not as recorded",
    ),
    ("a user less", |view, changes| changes.remove_user(&member(view).email), "not there, though record"),
    (
        "a member made owner",
        |view, changes| changes.user(User { role: Role::Owner, ..member(view) }),
        "role not as recorded",
    ),
    (
        "a user kept out or let in again",
        |view, changes| {
            let user = member(view);
            changes.user(User { disabled: !user.disabled, ..user });
        },
        "disabled flag not as recorded",
    ),
    (
        "a user narrowed",
        |view, changes| {
            let scope =
                AccessScope { projects: Some(vec!["acme/x".parse().unwrap()]), ..AccessScope::default() };
            changes.user(User { scope, ..member(view) });
        },
        "projects not as recorded",
    ),
    (
        "a user replaced",
        |view, changes| {
            let user = member(view);
            changes.user(User { created_at: NOW, ..user });
        },
        "creation time not as recorded",
    ),
    (
        "a project more",
        |view, changes| {
            let identifier: ProjectId = "eve/app".parse().unwrap();
            changes.project(Project { identifier, ..view.projects().unwrap().remove(0) });
        },
        "projects eve/app: no event explains it",
    ),
    (
        "a project less",
        |view, changes| changes.remove_project(&view.projects().unwrap()[0].identifier),
        "not there, though record",
    ),
    (
        "a token more",
        |view, changes| {
            let id = TokenId::from_bytes([9; 16]);
            changes.token(ApplicationToken { id, digest: Digest([9; 32]), ..some_token(view) });
        },
        "no event explains it",
    ),
    (
        "a revocation undone or made up",
        |view, changes| {
            let token = some_token(view);
            let revoked_at = if token.revoked_at.is_some() { None } else { Some(NOW) };
            changes.token(ApplicationToken { revoked_at, ..token });
        },
        "revocation not as recorded",
    ),
    (
        "a token with another role",
        |view, changes| changes.token(ApplicationToken { role: Role::Operator, ..some_token(view) }),
        "role not as recorded",
    ),
    (
        "a token narrowed",
        |view, changes| {
            let scope = AccessScope { providers: Some(vec![Provider::Npm]), ..AccessScope::default() };
            changes.token(ApplicationToken { scope, ..some_token(view) });
        },
        "providers not as recorded",
    ),
    (
        "an integration less",
        |view, changes| changes.remove_integration(&some_integration(view)),
        "not there, though record",
    ),
    (
        "an integration that reaches further",
        |view, changes| {
            let before = some_integration(view);
            let scope = match &before.scope {
                Scope::Global => Scope::Projects(vec!["acme/x".parse().unwrap()]),
                Scope::Projects(_) => Scope::Global,
            };
            changes.integration(Some(&before), Integration { scope, ..before.clone() });
        },
        "scope not as recorded",
    ),
    (
        "a revision more",
        |view, changes| {
            let before = some_integration(view);
            let mut after = before.clone();
            let revision = before.revision().next();
            after.kept.insert(0, KeptRevision { revision, expires_at: None, stored_at: None });
            changes.credential(&after, revision, secret(r#"{"token":"ghp_example"}"#));
            changes.integration(Some(&before), after);
        },
        "revisions not as recorded",
    ),
    (
        "a revision less",
        |view, changes| {
            let before = some_integration(view);
            let mut after = before.clone();
            changes.remove_credential(after.id, after.kept.pop().unwrap().revision);
            changes.integration(Some(&before), after);
        },
        "revisions not as recorded",
    ),
    (
        "a canary that keeps quiet, or an integration that became one",
        |view, changes| {
            let before = some_integration(view);
            let is_canary = !before.is_canary;
            changes.integration(Some(&before), Integration { is_canary, ..before.clone() });
        },
        "canary flag not as recorded",
    ),
    (
        "an integration of another creator",
        |view, changes| {
            let before = some_integration(view);
            let created_by = Actor::host("eve");
            changes.integration(Some(&before), Integration { created_by, ..before.clone() });
        },
        "creator not as recorded",
    ),
];

#[tokio::test]
async fn no_row_changes_without_an_event_even_by_who_has_the_keys() {
    let image = history(3, 160).await;
    for (what, forgery, expected) in FORGERIES {
        let checks = examine(&forge(&image, *forgery).await, Some(PASSPHRASE));
        let names: Vec<&str> = failed(&checks).iter().map(|check| check.name.as_str()).collect();
        assert_eq!(names, ["replay"], "{what}: {}", said(&checks));
        assert!(said(&checks).contains(expected), "{what}: {}", said(&checks));
    }
    let untouched = forge(&image, |view, changes| changes.user(member(view))).await;
    assert!(failed(&examine(&untouched, Some(PASSPHRASE))).is_empty(), "a row written as it was");
    // Without the passphrase the keys of the rows still show who exists.
    let checks = examine(&forge(&image, FORGERIES[0].1).await, None);
    assert!(said(&checks).contains("users eve@example.com: no event explains it"), "{}", said(&checks));
}

/// A change to one row of one table, by who knows the engine and not the key.
type Edit = fn(&redb::WriteTransaction, &str, &[u8], &[u8]);

const EDITS: &[(&str, Edit)] = &[
    ("removed", |txn, table, key, _| drop(txn.open_table(Bytes::new(table)).unwrap().remove(key).unwrap())),
    ("changed", |txn, table, key, value| {
        let mut value = value.to_vec();
        match value.last_mut() {
            Some(last) => *last ^= 1,
            None => value.push(1),
        }
        drop(txn.open_table(Bytes::new(table)).unwrap().insert(key, &*value).unwrap());
    }),
    ("copied to another key", |txn, table, key, value| {
        let mut other = key.to_vec();
        *other.last_mut().unwrap() ^= 1;
        drop(txn.open_table(Bytes::new(table)).unwrap().insert(&*other, value).unwrap());
    }),
];

#[tokio::test]
async fn every_row_that_is_removed_changed_or_copied_underneath_is_found() {
    let image = history(5, 120).await;
    let database = Database::builder().create_with_backend(backend(&image)).unwrap();
    let txn = database.begin_read().unwrap();
    let tables: Vec<String> = txn.list_tables().unwrap().map(|table| table.name().to_owned()).collect();
    for table in tables.iter().map(String::as_str).filter(|table| !["audit", "meta"].contains(table)) {
        let rows = txn.open_table(Bytes::new(table)).unwrap();
        let rows: Vec<_> = rows.iter().unwrap().map(Result::unwrap).collect();
        // Some of a long table, with its first and last.
        let step = rows.len().div_ceil(6).max(1);
        for (key, value) in rows.iter().step_by(step).chain(rows.last()) {
            for (what, change) in EDITS {
                let (key, value) = (key.value().to_vec(), value.value().to_vec());
                let checks = examine(&edit(&image, |txn| change(txn, table, &key, &value)), Some(PASSPHRASE));
                let report = said(&checks);
                assert!(!report.is_empty(), "{table} {key:?} {what}: not found");
                // `recover owner` takes an enabled owner, and no damaged file.
                assert!(!report.contains("recover owner"), "{table} {key:?} {what}: {report}");
                let is_named = ["users", "sessions", "projects", "last_access"].contains(&table)
                    && *what == "removed"
                    || report.contains(table)
                    || table == "hashes";
                assert!(is_named, "{table} {key:?} {what}: not named in {report}");
            }
        }
    }
}

#[tokio::test]
async fn every_record_and_every_value_of_meta_that_is_changed_is_found_and_named() {
    let image = history(5, 60).await;
    for sequence in [0_u64, 1, 17, 30] {
        let removed = edit(&image, |txn| drop(txn.open_table(AUDIT).unwrap().remove(sequence).unwrap()));
        let report = said(&examine(&removed, Some(PASSPHRASE)));
        assert!(report.contains(&format!("record {sequence} is missing")), "{report}");
        let changed = edit(&image, |txn| {
            let mut audit = txn.open_table(AUDIT).unwrap();
            let mut row = audit.get(sequence).unwrap().unwrap().value().to_vec();
            row[40] ^= 1;
            drop(audit.insert(sequence, &*row).unwrap());
        });
        let report = said(&examine(&changed, Some(PASSPHRASE)));
        assert!(report.contains(&format!("record {sequence} was changed")), "{report}");
    }
    // Two at once: the examination does not stop at the first.
    let both = edit(&image, |txn| {
        let mut audit = txn.open_table(AUDIT).unwrap();
        drop(audit.remove(3).unwrap());
        drop(audit.remove(20).unwrap());
    });
    let report = said(&examine(&both, None));
    assert!(report.contains("record 3 is missing") && report.contains("record 20 is missing"), "{report}");
    for name in ["slots", "log_keys", "checkpoint", "head"] {
        for is_removed in [true, false] {
            let damaged = edit(&image, |txn| {
                let mut meta = txn.open_table(META).unwrap();
                let mut value = meta.remove(name).unwrap().unwrap().value().to_vec();
                let middle = value.len() / 2;
                value[middle] ^= 1;
                if !is_removed {
                    drop(meta.insert(name, &*value).unwrap());
                }
            });
            let report = said(&examine(&damaged, Some(PASSPHRASE)));
            // A slot that is damaged and a wrong passphrase look the same.
            let is_named =
                report.contains(&format!("meta {name}")) || report.contains("the key slots are damaged");
            assert!(is_named, "{name}: {report}");
        }
    }
}

#[tokio::test]
async fn a_damaged_file_never_makes_the_examination_panic() {
    let pristine = history(9, 60).await;
    for number in 0..150 {
        let mut image = pristine.clone();
        let what = damage::damage(&mut image, 18, number);
        if let Ok(vault) = Vault::open(shared(&image).1, settings()) {
            for passphrase in [Some(PASSPHRASE), None] {
                let checks = vault.examine(passphrase.map(secret).as_ref(), around(), None, &|_| true);
                assert!(checks.len() > 10, "{what}: {checks:?}");
            }
        }
    }
}
