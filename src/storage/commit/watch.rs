//! A connection that has the server to itself, and what keeps that server alive when its disk does not answer.
//!
//! Such a connection's jobs are committed on the very thread that serves it (see [`super::writer`]). Meanwhile one more
//! thread of the runtime than serves is kept back, blocked, so that it takes part in nothing; the commit thread watches,
//! and lets it go where a commit takes long. Without a thread that stands by, nobody else goes to the disk.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::Notify,
};

/// How often it is looked whether a commit outside the commit thread takes long.
pub(in crate::storage) const WATCH_EVERY: Duration = Duration::from_millis(20);
/// For how long the stand-by is blocked at a time: the longest that it holds up the end of its runtime.
const STAND_BY: Duration = Duration::from_secs(1);

/// After so many jobs in a row of one connection nobody else is there.
const LONE_JOBS: usize = 8;

/// Tells whether one connection brings all the jobs.
#[derive(Default)]
pub(in crate::storage) struct Lone {
    task: AtomicU64,
    jobs: AtomicUsize,
}

impl Lone {
    /// Counts a job of the current task; whether the last few were its own too.
    pub(in crate::storage) fn count(&self) -> bool {
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
    pub(in crate::storage) fn jobs(&self) -> (usize, bool) {
        let jobs = self.jobs.load(Ordering::Relaxed);
        (jobs, jobs >= LONE_JOBS)
    }
}

/// One thread of a runtime, kept back while that is wanted.
pub(in crate::storage) struct StandBy {
    is_there: bool,
    state: Mutex<State>,
    changed: Condvar,
    call: Notify,
}

#[derive(Default)]
struct State {
    wanted: bool,
    /// Whether a thread is blocked for it.
    stands: bool,
    ended: bool,
}

impl StandBy {
    /// For the current runtime, if it is to have one and has more than one thread.
    pub(in crate::storage) fn begin(may_stand: bool) -> Arc<Self> {
        let runtime = Handle::current();
        let is_there = may_stand
            && runtime.runtime_flavor() == RuntimeFlavor::MultiThread
            && runtime.metrics().num_workers() > 1;
        let (state, changed, call) = (Mutex::default(), Condvar::new(), Notify::new());
        let this = Arc::new(Self { is_there, state, changed, call });
        if is_there {
            let theirs = Arc::clone(&this);
            runtime.spawn(async move {
                while theirs.called().await {
                    theirs.stand();
                }
            });
        }
        this
    }

    /// Whether a thread that serves may go to the disk itself.
    pub(in crate::storage) fn is_ready(&self) -> bool {
        let state = self.state();
        state.wanted && state.stands
    }

    /// Says whether a thread is to stand by.
    ///
    /// To be called from outside the runtime alone. Whoever the runtime wakes for a task from outside wakes another in
    /// turn, who looks after sockets and timers. For a task from inside it would not, and the thread that blocks could
    /// be the one that did.
    pub(in crate::storage) fn want(&self, wanted: bool) {
        let mut state = self.state();
        state.wanted = wanted;
        if wanted && self.is_there && !state.stands {
            self.call.notify_one();
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Lets the thread go for good.
    pub(in crate::storage) fn end(&self) {
        self.state().ended = true;
        self.want(false);
        self.call.notify_one();
    }

    async fn called(&self) -> bool {
        self.call.notified().await;
        !self.state().ended
    }

    /// Blocks for as long as it is wanted.
    fn stand(&self) {
        let mut state = self.state();
        state.stands = true;
        let waited = self.changed.wait_timeout_while(state, STAND_BY, |state| state.wanted);
        waited.unwrap_or_else(PoisonError::into_inner).0.stands = false;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, mpsc};

    use super::*;

    #[test]
    fn nobody_goes_to_the_disk_before_a_thread_stands_by_and_after_it_was_let_go() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let stand_by = runtime.block_on(async { StandBy::begin(true) });
        let busy = Arc::new(Barrier::new(3));
        let (release, released) = mpsc::channel::<()>();
        let released = Arc::new(Mutex::new(released));
        for _ in 0..2 {
            let (busy, released) = (Arc::clone(&busy), Arc::clone(&released));
            runtime.spawn(async move {
                busy.wait();
                let _ = released.lock().unwrap().recv();
            });
        }
        busy.wait();
        stand_by.want(true);
        assert!(!stand_by.is_ready(), "both threads do something else");
        drop(release);
        while !stand_by.is_ready() {
            std::thread::yield_now();
        }
        stand_by.want(false);
        assert!(!stand_by.is_ready());
        stand_by.end();
    }

    #[test]
    fn one_vault_alone_may_keep_a_thread_and_only_where_there_is_another() {
        for (threads, may_stand) in [(1, true), (2, false)] {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(threads).build().unwrap();
            let stand_by = runtime.block_on(async { StandBy::begin(may_stand) });
            stand_by.want(true);
            runtime.block_on(async { tokio::spawn(async {}).await.unwrap() });
            assert!(!stand_by.is_ready());
            stand_by.end();
        }
    }
}
