//! Backups of the running vault: for a caller, and for the server's own schedule.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc::{Sender, channel},
    },
    thread,
    time::Duration,
};

use tokio::sync::{oneshot, watch};

use super::{
    Disclosure,
    access::{self, Admitted},
    audited::silent,
    error::{Error, InternalError},
    state::{Open, Vault},
    under_way::failed,
    work::{Context, Request},
};
use crate::{
    auth::policy::Verb,
    disk::Medium,
    domain::{Action, Event, Timestamp},
    storage::{Blank, Copied, CopyError, Decision, Moment, Step, View},
};

/// The rest of a copy after a chunk, in multiples of the chunk's own time, while the log grows: requests come first.
const REST: u32 = 4;
/// The longest rest.
const REST_MAX: Duration = Duration::from_millis(100);
/// The most attempts to admit a caller to a piece while requests fill the queue: half a minute.
const PIECE_TRIES: usize = 300;

/// A backup under way. Its event is recorded before its copy is made. Until [`Backup::arrived`] is called, the end of this
/// value records that the backup failed: an error, or a client or schedule that gave it up. A lock records it as well.
#[must_use = "dropped, it is recorded as failed"]
pub struct Backup {
    open: Weak<Open>,
    number: u64,
}

impl Backup {
    fn begin(open: &Arc<Open>, event: Event) -> Self {
        Self { open: Arc::downgrade(open), number: open.backups.add(event) }
    }

    /// Takes the copy for arrived by this time: it is the newest verified backup.
    pub fn arrived(self, vault: &Vault, now: Timestamp) {
        if let Some(event) = self.take() {
            vault.set_backed_up(event.time, now);
        }
    }

    /// Returns the error with which its event was not recorded: then neither is a failure, unless the event may be.
    fn unrecorded(self, error: Error) -> Error {
        if !matches!(error, Error::AuditUnavailable) {
            self.take();
        }
        error
    }

    fn take(&self) -> Option<Event> {
        self.open.upgrade()?.backups.take(self.number)
    }
}

impl Drop for Backup {
    fn drop(&mut self) {
        // A lock took the event: after it nothing is recorded.
        let (Some(event), Some(open)) = (self.take(), self.open.upgrade()) else { return };
        // Queued by the call itself: nobody waits for it.
        drop(open.decide(None, |_| Ok(Decision::recording((), vec![failed(event)]))));
    }
}

impl Vault {
    /// Copies the vault to an empty medium for a caller, and verifies the copy. Records `backup.create` first: the copy
    /// has that record. The caller says when the copy has arrived.
    ///
    /// # Errors
    /// The policy forbids it, the vault is locked meanwhile, another copy is being made, or either file refuses.
    pub async fn create_backup(
        &self,
        context: &Context,
        caller: &Admitted,
        to: Medium,
    ) -> Result<(Copied, Backup), Error> {
        self.check_room()?;
        let event = context.event(caller.caller().actor(), Action::BackupCreate);
        // Before the event is recorded: a caller that goes away meanwhile leaves it without a copy.
        let open = self.opened()?;
        let backup = Backup::begin(&open, event);
        let (backups, number) = (Arc::clone(&open.backups), backup.number);
        drop(open);
        let record = move |work: Request<'_>| {
            backups.recorded(number);
            Ok(Decision::recording((), vec![work.event]))
        };
        if let Err(error) = self.act(context, caller, Verb::CreateBackup, record).await {
            return Err(backup.unrecorded(error));
        }
        let copied = self.copy(to).await?;
        // The caller may have lost its rights meanwhile.
        let open = self.opened()?;
        self.admit_again(&open.writer.fresh_view(), caller, context.now, Verb::CreateBackup)?;
        Ok((copied, backup))
    }

    /// Admits a caller again to the next piece of its copy. Hold the disclosure until the piece is with the connection: a
    /// revocation waits for it.
    ///
    /// # Errors
    /// The caller lost its rights, the vault was locked, or its disk fails.
    pub async fn admit_piece(
        &self,
        context: &Context,
        caller: &Admitted,
        now: Timestamp,
    ) -> Result<Option<Disclosure>, Error> {
        for _ in 0..PIECE_TRIES {
            let (bearer, rules) = (caller.bearer(), self.rules());
            let decide = move |view: &View<'_>| {
                let admitted = access::authenticate(view, bearer, now).map_err(silent)?;
                admitted.permit(Verb::CreateBackup, &rules).map_err(|denied| silent(denied.into()))?;
                Ok(Decision::disclosing((), Vec::new()))
            };
            match self.opened()?.decide(context.request, decide).await {
                // The queue is full: the requests in it go first.
                Err(Error::Overloaded) => tokio::time::sleep(REST_MAX).await,
                admitted => return Ok(admitted?.disclosed),
            }
        }
        Err(Error::Overloaded)
    }

    /// Copies the vault to an empty medium for its host, as [`Vault::create_backup`] does for a caller.
    ///
    /// # Errors
    /// As [`Vault::create_backup`].
    pub async fn back_up(&self, to: Medium, now: Timestamp) -> Result<(Copied, Backup), Error> {
        let event = Event::new(now, self.settings().host.clone(), Action::BackupCreate);
        let open = self.opened()?;
        let backup = Backup::begin(&open, event.clone());
        let (backups, number) = (Arc::clone(&open.backups), backup.number);
        let record = move |_: &View<'_>| {
            backups.recorded(number);
            Ok(Decision::recording((), vec![event]))
        };
        if let Err(error) = open.decide(None, record).await {
            return Err(backup.unrecorded(error));
        }
        drop(open);
        Ok((self.copy(to).await?, backup))
    }

    /// Records that a scheduled backup was given up before its copy began.
    pub async fn record_lost_backup(&self, now: Timestamp) {
        let event = Event::new(now, self.settings().host.clone(), Action::BackupCreate);
        if let Err(error) = self.record(failed(event)).await {
            tracing::error!(%error, "a backup that failed could not be recorded");
        }
    }

    /// Checks that a copy fits on the vault's own disk.
    fn check_room(&self) -> Result<(), Error> {
        let needed = self.file_bytes().unwrap_or(0).saturating_add(self.settings().disk_low_bytes);
        match self.free_bytes() {
            Some(free) if free < needed => Err(Error::DiskLow),
            Some(_) | None => Ok(()),
        }
    }

    async fn copy(&self, to: Medium) -> Result<Copied, Error> {
        // Set when the future is dropped, as when the client goes away.
        let stop = Stop(Arc::default());
        // The new file's disk may hang: only the copy's own thread calls it.
        let thread = CopyThread::start()?;
        let blank = thread.run(move || Blank::on(to)).await??;
        let (mut copying, mut pace) = {
            let open = self.opened()?;
            (open.writer.begin_copy(blank)?, Pace::new(&open, &stop, self.settings().monotonic))
        };
        let locked = Arc::clone(&pace.locked);
        // A copy that a lock stopped was not stopped by its client.
        let cause = |error: CopyError| match error {
            CopyError::Stopped if locked.load(Ordering::Acquire) => Error::Locked,
            error => error.into(),
        };
        // Nothing is collected for a copy that is given up, even if its thread hangs.
        let _tap = copying.tap();
        // From here on only the copy's own chunks hold the keys, each for its own length.
        let run = thread.run(move || {
            let run = copying.run(&mut |step| pace.step(step));
            run.map(|()| (copying, pace))
        });
        let (copying, mut pace) = run.await?.map_err(cause)?;
        let open = self.opened()?;
        let ticket = copying.ticket().ok_or(Error::Locked)?;
        let fixed =
            open.decide(None, move |view| Ok(Decision::recording(Moment::of(view, ticket), Vec::new())));
        let fixed = fixed.await?;
        drop(open);
        let moment = fixed.value?;
        thread.run(move || copying.finish(moment, &mut |step| pace.step(step))).await?.map_err(cause)
    }
}

