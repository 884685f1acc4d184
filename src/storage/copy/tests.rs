//! A copy is exactly the state of its moment, whatever was committed while it was made.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use redb::backends::InMemoryBackend;
use tokio::runtime::Handle;

use super::*;
use crate::{
    crypto::{
        kdf::KdfParams,
        keys::{MasterKey, SlotHeader, SlotKind, VaultKey},
    },
    disk::Medium,
    domain::{
        AccessScope, Action, Actor, AuthType, Event, FileId, Integration, IntegrationId, Json, KeptRevision,
        PasswordHash, Platform, Project, Provider, Revision, Role, Scope, Secret, Timestamp, User, UserId,
    },
    storage::{
        Changes, Decision, JobError, NewVault, Running, Slot, Store, View, Writer, Writing,
        format::tables::{Table, meta},
        read::snapshot::Snapshot,
    },
};

const WRITING: Writing = Writing {
    queue_max: 64,
    monotonic: || Duration::ZERO,
    commit_timeout: Duration::from_mins(1),
    flush_interval: Duration::from_mins(1),
};

fn now() -> Timestamp {
    Timestamp::from_millis(1_795_514_400_000)
}

fn event() -> Event {
    Event::new(now(), Actor::host("test"), Action::ProjectCreate)
}

fn memory() -> Medium {
    Arc::new(InMemoryBackend::new())
}

fn user(email: &str) -> User {
    User {
        id: UserId::from_bytes([7; 16]),
        email: email.parse().unwrap(),
        first_name: None,
        last_name: None,
        role: Role::Owner,
        scope: AccessScope::default(),
        disabled: false,
        password: PasswordHash { memory_kib: 64, passes: 1, lanes: 1, salt: [0; 16], hash: [0; 32] },
        factor: None,
        epoch: 0,
        created_at: now(),
        last_login_at: None,
        version: 0,
    }
}

fn integration(number: u64, name: &str) -> Integration {
    let id = [number.to_be_bytes(), [9; 8]].concat();
    Integration {
        id: IntegrationId::from_bytes(id.try_into().unwrap()),
        provider: Provider::Custom,
        auth_type: AuthType::ApiKey,
        name: name.parse().ok(),
        scope: Scope::Global,
        config: None,
        kept: vec![KeptRevision { revision: Revision::FIRST, expires_at: None, stored_at: None }],
        created_at: now(),
        created_by: Actor::host("test"),
        creator: None,
        updated_at: now(),
        is_canary: false,
        version: 0,
    }
}

fn slot(key: &VaultKey) -> Slot {
    let header = SlotHeader { id: 1, kind: SlotKind::Passphrase, params: KdfParams::LIGHT, salt: [1; 16] };
    let master = MasterKey::derive(&Secret::from("example".to_owned()), &header.salt, header.params).unwrap();
    Slot { wrapped: master.wrap(&header, key).unwrap(), header }
}

fn created(medium: &Medium, key: &VaultKey) -> Store {
    let (file, owner) = (FileId::from_bytes([3; 16]), user("owner@example.com"));
    let new = NewVault { file, vault_key: key, slots: vec![slot(key)], owner, event: event() };
    Store::create(medium.clone(), 1 << 20, new).unwrap()
}

