//! A vault's state: its settings, and the parts that it holds while locked and while unlocked.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::{
    begun::Begun,
    budgets::{Budgets, CallerLimits},
    canary::{Alarms, CanaryRead},
    error::Error,
    exposures::Exposures,
    given_pairs::GivenPairs,
    minted::MintedTokens,
    mints::Mints,
    password_queue::PasswordQueue,
    refusal_counts::Tally,
    rollback::Rollback,
    under_way::UnderWay,
    witness_state::Witness,
};
use crate::{
    audit::checkpoint::VerifierKey,
    auth::{limiter::Limiter, policy::Rules},
    config::default,
    crypto::kdf::KdfParams,
    disk::Medium,
    domain::{Actor, NewMembersSee, Timestamp, days, seconds},
    outgoing::Outgoing,
    stats::Counter,
    storage::{Keeper, Migrations, OpenError, StorageError, Store, Writer, Writing},
};

/// The most concurrent exports; each holds half a megabyte at most.
pub(super) const EXPORTS_MAX: usize = 16;

/// Lifetimes of a session's tokens.
#[derive(Debug, Clone, Copy)]
pub struct SessionLife {
    /// Lifetime of an access token.
    pub access: Duration,
    /// Lifetime of a refresh token.
    pub refresh: Duration,
    /// The time from its login after which a session ends, however often it is refreshed.
    pub whole: Duration,
}

impl SessionLife {
    /// One hour, thirty days, and ninety.
    pub const STANDARD: Self = Self { access: seconds(3_600), refresh: days(30), whole: days(90) };
    /// For `serve --dev`: longer than any such server runs.
    pub const ENDLESS: Self = Self { access: days(36_500), refresh: days(36_500), whole: days(36_500) };
}

/// Settings that hold for the life of the process.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, each a setting or a flag of its own"
)]
pub struct Settings {
    /// Allows members to store integrations.
    pub members_may_create: bool,
    /// Allows members to store integrations that hide an owner's.
    pub members_may_shadow: bool,
    /// Keeps an owner without a second factor from everything except setting one.
    pub owners_need_otp: bool,
    /// The projects of a new member whose creator names none.
    pub new_members_see: NewMembersSee,
    /// The most jobs that may wait for the writer.
    pub queue_max: usize,
    /// The engine's page cache.
    pub cache_bytes: usize,
    /// Lifetimes of a session's tokens.
    pub sessions: SessionLife,
    /// The cost of new password hashes.
    pub password_kdf: KdfParams,
    /// The monotonic clock: time since some moment of this process.
    pub monotonic: fn() -> Duration,
    /// The timeout after which a commit counts as stalled; requests wait at most twice as long.
    pub commit_timeout: Duration,
    /// The interval after which an idle writer flushes pending writes and retries a failing disk.
    pub flush_interval: Duration,
    /// The operating-system user of this process: the actor of events without a caller.
    pub host: Actor,
    /// The free space in bytes below which nothing is added or disclosed.
    pub disk_low_bytes: u64,
    /// The limits on authenticated callers.
    pub callers: CallerLimits,
    /// The most password verifications that may wait for a core; one address gets a quarter.
    pub passwords_waiting: usize,
    /// The folder of files without a name; without one it is the system's for temporary files.
    pub scratch: Option<PathBuf>,
    /// Makes a backup's copy the vault's own file when it is unlocked; a restore does so in its own commit.
    pub adopts_copies: bool,
    /// The formats that an unlock migrates; other ones than this program's are for tests.
    pub migrations: Migrations,
    /// Keeps a copy of a file that is about to be migrated; without it, an older file stays locked.
    pub keeper: Option<Keeper>,
    /// The permission to call providers, and the means; none calls nobody.
    pub outgoing: Option<Arc<Outgoing>>,
    /// Unlocks an older copy of the file though a checkpoint gives it away; the log then goes on with a new key.
    pub accepts_rollback: bool,
    /// The logs that this vault is a witness of, and its state as one.
    pub witness: Option<Arc<Witness>>,
}

