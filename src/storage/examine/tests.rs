//! Examinations of rows that no request makes.

use std::{sync::Arc, time::Duration};

use redb::backends::InMemoryBackend;

use super::*;
use crate::{
    crypto::{
        kdf::KdfParams,
        keys::{MasterKey, SlotKind, VaultKey},
    },
    disk::Medium,
    domain::{
        AccessScope, Action, Actor, AuthType, Event, Integration, IntegrationId, Json, KeptRevision,
        PasswordHash, Platform, Project, Provider, Revision, Role, Scope, Secret, User, UserId,
    },
    storage::{Changes, Decision, JobError, NewVault, Running, Slot, Store, View, Writing},
};

fn now() -> Timestamp {
    Timestamp::from_millis(1_795_514_400_000)
}

fn event() -> Event {
    Event::new(now(), Actor::host("test"), Action::ProjectCreate)
}

fn created(key: &VaultKey) -> Store {
    let medium: Medium = Arc::new(InMemoryBackend::new());
    let header = SlotHeader { id: 1, kind: SlotKind::Passphrase, params: KdfParams::LIGHT, salt: [1; 16] };
    let master = MasterKey::derive(&Secret::from("example".to_owned()), &header.salt, header.params).unwrap();
    let slots = vec![Slot { wrapped: master.wrap(&header, key).unwrap(), header }];
    let owner = User {
        id: UserId::from_bytes([7; 16]),
        email: "owner@example.com".parse().unwrap(),
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
    };
    let new = NewVault { file: FileId::from_bytes([3; 16]), vault_key: key, slots, owner, event: event() };
    Store::create(medium, 1 << 20, new).unwrap()
}

fn scoped(number: u8, projects: &[&str]) -> Integration {
    Integration {
        id: IntegrationId::from_bytes([number; 16]),
        provider: Provider::Custom,
        auth_type: AuthType::ApiKey,
        name: "name".parse().ok(),
        scope: Scope::Projects(projects.iter().map(|project| project.parse().unwrap()).collect()),
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

/// A restore made such rows: whoever registered the project inherited the credential, and nothing told of it.
#[tokio::test]
async fn no_scope_of_a_project_that_nobody_has_registered_stays_unsaid() {
    let key = VaultKey::generate().unwrap();
    let store = created(&key);
    let writing = Writing {
        queue_max: 64,
        monotonic: || Duration::ZERO,
        commit_timeout: Duration::from_mins(1),
        flush_interval: Duration::from_mins(1),
    };
    let Running { writer, ended } = store.unlock(&key, writing).unwrap();
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
    for one in [scoped(1, &["acme/app"]), scoped(2, &["acme/app", "acme/gone"]), scoped(3, &["acme/never"])] {
        changes.credential(&one, Revision::FIRST, Secret::from(r#"{"value":"example"}"#.to_owned()));
        changes.integration(None, one);
    }
    let decide = move |_: &View<'_>| Ok(Decision::changing((), changes, event()));
    let done: Result<_, JobError<()>> = writer.submit(decide).await;
    done.map(drop).unwrap();
    drop(writer);
    ended.await.unwrap();
    let surroundings = Surroundings { now: now(), memory_bytes: None };
    let checks = store.examine(Some(&key), surroundings, None, &|_| true);
    let found = checks.iter().find(|check| check.name == "scopes").unwrap();
    assert_eq!((found.status, found.detail.len()), (Status::Warning, 2), "{checks:?}");
    for said in ["acme/gone", "acme/never"] {
        assert!(found.detail.iter().any(|line| line.contains(said)), "{said}: {found:?}");
    }
    let without = store.examine(None, surroundings, None, &|_| true);
    let found = without.iter().find(|check| check.name == "scopes").unwrap();
    assert_eq!(found.status, Status::Skipped);
}
