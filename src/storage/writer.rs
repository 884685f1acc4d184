//! The commit thread: the only writer. One batch at a time, one durable transaction a batch.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};

use super::{
    batch::{Ledger, Settled},
    fence::Fence,
    job::{Effect, Fate, Job, JobError, TypedJob, Verdict},
    source::Source,
    view::View,
};

/// The most jobs of one batch: a batch is one transaction, and the answers of all wait for the slowest.
const BATCH_JOBS_MAX: usize = 1024;
/// How often what is kept of last accesses is written when nothing else is.
const LAST_ACCESS_EVERY: Duration = Duration::from_secs(1);

type Queued = Box<dyn Job>;

/// The handle to the commit thread. Dropping every handle stops the thread once its queue is empty.
#[derive(Clone)]
pub struct Writer {
    queue: SyncSender<Queued>,
    source: Arc<Source>,
}

impl Writer {
    /// Starts the commit thread over a ledger; answers are handed over on the current tokio runtime. `queue_max` jobs
    /// may wait; one more is refused at once rather than grow the heap.
    pub(super) fn start(ledger: Ledger, queue_max: usize) -> (Self, oneshot::Receiver<()>) {
        let (queue, jobs) = sync_channel(queue_max);
        let (answers, deliveries) = mpsc::unbounded_channel();
        let (ended, end) = oneshot::channel();
        let source = Arc::clone(ledger.source());
        tokio::spawn(deliver(deliveries));
        thread::Builder::new()
            .name("sealroom-commit".to_owned())
            .spawn(move || {
                run(ledger, &jobs, &answers);
                let _ = ended.send(());
            })
            .expect("a thread for the writer: without one nothing can be served");
        (Self { queue, source }, end)
    }

    /// The last committed state, helped by this thread's cache.
    pub fn view(&self) -> View<'_> {
        View::committed(&self.source)
    }

    /// The last committed state, read from one snapshot alone.
    pub fn fresh_view(&self) -> View<'_> {
        View::fresh(&self.source)
    }

    /// Lets the commit thread decide on the newest state, and waits until what it decided is durable.
    ///
    /// # Errors
    /// The decision's refusal, or why there was none.
    pub async fn submit<T, E, F>(&self, decide: F) -> Result<super::job::Committed<T>, JobError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(&View<'_>) -> Verdict<T, E> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Box::new(TypedJob::new(decide, reply))).map_err(|error| match error {
            TrySendError::Full(_) => JobError::Overloaded,
            TrySendError::Disconnected(_) => JobError::Stopped,
        })?;
        answer.await.unwrap_or(Err(JobError::Stopped))
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

fn run(mut ledger: Ledger, jobs: &Receiver<Queued>, answers: &mpsc::UnboundedSender<Vec<(Queued, Fate)>>) {
    let mut fence = Fence::new();
    loop {
        let first = match jobs.recv_timeout(LAST_ACCESS_EVERY) {
            Ok(job) => job,
            Err(RecvTimeoutError::Timeout) => {
                ledger.flush_last_access();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        // No artificial delay: while one batch syncs, the next gathers.
        let batch = std::iter::once(first).chain(jobs.try_iter()).take(BATCH_JOBS_MAX).collect();
        let settled = settle(&mut ledger, batch);
        let fates = settled.into_iter().map(|(job, settled)| (job, fate(settled, &mut fence))).collect();
        if answers.send(fates).is_err() {
            break;
        }
    }
    ledger.flush_last_access();
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
