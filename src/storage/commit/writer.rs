//! The writer: gathers jobs into batches and commits one batch at a time, each in one durable transaction.
//!
//! The commit thread runs the commits; while one batch syncs, the next gathers in the queue. No thread that serves
//! requests waits for the disk.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};

use super::{
    batch::Committer,
    in_flight::InFlight,
    job::{Committed, Job, JobError, JobOutcome, TypedJob, Verdict},
};
use crate::storage::{
    examine::{Check, Examination, Read, Surroundings},
    read::view::View,
    state::VaultState,
};

/// The most jobs in one batch: a batch is one transaction, and all its answers wait for its last job.
const BATCH_JOBS_MAX: usize = 1024;

type Queued = Box<dyn Job>;

/// Settings of the writer.
#[derive(Debug, Clone, Copy)]
pub struct Writing {
    /// The length of the queue; when it is full, the writer refuses further jobs at once.
    pub queue_max: usize,
    /// The monotonic clock: time since some moment of this process.
    pub monotonic: fn() -> Duration,
    /// The timeout after which a commit counts as stalled.
    pub commit_timeout: Duration,
    /// The interval after which an idle writer flushes pending writes and retries a failing disk.
    pub flush_interval: Duration,
}

/// A handle to the writer. The commit thread ends once every handle is dropped and the queue is empty.
#[derive(Clone)]
pub struct Writer {
    /// Number of jobs that wait for their answer.
    waiting: Arc<AtomicUsize>,
    source: Arc<VaultState>,
    /// Dropped last: the closed queue tells the commit thread that no handle holds the keys any more.
    queue: SyncSender<Queued>,
}

impl Writer {
    /// Starts the commit thread over a committer; a task of the current tokio runtime delivers the answers.
    pub(in crate::storage) fn start(committer: Committer, writing: Writing) -> (Self, oneshot::Receiver<()>) {
        let (queue, jobs) = sync_channel(writing.queue_max);
        let (answers, deliveries) = mpsc::unbounded_channel();
        let (ended, end) = oneshot::channel();
        let source = Arc::clone(committer.source());
        tokio::spawn(deliver(deliveries));
        thread::Builder::new()
            .name("sealroom-commit".to_owned())
            .spawn(move || {
                run(committer, &jobs, &answers, writing.flush_interval);
                let _ = ended.send(());
            })
            .expect("a thread for the writer: without one nothing can be served");
        (Self { waiting: Arc::default(), source, queue }, end)
    }

    /// Returns a view of the last committed state, through this thread's cache.
    pub fn view(&self) -> View<'_> {
        View::committed(&self.source)
    }

    /// Returns a view of the last committed state from one snapshot, without the cache.
    pub fn fresh_view(&self) -> View<'_> {
        View::fresh(&self.source)
    }

    pub(in crate::storage) const fn state(&self) -> &Arc<VaultState> {
        &self.source
    }

    /// Returns the number of jobs that wait for their answer.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Returns the statistics of the commits so far.
    pub fn stats(&self) -> &crate::storage::state::Stats {
        &self.source.stats
    }

    /// Examines the whole file while the commit thread may write to it.
    pub fn examine(&self, surroundings: Surroundings, read: &Read<'_>) -> Vec<Check> {
        let VaultState { engine, keys, file, .. } = &*self.source;
        Examination {
            engine,
            keys: Some(keys),
            file: *file,
            surroundings,
            is_live: true,
            archived: None,
            read,
        }
        .run()
    }

    /// Runs the decision on the newest state in the commit thread, and waits until its writes are durable.
    ///
    /// # Errors
    /// The decision's refusal, or the reason why the job has no answer.
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
        let _waiting = Waiting::begin(&self.waiting);
        self.queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => JobError::Overloaded,
            TrySendError::Disconnected(_) => JobError::Stopped,
        })?;
        // Times out if the disk blocks. A late result is dropped, and its secrets are wiped.
        match tokio::time::timeout(self.source.stats.stall * 2, answer).await {
            Ok(answered) => answered.unwrap_or(Err(JobError::Stopped)),
            Err(_) => Err(JobError::Unavailable),
        }
    }
}

/// Counts a job until its answer arrives or its client gives up.
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

/// Delivers the answers of a batch together: one wake-up per batch, not per job.
async fn deliver(mut batches: mpsc::UnboundedReceiver<Vec<(Queued, JobOutcome)>>) {
    while let Some(batch) = batches.recv().await {
        for (job, outcome) in batch {
            job.answer(outcome);
        }
    }
}

/// Commits batches until every handle is dropped.
fn run(
    mut committer: Committer,
    jobs: &Receiver<Queued>,
    answers: &mpsc::UnboundedSender<Vec<(Queued, JobOutcome)>>,
    flush_interval: Duration,
) {
    let mut in_flight = InFlight::new();
    loop {
        let first = match jobs.recv_timeout(flush_interval) {
            Ok(job) => job,
            Err(RecvTimeoutError::Timeout) => {
                committer.idle();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        // No artificial delay: while one batch syncs, the next gathers.
        let batch = std::iter::once(first).chain(jobs.try_iter()).take(BATCH_JOBS_MAX).collect();
        if answers.send(commit(&mut committer, &mut in_flight, batch)).is_err() {
            break;
        }
    }
    committer.idle();
}

fn commit(
    committer: &mut Committer,
    in_flight: &mut InFlight,
    batch: Vec<Queued>,
) -> Vec<(Queued, JobOutcome)> {
    let mut builder = committer.begin();
    let mut decided = Vec::with_capacity(batch.len());
    for mut job in batch {
        let index = builder.add(|view| job.decide(view));
        decided.push((job, index));
    }
    let mut outcomes = builder.commit();
    decided.into_iter().map(|(job, index)| (job, outcomes.of(index, in_flight))).collect()
}
