//! The state behind each view: the engine, the keys, and the values that the writer shares with readers.

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
    commit::recent::Recent,
    copy::Tap,
    dates::IntegrationDates,
    engine::Engine,
    format::{last_access::LastAccess, tables::Table},
    read::cache::{self, Generation},
};
use crate::{
    crypto::keys::Keys,
    domain::FileId,
    stats::{Histogram, MICROS, POWERS},
};

/// Sealed rows of the batch's earlier jobs; `None` is a deleted row.
pub(super) type Overlay = BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>;

/// Counts the commits that changed state: even between commits, odd during one.
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

    /// Starts a new state, whether or not a commit is in flight.
    pub(super) fn advance(&self) {
        self.0.fetch_add(2, Ordering::AcqRel);
    }

    pub(super) fn end_commit(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// Statistics of the commits so far.
#[derive(Debug)]
pub struct Stats {
    /// Duration of each commit, in microseconds.
    pub commit_micros: Histogram<16>,
    /// Number of jobs in each batch.
    pub batch_jobs: Histogram<11>,
    /// Number of records in the log.
    pub log_size: watch::Sender<u64>,
    /// `true` if the last commit failed.
    pub failing: AtomicBool,
    /// Start of the commit in flight, in microseconds; 0 if none is.
    began_micros: AtomicU64,
    /// Timeout after which a commit counts as stalled.
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

    /// Returns whether events cannot be recorded: the last commit failed, or the one in flight has stalled.
    pub fn is_unavailable(&self) -> bool {
        self.failing.load(Ordering::Relaxed) || self.is_stalled()
    }

    /// Returns whether the commit in flight has stalled, as on a disk that blocks.
    pub(super) fn is_stalled(&self) -> bool {
        let began = self.began_micros.load(Ordering::Relaxed);
        began > 0 && micros((self.monotonic)()).saturating_sub(began) > micros(self.stall)
    }

    /// Runs a commit and records its duration.
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

/// The state behind each view of an unlocked vault.
pub(super) struct VaultState {
    /// Identifies the vault within this process.
    pub(super) vault: u64,
    pub(super) engine: Arc<Engine>,
    pub(super) keys: Keys,
    pub(super) file: FileId,
    pub(super) state: StateClock,
    pub(super) accesses: Accesses,
    pub(super) log_check: LogCheck,
    pub(super) dates: IntegrationDates,
    pub(super) stats: Stats,
    /// The commits that a copy in progress still has to write.
    pub(super) tap: Tap,
    pub(super) recent: Recent,
}

/// Numbers the vaults of one process, so that the per-thread caches tell them apart.
static VAULTS: AtomicU64 = AtomicU64::new(1);

impl Drop for VaultState {
    /// Takes the opened rows along: a thread that idles would keep them.
    fn drop(&mut self) {
        cache::forget(self.vault);
    }
}

impl VaultState {
    pub(super) fn new(engine: &Arc<Engine>, keys: Keys, file: FileId, stats: Stats) -> Self {
        Self {
            vault: VAULTS.fetch_add(1, Ordering::Relaxed),
            engine: Arc::clone(engine),
            keys,
            file,
            state: StateClock::default(),
            accesses: Accesses::default(),
            log_check: LogCheck::default(),
            dates: IntegrationDates::default(),
            stats,
            tap: Tap::default(),
            recent: Recent::default(),
        }
    }

    /// Returns the state of a file that no writer has.
    pub(super) fn at_rest(engine: &Arc<Engine>, keys: Keys, file: FileId) -> Self {
        Self::new(engine, keys, file, Stats::new(|| Duration::ZERO, Duration::MAX))
    }

    /// Returns the current generation; its number is odd while a commit that changes state is in flight.
    pub(super) fn generation(&self) -> Generation {
        Generation { vault: self.vault, number: self.state.read() }
    }
}

/// The result of the checks of the whole log since the unlock.
#[derive(Debug, Default)]
pub(super) struct LogCheck {
    /// Set for good once a record disagrees with the sealed head.
    flawed: AtomicBool,
    /// The monotonic time of the last whole check in milliseconds, plus one; 0 before the first.
    ended: AtomicU64,
}

impl LogCheck {
    pub(super) fn is_flawed(&self) -> bool {
        self.flawed.load(Ordering::Acquire)
    }

    pub(super) fn set_flawed(&self) {
        self.flawed.store(true, Ordering::Release);
    }

    pub(super) fn end(&self, now: Duration) {
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.ended.store(millis.saturating_add(1), Ordering::Relaxed);
    }

    pub(super) fn ended(&self) -> Option<Duration> {
        self.ended.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_millis)
    }
}

/// Last accesses by id that are committed to the log, and not yet to their table.
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
