//! A vault's life: opened, unlocked, locked.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Semaphore, oneshot, watch};

use super::{
    act::silent, error::Error, export::EXPORTS_MAX, sessions::SessionLife, slots::try_slots, tally::Tally,
};
use crate::{
    audit::checkpoint::VerifierKey,
    auth::{limiter::Limiter, policy::Rules},
    crypto::kdf::KdfParams,
    disk::Medium,
    domain::{Action, Actor, Detail, DetailKey, Event, Secret, Timestamp},
    storage::{Changes, Effect, OpenError, Ruling, StorageError, Store, Writer, Writing},
};

/// What the vault is told once.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the policy leaves open.
    pub members_may_create: bool,
    /// How many jobs may wait for the writer.
    pub queue_max: usize,
    /// Whether one thread of the runtime is kept back for this vault while it is unlocked, so that a connection that
    /// has the server to itself may commit where it is served. Only for one vault of a runtime, and with a thread
    /// more than serves: two that each keep one of two threads back leave none.
    pub stand_by: bool,
    /// The engine's page cache.
    pub cache_bytes: usize,
    /// How long sessions live.
    pub sessions: SessionLife,
    /// The cost of new passwords.
    pub password_kdf: KdfParams,
    /// The time since some moment of this process, for measuring; never behind.
    pub monotonic: fn() -> Duration,
    /// A commit that takes longer than this stands still: nobody waits for it much longer.
    pub commit_stall: Duration,
    /// How often what waits for a pause is written when nothing else is, and a failing disk is tried again.
    pub idle_every: Duration,
    /// Who runs this process: the actor of what no caller does.
    pub host: Actor,
    /// With less free space than this, nothing is added or disclosed.
    pub disk_low_bytes: u64,
}

impl Settings {
    /// Far above what a commit takes on any disk that works.
    pub const COMMIT_STALL: Duration = Duration::from_secs(5);
    /// Soon enough for whoever looks at a last access or waits for a disk to come back.
    pub const IDLE_EVERY: Duration = Duration::from_secs(1);

    const fn writing(&self) -> Writing {
        let Self { queue_max, stand_by, monotonic, commit_stall, idle_every, .. } = *self;
        Writing { queue_max, stand_by, monotonic, commit_stall, idle_every }
    }
}

/// Why a vault stays locked.
#[derive(Debug, thiserror::Error)]
pub enum UnlockError {
    /// No slot opens with that secret.
    #[error("wrong passphrase")]
    WrongPassphrase,
    /// No slot opens, and the secret is not even text.
    #[error("wrong passphrase: it is not UTF-8 text")]
    WrongEncoding,
    /// No memory for the key derivation.
    #[error("there is not enough memory for the key derivation")]
    Kdf,
    /// The file disagrees with itself, or cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The file does not open any more.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The unlocking could not be recorded.
    #[error("the audit log cannot be written")]
    AuditUnavailable,
}

/// An open vault file with its use cases.
pub struct Vault {
    store: Store,
    settings: Settings,
    open: ArcSwapOption<Open>,
    /// One unlock or lock at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
    failed_tries: AtomicU64,
    pub(super) password_runs: Arc<AtomicU64>,
    call_in: watch::Sender<u64>,
    pub(super) limiter: Mutex<Limiter>,
    pub(super) tally: Arc<Tally>,
    /// What the file's disk has left, as the host last said.
    pub(super) free_bytes: Arc<AtomicU64>,
    pub(super) checkpoint_lost: AtomicBool,
    pub(super) file_gone: AtomicBool,
    /// As many password checks at a time as there are cores.
    pub(super) passwords: Semaphore,
    /// Exports under way.
    pub(super) exports: Arc<Semaphore>,
}

/// What there is only while the vault is unlocked.
pub(super) struct Open {
    pub(super) writer: Writer,
    /// Set by the lock's own decision: whatever the commit thread decides after it is refused.
    pub(super) locked: Arc<AtomicBool>,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
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
            call_in: watch::Sender::new(0),
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

