//! The time that a client waits for a server to start: it opens its file and derives its key before it listens.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The pause between two attempts.
pub(super) const EVERY: Duration = Duration::from_millis(100);

/// The time left, over all calls of a client.
#[derive(Debug, Default)]
pub(super) struct Patience {
    pub(super) limit: Duration,
    spent_millis: AtomicU64,
}

impl Patience {
    pub(super) const fn new(limit: Duration) -> Self {
        Self { limit, spent_millis: AtomicU64::new(0) }
    }

    /// Spends one pause; returns the time spent before it, or `None` if none is left.
    pub(super) fn spend(&self) -> Option<Duration> {
        let pause = u64::try_from(EVERY.as_millis()).unwrap_or(u64::MAX);
        let spent = Duration::from_millis(self.spent_millis.fetch_add(pause, Ordering::Relaxed));
        (spent < self.limit).then_some(spent)
    }
}
