//! A vault's state: its settings, the parts it holds while locked, and those it holds only while unlocked.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::sync::{Semaphore, oneshot, watch};

use super::{error::Error, refusal_counts::Tally};
use crate::{
    audit::checkpoint::VerifierKey,
    auth::{limiter::Limiter, policy::Rules},
    config::default,
    crypto::kdf::KdfParams,
    disk::Medium,
    domain::{Actor, Timestamp, days, seconds},
    storage::{OpenError, StorageError, Store, Writer, Writing},
};

/// The most exports under way; each holds half a megabyte at most.
pub(super) const EXPORTS_MAX: usize = 16;

/// Lifetimes of a session's tokens.
#[derive(Debug, Clone, Copy)]
pub struct SessionLife {
    /// Of an access token.
    pub access: Duration,
    /// Of a refresh token.
    pub refresh: Duration,
}

impl SessionLife {
    /// An hour, and thirty days.
    pub const STANDARD: Self = Self { access: seconds(3_600), refresh: days(30) };
    /// For `serve --dev`: longer than any such server runs.
    pub const ENDLESS: Self = Self { access: days(36_500), refresh: days(36_500) };
}

/// Settings that hold for the life of the process.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Allows members to store integrations.
    pub members_may_create: bool,
    /// The most jobs that may wait for the writer.
    pub queue_max: usize,
    /// The engine's page cache.
    pub cache_bytes: usize,
    /// Lifetimes of a session's tokens.
    pub sessions: SessionLife,
    /// The cost of new passwords.
    pub password_kdf: KdfParams,
    /// The time since some moment of this process, for measuring; never behind.
    pub monotonic: fn() -> Duration,
    /// A commit that takes longer than this stands still: nobody waits for it much longer.
    pub commit_timeout: Duration,
    /// How often what waits for a pause is written when nothing else is, and a failing disk is tried again.
    pub flush_interval: Duration,
    /// The operating-system user of this process: the actor of events without a caller.
    pub host: Actor,
    /// With less free space than this, nothing is added or disclosed.
    pub disk_low_bytes: u64,
}

impl Settings {
    /// Far above what a commit takes on any disk that works.
    pub const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);
    /// Soon enough for whoever looks at a last access or waits for a disk to come back.
    pub const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

    /// Returns the settings of `sealroom serve` by default, for a process that runs as `host`.
    pub const fn new(host: Actor, monotonic: fn() -> Duration) -> Self {
        Self {
            members_may_create: true,
            queue_max: default::QUEUE_MAX as usize,
            cache_bytes: default::CACHE_BYTES as usize,
            sessions: SessionLife::STANDARD,
            password_kdf: KdfParams::PASSWORD,
            monotonic,
            commit_timeout: Self::COMMIT_TIMEOUT,
            flush_interval: Self::FLUSH_INTERVAL,
            host,
            disk_low_bytes: default::DISK_LOW_BYTES,
        }
    }

    pub(super) const fn writing(&self) -> Writing {
        let Self { queue_max, monotonic, commit_timeout, flush_interval, .. } = *self;
        Writing { queue_max, monotonic, commit_timeout, flush_interval }
    }
}

/// An open vault file with its use cases.
pub struct Vault {
    pub(super) store: Store,
    settings: Settings,
    pub(super) open: ArcSwapOption<Open>,
    /// One unlock or lock at a time.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
    pub(super) failed_tries: AtomicU64,
    pub(super) password_runs: Arc<AtomicU64>,
    closed_through: watch::Sender<u64>,
    pub(super) limiter: Mutex<Limiter>,
    pub(super) tally: Arc<Tally>,
    /// Free space on the file's disk, as the host last said.
    pub(super) free_bytes: Arc<AtomicU64>,
    pub(super) checkpoint_lost: AtomicBool,
    pub(super) file_gone: AtomicBool,
    /// As many password checks at a time as there are cores.
    pub(super) passwords: Semaphore,
    /// Exports under way.
    pub(super) exports: Arc<Semaphore>,
}

/// Parts that exist only while the vault is unlocked.
pub(super) struct Open {
    pub(super) writer: Writer,
    /// Set by the lock's own decision: whatever the commit thread decides after it is refused.
    pub(super) locked: Arc<AtomicBool>,
    pub(super) ended: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Vault {
    /// Opens a vault file, locked. None of its bytes change before it is unlocked.
    ///
    /// # Errors
    /// It is no vault, a damaged one or one of a newer format.
    pub fn open(medium: Medium, settings: Settings) -> Result<Self, OpenError> {
        let store = Store::open(medium, settings.cache_bytes)?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Self {
            store,
            settings,
            open: ArcSwapOption::empty(),
            turn: Arc::default(),
            failed_tries: AtomicU64::new(0),
            password_runs: Arc::default(),
            closed_through: watch::Sender::new(0),
            limiter: Mutex::new(Limiter::new()),
            tally: Arc::default(),
            free_bytes: Arc::new(AtomicU64::new(u64::MAX)),
            checkpoint_lost: AtomicBool::new(false),
            file_gone: AtomicBool::new(false),
            passwords: Semaphore::new(cores),
            exports: Arc::new(Semaphore::new(EXPORTS_MAX)),
        })
    }

    /// The newest event's time, as its record says.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn newest_time(&self) -> Result<Option<Timestamp>, StorageError> {
        self.store.newest_time()
    }

    /// The log's newest verifier key.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn verifier_key(&self) -> Result<VerifierKey, StorageError> {
        self.store.verifier_key()
    }

    /// Returns whether the vault is locked.
    pub fn is_locked(&self) -> bool {
        self.open.load().is_none()
    }

    /// Returns the newest revoked epoch: connections that still hold a disclosure of it or an earlier one must close.
    pub fn closed_through(&self) -> watch::Receiver<u64> {
        self.closed_through.subscribe()
    }

    pub(super) const fn store(&self) -> &Store {
        &self.store
    }

    /// The newest signed checkpoint, for the owner of the file itself; no event.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn checkpoint(&self) -> Result<String, StorageError> {
        self.store.checkpoint()
    }

    pub(super) fn file_bytes(&self) -> Option<u64> {
        self.store.bytes().ok()
    }

    pub(super) fn opened(&self) -> Result<Arc<Open>, Error> {
        self.open.load_full().ok_or(Error::Locked)
    }

    pub(super) const fn rules(&self) -> Rules {
        Rules { members_may_create: self.settings.members_may_create }
    }

    pub(super) const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn close_through(&self, epoch: u64) {
        self.closed_through.send_modify(|newest| *newest = epoch.max(*newest));
    }
}