    /// Whether the vault is locked.
    pub fn is_locked(&self) -> bool {
        self.open.load().is_none()
    }

    /// Tells which disclosures are called in: connections that still hold one of that epoch or an earlier must close.
    pub fn called_in(&self) -> watch::Receiver<u64> {
        self.call_in.subscribe()
    }

    /// Unlocks with a passphrase or a recovery key; `events` follow the unlock's own.
    ///
    /// # Errors
    /// No slot opens, or the file disagrees with its head; nothing is written then.
    pub async fn unlock(
        &self,
        secret: Secret,
        actor: Actor,
        now: Timestamp,
        then: Option<Event>,
    ) -> Result<(), UnlockError> {
        // An earlier one may still wait for a device that does not answer.
        let turn = tokio::time::timeout(self.settings.commit_stall * 2, Arc::clone(&self.turn).lock_owned());
        let turn = turn.await.map_err(|_| UnlockError::AuditUnavailable)?;
        if !self.is_locked() {
            return Ok(());
        }
        self.store.wake()?;
        let slots = self.store.slots()?;
        let key = tokio::task::spawn_blocking(move || try_slots(&slots, &secret).outcome).await;
        let key = key.map_err(|_| UnlockError::Kdf)?.inspect_err(|_| {
            self.failed_tries.fetch_add(1, Ordering::Relaxed);
        })?;
        let running = self.store.unlock(&key, self.settings.writing())?;
        let tries = self.failed_tries.load(Ordering::Relaxed);
        let detail = Detail::NONE.number(DetailKey::FailedTries, tries);
        let event = Event { detail, ..Event::new(now, actor, Action::VaultUnlock) };
        let events = std::iter::once(event).chain(then).collect();
        let ruling = Ruling { value: (), changes: Changes::none(), events, effect: Effect::Plain };
        let recorded = running.writer.submit::<(), Error, _>(move |_| Ok(ruling)).await;
        if recorded.is_err() {
            // Its writer must be gone before the next one begins: two of them would each move the other's head.
            drop(running.writer);
            tokio::spawn(async move {
                drop(running.ended.await);
                drop(turn);
            });
            return Err(UnlockError::AuditUnavailable);
        }
        self.failed_tries.fetch_sub(tries, Ordering::Relaxed);
        let ended = Mutex::new(Some(running.ended));
        self.open.store(Some(Arc::new(Open { writer: running.writer, locked: Arc::default(), ended })));
        Ok(())
    }

    /// Records `event` and locks: nothing that was disclosed before is still on its way, and the keys are wiped when
    /// this returns.
    ///
    /// # Errors
    /// The event cannot be recorded; the vault is locked all the same.
    pub async fn lock(&self, event: Event) -> Result<(), Error> {
        self.opened()?;
        let _turn = self.turn.lock().await;
        let open = self.opened()?;
        if let Err(error) = self.record_counts(event.time).await {
            tracing::warn!(%error, "what was only counted could not be recorded");
        }
        let locked = Arc::clone(&open.locked);
        let decided = open.writer.submit(move |_| {
            if locked.swap(true, Ordering::AcqRel) {
                return Err(silent(Error::Locked));
            }
            Ok(Ruling { value: (), changes: Changes::none(), events: vec![event], effect: Effect::TakesAway })
        });
        let recorded = decided.await.map_err(Error::from);
        open.locked.store(true, Ordering::Release);
        self.open.store(None);
        let ended = open.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(open);
        let result = match recorded {
            Ok(committed) => self.settle(committed).await.map(drop),
            Err(error) => Err(error),
        };
        if let Some(ended) = ended {
            drop(ended.await);
        }
        result
    }

    pub(super) const fn store(&self) -> &Store {
        &self.store
    }

    /// The newest signed checkpoint, for whoever has the file itself; no event.
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

    pub(super) fn call_in(&self, epoch: u64) {
        self.call_in.send_modify(|newest| *newest = epoch.max(*newest));
    }
}
