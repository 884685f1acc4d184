//! What views are made of: the engine, the keys, and what the writer shares with readers.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

use super::{
    engine::Engine,
    format::{last_access::LastAccess, tables::Table},
    read::cache::Generation,
};
use crate::{
    crypto::keys::Keys,
    domain::FileId,
    stats::{Histogram, MICROS, POWERS},
};

/// Rows of the batch's earlier jobs, sealed; `None` is deleted.
pub(super) type Overlay = BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>;

/// Counts the commits that changed state: even while none is under way.
#[derive(Debug, Default)]
pub(super) struct StateClock(AtomicU64);

impl StateClock {
    pub(super) fn read(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Marks the state as unknown: until [`StateClock::end_commit`], a snapshot may show either side of the commit.
    pub(super) fn begin_commit(&self) {
        self.0.fetch_or(1, Ordering::AcqRel);
    }

    /// Makes another state of this one, whether or not a commit is under way.
    pub(super) fn advance(&self) {
        self.0.fetch_add(2, Ordering::AcqRel);
    }

    pub(super) fn end_commit(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// What the commits came to so far.
#[derive(Debug)]
pub struct Stats {
    /// How long each commit took, in microseconds.
    pub commit_micros: Histogram<16>,
    /// How many jobs each had.
    pub batch_jobs: Histogram<11>,
    /// How many records the log has.
    pub log_size: watch::Sender<u64>,
    /// Whether the last commit failed.
    pub failing: AtomicBool,
    /// When the commit that runs began, in microseconds, and 0 where none does.
    began_micros: AtomicU64,
    /// A commit that takes longer than this stands still.
    pub(super) stall: Duration,
    monotonic: fn() -> Duration,
}

impl Stats {
    pub(super) fn new(monotonic: fn() -> Duration, stall: Duration) -> Self {
        Self {
            commit_micros: Histogram::new(MICROS),
            batch_jobs: Histogram::new(POWERS),
            log_size: watch::Sender::new(0),
            failing: AtomicBool::new(false),
            began_micros: AtomicU64::new(0),
            stall,
            monotonic,
        }
    }

    /// Whether events cannot be recorded by now: the last commit failed, or one stands still.
    pub fn is_unavailable(&self) -> bool {
        self.failing.load(Ordering::Relaxed) || self.is_stalled()
    }

    /// Whether a commit stands still: a device that blocks answers nobody.
    pub(super) fn is_stalled(&self) -> bool {
        let began = self.began_micros.load(Ordering::Relaxed);
        began > 0 && micros((self.monotonic)()).saturating_sub(began) > micros(self.stall)
    }

    /// Does it and takes its time in.
    pub(super) fn timed<T>(&self, commit: impl FnOnce() -> T) -> T {
        let start = (self.monotonic)();
        self.began_micros.store(micros(start).max(1), Ordering::Relaxed);
        let done = commit();
        self.began_micros.store(0, Ordering::Relaxed);
        self.commit_micros.observe_micros((self.monotonic)().saturating_sub(start));
        done
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// What views are made of.
pub(super) struct VaultState {
    /// Tells the vaults of one process apart.
    pub(super) vault: u64,
    pub(super) engine: Arc<Engine>,
    pub(super) keys: Keys,
    pub(super) file: FileId,
    pub(super) state: StateClock,
    pub(super) accesses: Accesses,
    pub(super) stats: Stats,
}

impl VaultState {
    /// The state by now; while a commit that changes it is under way, its number is odd.
    pub(super) fn generation(&self) -> Generation {
        Generation { vault: self.vault, number: self.state.read() }
    }
}

/// Last accesses that are committed to the log and not yet to their table, by id.
#[derive(Default)]
pub(super) struct Accesses(Mutex<BTreeMap<[u8; 16], LastAccess>>);

impl Accesses {
    pub(super) fn take_in(&self, accesses: impl IntoIterator<Item = LastAccess>) {
        self.lock().extend(accesses.into_iter().map(|access| (access.id, access)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(super) fn all(&self) -> Vec<LastAccess> {
        self.lock().values().cloned().collect()
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    pub(super) fn of(&self, id: &[u8; 16]) -> Option<LastAccess> {
        self.lock().get(id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<[u8; 16], LastAccess>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
