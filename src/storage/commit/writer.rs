//! The writer: gathers jobs into batches and commits one batch at a time, each in one durable transaction.
//!
//! The commit thread runs the commits; while one batch syncs, the next gathers in the queue. No thread that serves
//! requests waits for the disk.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel},
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
use crate::{
    crypto::stack::{self, leaving_nothing},
    storage::{
        error::StorageError,
        examine::{Check, Examination, Read, Surroundings},
        read::{log::StoredRecord, view::View},
        state::VaultState,
    },
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
                leaving_nothing(|| run(committer, &jobs, &answers, writing.flush_interval));
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

    /// Returns whether events cannot be recorded: the last commit failed, the one in flight has stalled, or the log is
    /// flawed.
    pub fn is_unavailable(&self) -> bool {
        self.source.stats.is_unavailable() || self.is_log_flawed()
    }

    /// Returns whether a check of the log has found a record that disagrees with the sealed head.
    pub fn is_log_flawed(&self) -> bool {
        self.source.log_check.is_flawed()
    }

    /// Holds at most `limit` records from `first` on against the sealed head, and returns them; none at the end of the
    /// log. A flaw stops every later commit of an event.
    ///
    /// # Errors
    /// The file cannot be read, or a record disagrees.
    pub fn check_log(&self, first: u64, limit: usize) -> Result<Vec<StoredRecord>, StorageError> {
        let read = self.fresh_view().records(first, limit);
        if matches!(read, Err(StorageError::Tampered { .. })) {
            self.source.log_check.set_flawed();
        }
        read
    }

    /// Takes the records that this process committed last, from `first` on; none if it no longer has that one in memory.
    pub fn take_recent(&self, first: u64) -> Vec<StoredRecord> {
        self.source.recent.take_from(first)
    }

    /// Stops every later commit of an event, as a flaw does.
    pub fn distrust_log(&self) {
        self.source.log_check.set_flawed();
    }

    /// Returns the monotonic time of the last whole check of the log.
    pub fn log_checked(&self) -> Option<Duration> {
        self.source.log_check.ended()
    }

    /// Records that the whole log was checked.
    pub fn set_log_checked(&self, now: Duration) {
        self.source.log_check.end(now);
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

    /// Queues the decision for the commit thread, which runs it on the newest state. The future waits until its writes
    /// are durable; it does not contain the decision, so that the tasks of requests stay small.
    ///
    /// # Errors
    /// The decision's refusal, or the reason why the job has no answer.
    pub fn submit<T, E, F>(
        &self,
        decide: F,
    ) -> impl Future<Output = Result<Committed<T>, JobError<E>>> + Send + use<T, E, F>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(&View<'_>) -> Verdict<T, E> + Send + 'static,
    {
        let waiting = Waiting::begin(&self.waiting);
        let queued = self.enqueue(decide);
        let timeout = self.source.stats.stall * 2;
        async move {
            let _waiting = waiting;
            // Times out if the disk blocks. A late result is dropped, and its secrets are wiped.
            match tokio::time::timeout(timeout, queued?).await {
                Ok(answered) => answered.unwrap_or(Err(JobError::Stopped)),
                Err(_) => Err(JobError::Unavailable),
            }
        }
    }

    fn enqueue<T, E, F>(&self, decide: F) -> Result<Answer<T, E>, JobError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(&View<'_>) -> Verdict<T, E> + Send + 'static,
    {
        // Every event ends in a signed checkpoint: none is signed over a log that is known to be forged.
        if self.source.stats.is_stalled() || self.source.log_check.is_flawed() {
            return Err(JobError::Unavailable);
        }
        let (reply, answer) = oneshot::channel();
        let job: Queued = Box::new(TypedJob::new(decide, reply));
        match self.queue.try_send(job) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_)) => Err(JobError::Overloaded),
            Err(TrySendError::Disconnected(_)) => Err(JobError::Stopped),
        }
    }
}

type Answer<T, E> = oneshot::Receiver<Result<Committed<T>, JobError<E>>>;

/// Counts a job until its answer arrives or its client gives up.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Waiting {
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
        let first = match jobs.try_recv() {
            Ok(job) => job,
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {
                // No job waits for the wipe of what the last batch left.
                stack::wipe();
                match jobs.recv_timeout(flush_interval) {
                    Ok(job) => job,
                    Err(RecvTimeoutError::Timeout) => {
                        committer.idle();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
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