/// The thread of one copy. The system's allocator keeps what a thread has freed for that thread and those after it: on
/// the threads of a pool, copy after copy would take the memory of each of them.
struct CopyThread(Sender<Box<dyn FnOnce() + Send>>);

impl CopyThread {
    fn start() -> Result<Self, InternalError> {
        let (jobs, queue) = channel::<Box<dyn FnOnce() + Send>>();
        let thread = thread::Builder::new().name("sealroom-copy".to_owned());
        let started = thread.spawn(move || queue.into_iter().for_each(|job| job()));
        started.map(|_| Self(jobs)).map_err(InternalError::Scratch)
    }

    /// Runs a part of the copy; its result is dropped there if nobody waits for it any more.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, InternalError> {
        let (done, is_done) = oneshot::channel();
        let job = Box::new(move || drop(done.send(work())));
        self.0.send(job).map_err(|_| InternalError::TaskPanicked)?;
        is_done.await.map_err(|_| InternalError::TaskPanicked)
    }
}

/// Tells the copy's thread that nobody waits for it any more.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Lets requests go first: the copy rests while the log grows.
struct Pace {
    stop: Arc<AtomicBool>,
    locked: Arc<AtomicBool>,
    log_size: watch::Receiver<u64>,
    monotonic: fn() -> Duration,
    last: Duration,
}

impl Pace {
    fn new(open: &Open, stop: &Stop, monotonic: fn() -> Duration) -> Self {
        Self {
            stop: Arc::clone(&stop.0),
            locked: Arc::clone(&open.locked),
            log_size: open.writer.stats().log_size.subscribe(),
            monotonic,
            last: monotonic(),
        }
    }

    fn step(&mut self, _: Step) -> ControlFlow<()> {
        if self.stop.load(Ordering::Acquire) || self.locked.load(Ordering::Acquire) {
            return ControlFlow::Break(());
        }
        // An error means that the writer has ended; the next chunk finds that out.
        if self.log_size.has_changed().unwrap_or(false) {
            self.log_size.mark_unchanged();
            let worked = (self.monotonic)().saturating_sub(self.last);
            thread::sleep((worked * REST).min(REST_MAX));
        }
        self.last = (self.monotonic)();
        ControlFlow::Continue(())
    }
}

impl From<CopyError> for Error {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Locked => Self::Locked,
            // Nobody waits for the answer, or a later try may succeed.
            CopyError::Stopped | CopyError::Busy | CopyError::Outrun => Self::Overloaded,
            CopyError::Source(error) => error.into(),
            CopyError::Target(_) | CopyError::Unverified(_) => InternalError::Copy(error).into(),
        }
    }
}
