//! The one writer: jobs are gathered into batches, one batch at a time, one durable transaction a batch.
//!
//! Batches are committed by a thread of their own; while one syncs, the next gathers. A connection that has the server
//! to itself commits its jobs where it is served: a hand-over to another thread and back costs as much as a third of
//! a commit. That blocks a thread that serves for as long as the disk takes; where it takes long the
//! [stand-by](super::watch) serves instead, and a device that stalls holds up that one request alone.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};

use super::{
    batch::Ledger,
    fence::Fence,
    job::{Committed, Job, JobError, JobOutcome, TypedJob, Verdict},
    source::Source,
    view::View,
    watch::{Lone, StandBy, WATCH_EVERY},
};

/// The most jobs of one batch: a batch is one transaction, and the answers of all wait for the slowest.
const BATCH_JOBS_MAX: usize = 1024;

type Queued = Box<dyn Job>;

/// How the writer works.
#[derive(Debug, Clone, Copy)]
pub struct Writing {
    /// How many jobs may wait; one more is refused at once rather than grow the heap.
    pub queue_max: usize,
    /// Whether one thread of the current runtime is kept back, for it alone.
    pub stand_by: bool,
    /// The time since some moment of this process.
    pub monotonic: fn() -> Duration,
    /// A commit that takes longer than this stands still.
    pub commit_stall: Duration,
    /// How often what waits for a pause is written when nothing else is, and a failing disk is tried again.
    pub idle_every: Duration,
}

/// The handle to the writer. Dropping every handle ends its thread once the queue is empty.
#[derive(Clone)]
pub struct Writer {
    shared: Arc<Shared>,
    source: Arc<Source>,
    /// Dropped last: its end tells the thread that nobody holds the keys any more.
    queue: SyncSender<Queued>,
}

struct Shared {
    committer: Mutex<Committer>,
    /// Jobs that wait for their answer.
    waiting: AtomicUsize,
    lone: Lone,
    stand_by: Arc<StandBy>,
}

struct Committer {
    ledger: Ledger,
    fence: Fence,
}

impl Writer {
    /// Starts the commit thread over a ledger; answers are handed over on the current tokio runtime.
    pub(super) fn start(ledger: Ledger, writing: Writing) -> (Self, oneshot::Receiver<()>) {
        let (queue, jobs) = sync_channel(writing.queue_max);
        let (answers, deliveries) = mpsc::unbounded_channel();
        let (ended, end) = oneshot::channel();
        let source = Arc::clone(ledger.source());
        let shared = Arc::new(Shared {
            committer: Mutex::new(Committer { ledger, fence: Fence::new() }),
            waiting: AtomicUsize::new(0),
            lone: Lone::default(),
            stand_by: StandBy::begin(writing.stand_by),
        });
        tokio::spawn(deliver(deliveries));
        let theirs = Arc::clone(&shared);
        thread::Builder::new()
            .name("sealroom-commit".to_owned())
            .spawn(move || {
                run(&theirs, &jobs, &answers, writing.idle_every);
                drop(theirs);
                let _ = ended.send(());
            })
            .expect("a thread for the writer: without one nothing can be served");
        (Self { shared, source, queue }, end)
    }

    /// The last committed state, helped by this thread's cache.
    pub fn view(&self) -> View<'_> {
        View::committed(&self.source)
    }

    /// The last committed state, read from one snapshot alone.
    pub fn fresh_view(&self) -> View<'_> {
        View::fresh(&self.source)
    }

    /// How many jobs wait for their answer.
    pub fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    /// What the commits came to so far.
    pub fn stats(&self) -> &super::source::Stats {
        &self.source.stats
    }

    /// Decides on the newest state, and waits until what was decided is durable.
    ///
    /// # Errors
    /// The decision's refusal, or why there was none.
    pub async fn submit<T, E, F>(&self, decide: F) -> Result<Committed<T>, JobError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(&View<'_>) -> Verdict<T, E> + Send + 'static,
    {
        if self.source.stats.is_stalled() {
            return Err(JobError::Unavailable);
        }
        let (reply, answer) = oneshot::channel();
        let job: Queued = Box::new(TypedJob::new(decide, reply));
        let _waiting = Waiting::begin(&self.shared.waiting);
        if let Some(job) = self.commit_alone(job) {
            self.queue.try_send(job).map_err(|error| match error {
                TrySendError::Full(_) => JobError::Overloaded,
                TrySendError::Disconnected(_) => JobError::Stopped,
            })?;
        }
        // Whoever waits for a device that blocks is told so; what is decided after all is dropped, and wiped, with its
        // answer.
        match tokio::time::timeout(self.source.stats.stall * 2, answer).await {
            Ok(answered) => answered.unwrap_or(Err(JobError::Stopped)),
            Err(_) => Err(JobError::Unavailable),
        }
    }

    /// Commits the job of a connection that is alone here and now; gives it back otherwise.
    fn commit_alone(&self, job: Queued) -> Option<Queued> {
        if !self.shared.lone.count() || !self.shared.stand_by.is_ready() {
            return Some(job);
        }
        let Ok(mut committer) = self.shared.committer.try_lock() else { return Some(job) };
        for (job, outcome) in committer.commit(vec![job]) {
            job.answer(outcome);
        }
        None
    }
}

