//! A connection that has the server to itself, and what keeps that server alive when its disk does not answer.
//!
//! Such a connection's jobs are committed on the very thread that serves it (see [`super::writer`]). One more thread
//! of the runtime than serves is kept back, blocked, so that it takes part in nothing; the commit thread watches, and
//! lets it go while a commit takes long.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::runtime::{Handle, RuntimeFlavor};

/// How often it is looked whether a commit outside the commit thread takes long.
pub(super) const WATCH_EVERY: Duration = Duration::from_millis(20);
/// For how long the stand-by is blocked at a time: the longest that it holds up the end of its runtime.
const STAND_BY: Duration = Duration::from_secs(10);

/// After so many jobs in a row of one connection nobody else is there.
const LONE_JOBS: usize = 8;

/// Tells whether one connection brings all the jobs.
#[derive(Default)]
pub(super) struct Lone {
    task: AtomicU64,
    jobs: AtomicUsize,
}

impl Lone {
    /// Counts a job of the current task; whether the last few were its own too.
    pub(super) fn count(&self) -> bool {
        let mut hasher = DefaultHasher::new();
        tokio::task::try_id().hash(&mut hasher);
        let task = hasher.finish();
        if self.task.swap(task, Ordering::Relaxed) == task {
            self.jobs.fetch_add(1, Ordering::Relaxed) >= LONE_JOBS
        } else {
            self.jobs.store(0, Ordering::Relaxed);
            false
        }
    }

    /// How many jobs in a row one connection has brought, and whether these are more than a few.
    pub(super) fn jobs(&self) -> (usize, bool) {
        let jobs = self.jobs.load(Ordering::Relaxed);
        (jobs, jobs >= LONE_JOBS)
    }
}

/// One thread of a runtime, kept back.
pub(super) struct StandBy {
    is_there: bool,
    watched: AtomicBool,
    needed: Mutex<bool>,
    changed: Condvar,
}

impl StandBy {
    /// Keeps one thread of the current runtime back, if that is wanted and it has more than one.
    pub(super) fn begin(is_wanted: bool) -> Arc<Self> {
        let runtime = Handle::current();
        let is_there = is_wanted
            && runtime.runtime_flavor() == RuntimeFlavor::MultiThread
            && runtime.metrics().num_workers() > 1;
        let (needed, changed) = (Mutex::new(false), Condvar::new());
        let this = Arc::new(Self { is_there, watched: AtomicBool::new(false), needed, changed });
        if is_there {
            let theirs = Arc::downgrade(&this);
            runtime.spawn(async move {
                while let Some(this) = theirs.upgrade() {
                    if this.wait() {
                        drop(this);
                        tokio::time::sleep(WATCH_EVERY).await;
                    } else {
                        drop(this);
                        tokio::task::yield_now().await;
                    }
                }
            });
        }
        this
    }

    /// Whether a thread that serves may go to the disk itself.
    pub(super) fn is_ready(&self) -> bool {
        self.is_there && self.watched.load(Ordering::Relaxed)
    }

    /// Says whether the commit thread watches.
    pub(super) fn watched(&self, watched: bool) {
        self.watched.store(watched, Ordering::Relaxed);
    }

    /// Says whether a commit takes long.
    pub(super) fn needed(&self, needed: bool) {
        *self.needed.lock().unwrap_or_else(PoisonError::into_inner) = needed;
        self.changed.notify_all();
    }

    /// Blocks until it is needed; `false` if it is not yet.
    fn wait(&self) -> bool {
        let needed = self.needed.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(needed, STAND_BY, |needed| !*needed);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
