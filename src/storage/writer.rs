//! The one writer: jobs are gathered into batches, one batch at a time, one durable transaction a batch.
//!
//! Batches are committed by a thread of their own; while one syncs, the next gathers. A job that is alone, as every
//! one of a quiet server is, is committed by whoever brings it: a hand-over to another thread and back costs as much
//! as a quarter of its commit.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{mpsc, oneshot},
};

use super::{
    batch::{Ledger, Settled},
    fence::Fence,
    job::{Committed, Effect, Fate, Job, JobError, TypedJob, Verdict},
    source::Source,
    view::View,
};

/// The most jobs of one batch: a batch is one transaction, and the answers of all wait for the slowest.
const BATCH_JOBS_MAX: usize = 1024;
/// After so many batches of one job each the server is quiet.
const LONE_BATCHES: usize = 8;
/// How often what is kept of last accesses is written when nothing else is, and a failing disk is tried again.
const IDLE_EVERY: Duration = Duration::from_secs(1);

type Queued = Box<dyn Job>;

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
    /// How many batches in a row had one job alone.
    lone_batches: AtomicUsize,
}

struct Committer {
    ledger: Ledger,
    fence: Fence,
}

impl Writer {
    /// Starts the commit thread over a ledger; answers are handed over on the current tokio runtime. `queue_max` jobs
    /// may wait; one more is refused at once rather than grow the heap.
    pub(super) fn start(ledger: Ledger, queue_max: usize) -> (Self, oneshot::Receiver<()>) {
        let (queue, jobs) = sync_channel(queue_max);
        let (answers, deliveries) = mpsc::unbounded_channel();
        let (ended, end) = oneshot::channel();
        let source = Arc::clone(ledger.source());
        let shared = Arc::new(Shared {
            committer: Mutex::new(Committer { ledger, fence: Fence::new() }),
            waiting: AtomicUsize::new(0),
            lone_batches: AtomicUsize::new(LONE_BATCHES),
        });
        tokio::spawn(deliver(deliveries));
        let theirs = Arc::clone(&shared);
        thread::Builder::new()
            .name("sealroom-commit".to_owned())
            .spawn(move || {
                run(&theirs, &jobs, &answers);
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
        let waiting = Waiting::begin(&self.shared.waiting);
        if let Some(job) = self.commit_alone(job, waiting.is_alone) {
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

    /// Commits a job here and now if no other waits and the last one was alone too; gives it back otherwise.
    fn commit_alone(&self, job: Queued, is_alone: bool) -> Option<Queued> {
        // Under load the batches are large, and the thread that gathers them is where a job belongs.
        if !is_alone || self.shared.lone_batches.load(Ordering::Relaxed) < LONE_BATCHES {
            return Some(job);
        }
        // Only there can the runtime's other tasks move on to another thread while the disk works.
        let movable = Handle::try_current().is_ok_and(|it| it.runtime_flavor() == RuntimeFlavor::MultiThread);
        if !movable {
            return Some(job);
        }
        let Ok(mut committer) = self.shared.committer.try_lock() else { return Some(job) };
        tokio::task::block_in_place(|| {
            for (job, fate) in committer.commit(vec![job], &self.shared.lone_batches) {
                job.answer(fate);
            }
        });
        None
    }
}

/// Counts a job for as long as somebody waits for it.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    is_alone: bool,
}

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        let is_alone = count.fetch_add(1, Ordering::Relaxed) == 0;
        Self { count, is_alone }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Hands a batch's answers over together: one wake-up a batch, not one a job.
async fn deliver(mut batches: mpsc::UnboundedReceiver<Vec<(Queued, Fate)>>) {
    while let Some(batch) = batches.recv().await {
        for (job, fate) in batch {
            job.answer(fate);
        }
    }
}

fn run(shared: &Shared, jobs: &Receiver<Queued>, answers: &mpsc::UnboundedSender<Vec<(Queued, Fate)>>) {
    loop {
        let first = match jobs.recv_timeout(IDLE_EVERY) {
            Ok(job) => job,
            Err(RecvTimeoutError::Timeout) => {
                shared.committer().ledger.idle();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let mut committer = shared.committer();
        // No artificial delay: while one batch syncs, the next gathers.
        let batch = std::iter::once(first).chain(jobs.try_iter()).take(BATCH_JOBS_MAX).collect();
        let fates = committer.commit(batch, &shared.lone_batches);
        drop(committer);
        if answers.send(fates).is_err() {
            break;
        }
    }
    shared.committer().ledger.idle();
}

impl Shared {
    fn committer(&self) -> MutexGuard<'_, Committer> {
        self.committer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Committer {
    fn commit(&mut self, batch: Vec<Queued>, lone_batches: &AtomicUsize) -> Vec<(Queued, Fate)> {
        let lone = if batch.len() == 1 { lone_batches.load(Ordering::Relaxed).saturating_add(1) } else { 0 };
        lone_batches.store(lone, Ordering::Relaxed);
        let settled = settle(&mut self.ledger, batch);
        settled.into_iter().map(|(job, settled)| (job, fate(settled, &mut self.fence))).collect()
    }
}

fn settle(ledger: &mut Ledger, batch: Vec<Queued>) -> Vec<(Queued, Settled)> {
    let mut round = ledger.begin();
    let mut decided = Vec::with_capacity(batch.len());
    for mut job in batch {
        let place = round.add(|view| job.decide(view));
        decided.push((job, place));
    }
    let mut outcome = round.commit();
    decided.into_iter().map(|(job, place)| (job, outcome.of(place))).collect()
}

fn fate(settled: Settled, fence: &mut Fence) -> Fate {
    match settled {
        Settled::Committed { receipts, effect } => Fate::Committed {
            receipts,
            disclosed: (effect == Effect::Discloses).then(|| fence.disclosed()),
            quiet: (effect == Effect::TakesAway).then(|| fence.quiet()),
        },
        Settled::Unavailable => Fate::Unavailable,
        Settled::Panicked => Fate::Panicked,
        Settled::Failed(error) => Fate::Failed(error),
    }
}