impl Settings {
    /// Far above the duration of a commit on any working disk.
    pub const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);
    /// Short enough for an operator who reads a last access or waits for a disk to recover.
    pub const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

    /// Returns the default settings of `sealroom serve`, for a process that runs as `host`.
    pub const fn new(host: Actor, monotonic: fn() -> Duration) -> Self {
        Self {
            members_may_create: true,
            members_may_shadow: true,
            owners_need_otp: false,
            new_members_see: NewMembersSee::All,
            queue_max: default::QUEUE_MAX as usize,
            cache_bytes: default::CACHE_BYTES as usize,
            sessions: SessionLife::STANDARD,
            password_kdf: KdfParams::PASSWORD,
            monotonic,
            commit_timeout: Self::COMMIT_TIMEOUT,
            flush_interval: Self::FLUSH_INTERVAL,
            host,
            disk_low_bytes: default::DISK_LOW_BYTES,
            callers: CallerLimits {
                answer_bytes: default::ANSWER_BYTES_MAX as usize,
                answers_bytes: default::ANSWERS_BYTES_MAX as usize,
                disclosures_per_minute: default::DISCLOSURES_PER_MINUTE_MAX as u64,
                writes_per_minute: default::WRITES_PER_MINUTE_MAX as u64,
            },
            passwords_waiting: default::PASSWORDS_WAITING_MAX as usize,
            scratch: None,
            adopts_copies: true,
            migrations: Migrations::RELEASED,
            keeper: None,
            outgoing: None,
            accepts_rollback: false,
            witness: None,
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
    /// Serializes unlocks and locks.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
    pub(super) failed_tries: AtomicU64,
    pub(super) password_runs: Arc<AtomicU64>,
    closed_through: watch::Sender<u64>,
    pub(super) limiter: Mutex<Limiter>,
    pub(super) tally: Arc<Tally>,
    /// Free space on the file's disk, as the host last reported it.
    pub(super) free_bytes: Arc<AtomicU64>,
    pub(super) checkpoint_lost: AtomicBool,
    pub(super) rollback: Mutex<Option<Rollback>>,
    /// The rollback that an unlock accepted, until the host has settled its folder.
    pub(super) accepted: Mutex<Option<Rollback>>,
    pub(super) file_gone: AtomicBool,
    /// The time of the last verified backup, in milliseconds; 0 if none is known.
    pub(super) backed_up: AtomicU64,
    pub(super) backup_failed: AtomicBool,
    pub(super) archive_failed: AtomicBool,
    pub(super) witness_refused: AtomicBool,
    pub(super) witness_silent: AtomicBool,
    pub(super) passwords: PasswordQueue,
    pub(super) budgets: Arc<Budgets>,
    /// Limits concurrent exports.
    pub(super) exports: Arc<Semaphore>,
    /// Counts minted tokens.
    pub(super) mints: Mints,
    pub(super) alarms: Arc<Alarms>,
    /// Counts notices to the host's targets: given up, and delivered.
    pub(super) notices: [Counter; 2],
}

/// Parts that exist only while the vault is unlocked.
pub(super) struct Open {
    pub(super) writer: Writer,
    /// Set by the lock's own decision: the commit thread refuses every decision after it.
    pub(super) locked: Arc<AtomicBool>,
    pub(super) ended: Mutex<Option<oneshot::Receiver<()>>>,
    pub(super) minted: MintedTokens,
    /// The values that actors know; rebuilt from the log by each unlock.
    pub(super) exposures: Exposures,
    /// The pairs of tokens that may be given out a second time; wiped by a lock.
    pub(super) given: Arc<GivenPairs>,
    /// The backups under way; a lock records that they failed.
    pub(super) backups: Arc<UnderWay>,
    /// The second factors that users have begun to set; wiped by a lock.
    pub(super) begun: Begun,
}

impl Vault {
    /// Opens a vault file, locked. None of its bytes change before it is unlocked.
    ///
    /// # Errors
    /// The file is no vault, is damaged, or has a newer format.
    pub fn open(medium: Medium, settings: Settings) -> Result<Self, OpenError> {
        let store = Store::open_with(medium, settings.cache_bytes, settings.migrations)?;
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
            rollback: Mutex::default(),
            accepted: Mutex::default(),
            file_gone: AtomicBool::new(false),
            backed_up: AtomicU64::new(0),
            backup_failed: AtomicBool::new(false),
            archive_failed: AtomicBool::new(false),
            witness_refused: AtomicBool::new(false),
            witness_silent: AtomicBool::new(false),
            passwords: PasswordQueue::new(cores),
            budgets: Arc::default(),
            exports: Arc::new(Semaphore::new(EXPORTS_MAX)),
            mints: Mints::new(),
            alarms: Arc::default(),
            notices: Default::default(),
        })
    }

    /// Returns the newest event's time, from its record.
    pub fn newest_time(&self) -> Result<Option<Timestamp>, StorageError> {
        self.store.newest_time()
    }

    /// Returns the log's newest verifier key.
    pub fn verifier_key(&self) -> Result<VerifierKey, StorageError> {
        self.store.verifier_key()
    }

    /// Returns every verifier key of the log, oldest first, with the first tree size that it signs.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn verifier_keys(&self) -> Result<Vec<(VerifierKey, u64)>, StorageError> {
        self.store.verifier_keys()
    }

    /// Returns the checkpoints with which earlier log keys ended, oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn handovers(&self) -> Result<Vec<String>, StorageError> {
        self.store.handovers()
    }

    /// Returns whether the vault is locked.
    pub fn is_locked(&self) -> bool {
        self.open.load().is_none()
    }

    /// Returns the newest revoked epoch: connections that still hold a disclosure of it or an earlier one must close.
    pub fn closed_through(&self) -> watch::Receiver<u64> {
        self.closed_through.subscribe()
    }

    /// Returns the queue of the reads of canaries, at the first call.
    pub fn canary_reads(&self) -> Option<mpsc::Receiver<CanaryRead>> {
        self.alarms.take()
    }

    pub(super) const fn store(&self) -> &Store {
        &self.store
    }

    /// Returns the newest signed checkpoint, for the owner of the file itself; records no event.
    pub fn checkpoint(&self) -> Result<String, StorageError> {
        self.store.checkpoint()
    }

    /// Returns the folder of files without a name.
    pub fn scratch(&self) -> Option<&Path> {
        self.settings.scratch.as_deref()
    }

    /// Returns the length of the file in bytes, if the disk tells.
    pub fn file_bytes(&self) -> Option<u64> {
        self.store.bytes().ok()
    }

    pub(super) fn opened(&self) -> Result<Arc<Open>, Error> {
        self.open.load_full().ok_or(Error::Locked)
    }

    pub(super) const fn rules(&self) -> Rules {
        Rules {
            members_may_create: self.settings.members_may_create,
            owners_need_otp: self.settings.owners_need_otp,
        }
    }

    pub(super) const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn close_through(&self, epoch: u64) {
        self.closed_through.send_modify(|newest| *newest = epoch.max(*newest));
    }
}
