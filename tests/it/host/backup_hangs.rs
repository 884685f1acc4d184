//! A backup onto a disk that hangs, as a network share does: the server goes on, also to its end.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use redb::{StorageBackend, backends::InMemoryBackend};
use sealroom::{
    domain::{Action, Actor, Event},
    vault::Error,
};

use crate::support::server::TestServer;

/// A disk whose calls hang from one of them on until they are freed, then fail, or succeed late.
#[derive(Debug)]
pub struct Hanging {
    inner: InMemoryBackend,
    calls: AtomicUsize,
    from: usize,
    is_late: bool,
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Hanging {
    pub fn new(from: usize) -> Arc<Self> {
        let (inner, state) = (InMemoryBackend::new(), Mutex::new((0, false)));
        Arc::new(Self {
            inner,
            calls: AtomicUsize::new(0),
            from,
            is_late: false,
            state,
            changed: Condvar::new(),
        })
    }

    fn late(from: usize) -> Arc<Self> {
        let mut disk = Self::new(from);
        Arc::get_mut(&mut disk).unwrap().is_late = true;
        disk
    }

    fn call(&self) -> io::Result<()> {
        if self.calls.fetch_add(1, Ordering::SeqCst) < self.from {
            return Ok(());
        }
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |(_, is_free)| !*is_free).unwrap());
        if self.is_late { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }

    /// Waits until a call hangs.
    pub fn hangs(&self) {
        drop(self.changed.wait_while(self.state.lock().unwrap(), |(hanging, _)| *hanging == 0).unwrap());
    }

    pub fn free(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }
}

impl StorageBackend for Hanging {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.call()?;
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.call()?;
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.call()?;
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.call()?;
        self.inner.write(offset, data)
    }
}

/// Gives up a copy that hangs at one of its first, middle or last calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_onto_a_disk_that_hangs_holds_up_no_request_no_other_copy_and_no_lock() {
    for from in [0, 1, 5, 20] {
        let t = TestServer::start().await;
        let id = t.github("ghp_example_canary", r#""isGlobal":true"#).await;
        let disk = Hanging::new(from);
        let (vault, now, to) = (Arc::clone(&t.vault), t.clock.now(), Arc::clone(&disk));
        let copying = tokio::spawn(async move { vault.back_up(to, now).await.map(drop).map_err(drop) });
        let seen = Arc::clone(&disk);
        tokio::task::spawn_blocking(move || seen.hangs()).await.unwrap();
        let path = format!("/sfp/api/integrations/{id}/credentials");
        let body = r#"{"credentials":{"token":"ghp_example_other"}}"#;
        assert_eq!(t.send("PUT", &path, &t.owner, body).await.status, 200, "from call {from}");
        // Its schedule gives it up: another one may begin although the thread of the first one hangs.
        copying.abort();
        assert!(copying.await.unwrap_err().is_cancelled());
        let other = t.vault.back_up(Arc::new(InMemoryBackend::new()), now).await;
        assert!(other.is_ok(), "from call {from}: {}", other.err().unwrap());
        let stop = Event::new(now, Actor::host("test"), Action::ServerStop);
        let locked = tokio::time::timeout(Duration::from_secs(60), t.vault.lock(stop)).await;
        assert!(locked.expect("an end").is_ok(), "from call {from}");
        disk.free();
    }
}

/// A copy that the lock had stopped was told as one that too many requests had: the schedule called it a failed backup,
/// with its alarm and its notice, for an operator's own act.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_a_lock_stops_is_told_as_locked_and_never_as_a_failure() {
    for from in [0, 1, 5, 20] {
        let t = TestServer::start().await;
        t.github("ghp_example_canary", r#""isGlobal":true"#).await;
        let disk = Hanging::late(from);
        let (vault, now, to) = (Arc::clone(&t.vault), t.clock.now(), Arc::clone(&disk));
        let copying = tokio::spawn(async move { vault.back_up(to, now).await.map(drop) });
        let seen = Arc::clone(&disk);
        tokio::task::spawn_blocking(move || seen.hangs()).await.unwrap();
        let stop = Event::new(now, Actor::host("test"), Action::VaultLock);
        assert!(t.vault.lock(stop).await.is_ok(), "from call {from}");
        disk.free();
        let stopped = copying.await.unwrap().unwrap_err();
        assert!(matches!(stopped, Error::Locked), "from call {from}: {stopped}");
    }
}
