//! A disk in memory that fails, stalls or rots when a test says so, and a server on it.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use redb::{StorageBackend, backends::InMemoryBackend};
use sealroom::{
    http::Limits,
    vault::{Settings, Vault},
};

use super::server::{TestServer, plan};

pub const CREDENTIALS: &str = "/sfp/api/integrations/credentials";

/// The disk's behaviour from now on.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub enum Mood {
    #[default]
    Fine,
    /// Every write and sync fails.
    Failing,
    /// Every sync waits until the mood changes.
    Stalled,
    /// Reads of these bytes come back with one bit flipped in the middle.
    Rotten(Vec<u8>),
    /// The next sync brings the engine down, as pages that do not hold together may; then it is fine.
    Breaking,
}

#[derive(Debug, Default)]
pub struct Moods {
    pub mood: Mutex<Mood>,
    changed: Condvar,
    /// Counts syncs of other threads than the commit thread.
    pub elsewhere: AtomicUsize,
}

#[derive(Debug, Clone, Default)]
pub struct Disk {
    pub inner: Arc<InMemoryBackend>,
    pub moods: Arc<Moods>,
}

impl Disk {
    pub fn is(&self, mood: Mood) {
        *self.moods.mood.lock().unwrap() = mood;
        self.moods.changed.notify_all();
    }

    fn fail(&self) -> io::Result<()> {
        if *self.moods.mood.lock().unwrap() == Mood::Failing {
            return Err(io::Error::other("the disk fails"));
        }
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)?;
        if let Mood::Rotten(bytes) = &*self.moods.mood.lock().unwrap()
            && let Some(at) = out.windows(bytes.len()).position(|window| window == bytes)
        {
            out[at + bytes.len() / 2] ^= 1;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        // To the length that it has is no write, and no disk that fails to write refuses it.
        if len != self.inner.len()? {
            self.fail()?;
        }
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if std::thread::current().name() != Some("sealroom-commit") {
            self.moods.elsewhere.fetch_add(1, Ordering::Relaxed);
        }
        let mood = self.moods.mood.lock().unwrap();
        let mut mood = self.moods.changed.wait_while(mood, |mood| *mood == Mood::Stalled).unwrap();
        let breaks = *mood == Mood::Breaking;
        if breaks {
            *mood = Mood::Fine;
        }
        drop(mood);
        assert!(!breaks, "the engine breaks down, as the test wants");
        self.fail()?;
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.fail()?;
        self.inner.write(offset, data)
    }
}

pub async fn server(settings: Settings) -> (Disk, TestServer) {
    let disk = Disk::default();
    Vault::create(Arc::new(disk.clone()), 1 << 20, &plan()).unwrap();
    let vault = Vault::open(Arc::new(disk.clone()), settings).unwrap();
    let t = TestServer::over(vault, Limits::STANDARD, "127.0.0.1:0", false).await;
    (disk, t)
}
