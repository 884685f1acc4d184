//! A medium that may hang, as a file on a network share does: its calls are counted, so that one which does not return
//! is noticed.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use redb::StorageBackend;

use super::{Medium, forward_locks};

/// The calls to a folder that may hang, and how many of them have returned.
#[derive(Debug, Default)]
pub struct Calls {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Calls {
    /// Makes a call, counted.
    pub fn during<T>(&self, call: impl FnOnce() -> T) -> T {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let done = call();
        self.ended.fetch_add(1, Ordering::Relaxed);
        done
    }

    /// Returns the number of calls that have returned, if one is under way.
    pub fn under_way(&self) -> Option<u64> {
        let ended = self.ended.load(Ordering::Relaxed);
        (self.begun.load(Ordering::Relaxed) > ended).then_some(ended)
    }
}

/// A medium whose calls are counted.
#[derive(Debug)]
pub struct Watched {
    medium: Medium,
    calls: Arc<Calls>,
}

impl Watched {
    /// Counts the calls to a medium.
    pub fn over(medium: Medium, calls: &Arc<Calls>) -> Medium {
        Arc::new(Self { medium, calls: Arc::clone(calls) })
    }
}

impl StorageBackend for Watched {
    forward_locks!(medium);

    fn len(&self) -> io::Result<u64> {
        self.calls.during(|| self.medium.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.calls.during(|| self.medium.read(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.calls.during(|| self.medium.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.calls.during(|| self.medium.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.calls.during(|| self.medium.write(offset, data))
    }
}
