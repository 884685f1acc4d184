//! A commit in doubt: the disk fails in the middle of it, and no reader may take what it saw meanwhile for the state that
//! is found afterwards.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use redb::{StorageBackend, backends::InMemoryBackend};

use super::{InitPlan, Settings, Vault};
use crate::{
    crypto::kdf::KdfParams,
    domain::{Action, Actor, Event, Json, Platform, Project, ProjectId, Secret, Timestamp},
    storage::{Changes, Committed, Decision, Generation, JobError, View, Writer},
};

const FINE: u8 = 0;
/// Every write and sync fails.
const FAILS: u8 = 1;
/// The next sync brings the engine down, and the disk fails from then on.
const BREAKS: u8 = 2;
/// The next sync reaches the disk and reports a failure, and the disk fails from then on.
const LIES: u8 = 3;

#[derive(Debug, Default)]
pub(super) struct Disk(InMemoryBackend, AtomicU8);

impl Disk {
    fn check(&self) -> io::Result<()> {
        if self.1.load(Ordering::SeqCst) == FAILS { Err(io::Error::other("the disk fails")) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if len == self.0.len()? { Ok(()) } else { self.check().and_then(|()| self.0.set_len(len)) }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.0.write(offset, data)
    }

    fn sync_data(&self) -> io::Result<()> {
        let at_next = |mood| self.1.compare_exchange(mood, FAILS, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        assert!(!at_next(BREAKS), "the engine breaks down, as the test wants");
        if at_next(LIES) {
            self.0.sync_data()?;
        }
        self.check()?;
        self.0.sync_data()
    }
}

pub(super) const NOW: Timestamp = Timestamp::from_millis(1_795_514_400_000);

pub(super) fn secret() -> Secret {
    Secret::from("correct horse battery staple example".to_owned())
}

fn event() -> Event {
    Event::new(NOW, Actor::host("test"), Action::ProjectCreate)
}

fn name() -> ProjectId {
    "acme/app".parse().unwrap()
}

pub(super) async fn unlocked() -> (Arc<Disk>, Vault) {
    let (disk, host) = (Arc::<Disk>::default(), Actor::host("test"));
    let plan = InitPlan {
        owner: "owner@example.com".parse().unwrap(),
        password: secret(),
        passphrase: secret(),
        kdf: KdfParams::LIGHT,
        password_kdf: KdfParams::LIGHT,
        actor: host.clone(),
        now: NOW,
    };
    Vault::create(disk.clone(), 1 << 20, &plan).unwrap();
    let vault = Vault::open(disk.clone(), Settings::new(host.clone(), || Duration::ZERO)).unwrap();
    vault.unlock(secret(), host, NOW, None).await.unwrap();
    (disk, vault)
}

/// Commits a record, beside a project if `changes` says so.
pub(super) async fn commit(writer: &Writer, changes: bool) -> Result<Committed<()>, JobError<()>> {
    let decide = move |_: &View<'_>| {
        if !changes {
            return Ok(Decision::recording((), vec![event()]));
        }
        let mut all = Changes::none();
        all.project(Project {
            identifier: name(),
            remote_url: None,
            platform: Platform::ALL[0],
            configuration: Json::new_checked("{}".to_owned()),
            created_at: NOW,
            updated_at: NOW,
            version: 0,
        });
        Ok(Decision::changing((), all, event()))
    };
    writer.submit(decide).await
}

/// The view of a reader, and the generation under which it keeps that.
fn seen(writer: &Writer) -> (bool, Generation) {
    let view = writer.view();
    let found = view.project(&name()).unwrap().is_some();
    (found, view.generation().expect("no commit is in flight"))
}

#[tokio::test]
async fn what_a_reader_kept_during_a_doubt_is_never_taken_for_the_state_that_is_found() {
    for mood in [FAILS, BREAKS, LIES] {
        let (disk, vault) = unlocked().await;
        let open = vault.opened().map_err(drop).unwrap();
        let writer = &open.writer;
        let mut kept = vec![seen(writer)];
        disk.1.store(mood, Ordering::SeqCst);
        assert!(commit(writer, true).await.is_err(), "{mood}");
        kept.push(seen(writer));
        // The disk still fails: each time the file is looked at again, it may be another one.
        for _ in 0..2 {
            assert!(commit(writer, false).await.is_err(), "{mood}");
            kept.push(seen(writer));
        }
        disk.1.store(FINE, Ordering::SeqCst);
        commit(writer, false).await.map(drop).unwrap();
        kept.push(seen(writer));
        let fresh = writer.fresh_view().project(&name()).unwrap().is_some();
        assert_eq!(kept.last().unwrap().0, fresh, "{mood}: a reader's state beside the file's");
        for (at, (_, one)) in kept.iter().enumerate() {
            assert!(
                kept[..at].iter().all(|(_, other)| other != one),
                "{mood}: {at} is an earlier generation"
            );
        }
        // Without a doubt a record changes no state: readers keep what they have.
        commit(writer, false).await.map(drop).unwrap();
        assert_eq!(seen(writer), *kept.last().unwrap(), "{mood}");
        commit(writer, true).await.map(drop).unwrap();
        assert!(seen(writer).0, "{mood}: the vault goes on");
    }
}