/// Counts a job for as long as somebody waits for it.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Hands a batch's answers over together: one wake-up a batch, not one a job.
async fn deliver(mut batches: mpsc::UnboundedReceiver<Vec<(Queued, JobOutcome)>>) {
    while let Some(batch) = batches.recv().await {
        for (job, outcome) in batch {
            job.answer(outcome);
        }
    }
}

fn run(
    shared: &Shared,
    jobs: &Receiver<Queued>,
    answers: &mpsc::UnboundedSender<Vec<(Queued, JobOutcome)>>,
    idle_every: Duration,
) {
    let mut watch = Watch { idle_every, lone_jobs: 0, since: Duration::MAX, is_slow: false };
    loop {
        let patience = watch.patience(shared);
        let first = match jobs.recv_timeout(patience) {
            Ok(job) => job,
            Err(RecvTimeoutError::Timeout) => {
                watch.look(shared, patience);
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let mut committer = shared.committer.try_lock().unwrap_or_else(|_| {
            // Whoever holds it may do so for as long as the disk takes.
            shared.stand_by.want(false);
            shared.committer()
        });
        // No artificial delay: while one batch syncs, the next gathers.
        let batch = std::iter::once(first).chain(jobs.try_iter()).take(BATCH_JOBS_MAX).collect();
        let fates = committer.commit(batch);
        drop(committer);
        if answers.send(fates).is_err() {
            break;
        }
        (watch.since, watch.is_slow) = (Duration::ZERO, false);
    }
    shared.stand_by.end();
    shared.committer().ledger.idle();
}

/// What the commit thread does while a connection commits for itself.
struct Watch {
    idle_every: Duration,
    /// How many jobs that had brought in a row when it last looked.
    lone_jobs: usize,
    /// For how long nothing was committed.
    since: Duration,
    /// Whether one of its commits takes long.
    is_slow: bool,
}

impl Watch {
    /// How long to wait for the next job.
    fn patience(&self, shared: &Shared) -> Duration {
        let watches = shared.lone.jobs().1 && self.since < self.idle_every;
        shared.stand_by.want(watches && !self.is_slow);
        if watches { WATCH_EVERY } else { self.idle_every }
    }

    fn look(&mut self, shared: &Shared, waited: Duration) {
        let (lone_jobs, _) = shared.lone.jobs();
        let moved = std::mem::replace(&mut self.lone_jobs, lone_jobs) != lone_jobs;
        self.since = if moved { waited } else { self.since.saturating_add(waited) };
        let committer = shared.committer.try_lock();
        // Not one commit ended in all that time, and one is under way.
        self.is_slow = committer.is_err() && !moved;
        if let Ok(mut committer) = committer
            && self.since >= self.idle_every
        {
            committer.ledger.idle();
        }
    }
}

impl Shared {
    fn committer(&self) -> MutexGuard<'_, Committer> {
        self.committer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Committer {
    fn commit(&mut self, batch: Vec<Queued>) -> Vec<(Queued, JobOutcome)> {
        let mut round = self.ledger.begin();
        let mut decided = Vec::with_capacity(batch.len());
        for mut job in batch {
            let place = round.add(|view| job.decide(view));
            decided.push((job, place));
        }
        let mut outcomes = round.commit();
        decided.into_iter().map(|(job, place)| (job, outcomes.of(place, &mut self.fence))).collect()
    }
}