async fn change(writer: &Writer, changes: Changes, records: usize) {
    let decide = move |_: &View<'_>| Ok(Decision::changing((), changes, event()));
    let done: Result<_, JobError<()>> = writer.submit(decide).await;
    done.map(drop).unwrap();
    for _ in 1..records {
        let recorded: Result<_, JobError<()>> =
            writer.submit(|_: &View<'_>| Ok(Decision::recording((), vec![event()]))).await;
        recorded.map(drop).unwrap();
    }
}

fn stored(number: u64, name: &str) -> Changes {
    let (mut changes, one) = (Changes::none(), integration(number, name));
    changes.credential(&one, Revision::FIRST, Secret::from(format!("{{\"value\":\"example{number}\"}}")));
    changes.integration(None, one);
    changes
}

async fn fill(writer: &Writer, count: u64) {
    for number in 0..count {
        change(writer, stored(number * 2, &format!("name-{}", number % 5)), 1).await;
    }
}

type Rows = Vec<(Vec<u8>, Vec<u8>)>;
/// Tables, values of `meta` and rows of the log.
type Content = (Vec<Rows>, Rows, Vec<(u64, Vec<u8>)>);

/// Everything in a file, but what a copy leaves out or adds.
fn content(snapshot: &Snapshot) -> Content {
    let all = |table| {
        let mut rows = Vec::new();
        snapshot
            .walk(table, &[], |key, value| {
                rows.push((key.to_vec(), value.to_vec()));
                Ok(true)
            })
            .unwrap();
        rows
    };
    let tables = Table::STATE.into_iter().chain([Table::LastAccess]).map(all).collect();
    let mut values: Rows =
        snapshot.meta_values().unwrap().into_iter().map(|(name, value)| (name.into_bytes(), value)).collect();
    values.retain(|(name, _)| name != meta::ORIGIN_COPY.as_bytes());
    let mut log = Vec::new();
    snapshot.audit_rows(0, usize::MAX, |sequence, row| log.push((sequence, row.to_vec()))).unwrap();
    (tables, values, log)
}

fn content_of(medium: &Medium) -> Content {
    let engine = crate::storage::Engine::open(medium.clone(), 1 << 20).unwrap();
    content(&engine.snapshot().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_change_of_any_kind_at_any_step_of_a_copy_is_lost_or_half_in_it() {
    let (source, target, key) = (memory(), memory(), VaultKey::generate().unwrap());
    let Running { writer, ended } = created(&source, &key).unlock(&key, WRITING).unwrap();
    fill(&writer, 600).await;
    let mut copying = writer.begin_copy(Blank::on(target.clone()).unwrap()).unwrap();
    assert!(matches!(writer.begin_copy(Blank::on(memory()).unwrap()), Err(CopyError::Busy)));
    let (handle, during) = (Handle::current(), writer.clone());
    let run = tokio::task::spawn_blocking(move || {
        let mut number = 0;
        copying
            .run(&mut |_| {
                number += 1;
                handle.block_on(async {
                    // New rows before and behind the copy's place, changed ones, deleted ones; and more records.
                    change(&during, stored(number * 20 + 1, "new"), 5).await;
                    let mut changes = Changes::none();
                    changes
                        .remove_integration(&integration(number * 14, &format!("name-{}", number * 7 % 5)));
                    changes.user(user(&format!("user{number}@example.com")));
                    if number > 3 {
                        changes.remove_user(&format!("user{}@example.com", number - 3).parse().unwrap());
                    }
                    change(&during, changes, 1).await;
                });
                ControlFlow::Continue(())
            })
            .map(|()| (copying, number))
    });
    let (copying, steps) = run.await.unwrap().unwrap();
    assert!(steps > 10, "{steps}");
    let ticket = copying.ticket().unwrap();
    let fixed: Result<_, JobError<()>> = writer
        .submit(move |view: &View<'_>| Ok(Decision::recording(Moment::of(view, ticket), Vec::new())))
        .await;
    let moment = fixed.map_err(drop).unwrap().value.unwrap();
    let wanted = content(&moment.snapshot);
    // Later changes are not in the copy.
    change(&writer, stored(1_000_001, "late"), 3).await;
    let copied = tokio::task::spawn_blocking(move || {
        copying.finish(moment, &mut |_| ControlFlow::Continue(())).unwrap()
    });
    let copied = copied.await.unwrap();
    assert_eq!(copied.records, wanted.2.len() as u64);
    assert_eq!(content_of(&target), wanted);
    assert!(writer.begin_copy(Blank::on(memory()).unwrap()).is_ok(), "the next one may begin");
    drop(writer);
    ended.await.unwrap();
    // The copy opens like any vault, with the same key.
    let store = Store::open(target, 1 << 20).unwrap();
    let Running { writer, ended } = store.unlock(&key, WRITING).unwrap();
    change(&writer, stored(2_000_001, "next"), 1).await;
    drop(writer);
    ended.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_copy_holds_no_key_and_ends_once_the_vault_is_locked() {
    let (source, key) = (memory(), VaultKey::generate().unwrap());
    let Running { writer, ended } = created(&source, &key).unlock(&key, WRITING).unwrap();
    fill(&writer, 300).await;
    let mut copying = writer.begin_copy(Blank::on(memory()).unwrap()).unwrap();
    let mut held = Some(writer);
    let mut ended = Some(ended);
    let handle = Handle::current();
    let run = tokio::task::spawn_blocking(move || {
        copying.run(&mut |_| {
            drop(held.take());
            if let Some(ended) = ended.take() {
                // The commit thread ends although the copy goes on: nobody else has the keys.
                handle.block_on(ended).unwrap();
            }
            ControlFlow::Continue(())
        })
    });
    assert!(matches!(run.await.unwrap(), Err(CopyError::Locked)));
}

#[tokio::test]
async fn a_new_vault_key_opens_a_copy_that_the_old_one_does_not() {
    let (source, target, key) = (memory(), memory(), VaultKey::generate().unwrap());
    let store = created(&source, &key);
    let Running { writer, ended } = store.unlock(&key, WRITING).unwrap();
    fill(&writer, 300).await;
    let mut changes = Changes::none();
    changes.project(Project {
        identifier: "acme/app".parse().unwrap(),
        remote_url: None,
        platform: Platform::ALL[0],
        configuration: Json::new_checked("{}".to_owned()),
        created_at: now(),
        updated_at: now(),
        version: 0,
    });
    change(&writer, changes, 1).await;
    drop(writer);
    ended.await.unwrap();
    let before = content_of(&source);
    let new = VaultKey::generate().unwrap();
    let rekeying = Rekeying::new(&new, &[slot(&new)]);
    let unsealed = Store::open(source.clone(), 1 << 20).unwrap().unseal(&key).unwrap();
    let rekey = Event::new(now(), Actor::host("test"), Action::VaultRekey);
    let copied =
        unsealed.copy(target.clone(), Some(rekeying), rekey, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(content_of(&source), before, "the source stays as it is");
    let (tables, _, log) = content_of(&target);
    assert_eq!(log.len(), before.2.len() + 1);
    assert_eq!(copied.records, log.len() as u64);
    for (table, (old, new)) in Table::STATE.iter().zip(before.0.iter().zip(&tables)) {
        assert_eq!(old.len(), new.len(), "{table:?}");
        let same = old.iter().filter(|row| new.contains(row) && !row.1.is_empty()).count();
        assert_eq!(same, 0, "{table:?}: a row that was not sealed again");
    }
    let store = Store::open(target, 1 << 20).unwrap();
    assert!(store.unseal(&key).is_err());
    assert_ne!(store.verifier_key().unwrap(), Store::open(source, 1 << 20).unwrap().verifier_key().unwrap());
    let Running { writer, ended } = store.unlock(&new, WRITING).unwrap();
    assert_eq!(writer.fresh_view().integrations().unwrap().len(), 300);
    drop(writer);
    ended.await.unwrap();
}

#[tokio::test]
async fn a_copy_of_a_file_with_a_row_that_does_not_open_is_never_done() {
    let (source, key) = (memory(), VaultKey::generate().unwrap());
    let store = created(&source, &key);
    let Running { writer, ended } = store.unlock(&key, WRITING).unwrap();
    fill(&writer, 3).await;
    let mut copying = writer.begin_copy(Blank::on(memory()).unwrap()).unwrap();
    copying.run(&mut |_| ControlFlow::Continue(())).unwrap();
    // As a disk does that returns other bytes than it was given.
    copying.target.rows(Table::Projects, &[(b"acme/app".to_vec(), vec![1; 80])]).unwrap();
    let ticket = copying.ticket().unwrap();
    let fixed: Result<_, JobError<()>> = writer
        .submit(move |view: &View<'_>| Ok(Decision::recording(Moment::of(view, ticket), Vec::new())))
        .await;
    let moment = fixed.map_err(drop).unwrap().value.unwrap();
    let finished = copying.finish(moment, &mut |_| ControlFlow::Continue(()));
    assert!(matches!(finished, Err(CopyError::Unverified(_))), "{finished:?}");
    drop(writer);
    ended.await.unwrap();
}
