//! In-flight disclosures, for which a revocation waits.
//!
//! Every disclosing answer holds an [`InFlightGuard`] of the current epoch until its bytes have been handed to the
//! connection. A job that revokes access ends the epoch. Its answer carries a [`Drain`], which resolves once every
//! guard of this and earlier epochs is dropped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

/// The timeout after which a revocation closes the connections of the answers that are still in flight.
pub const REVOCATION_WAIT: Duration = Duration::from_secs(5);

/// Numbers the epochs of one process: after a lock and an unlock no epoch counts as an earlier one.
static EPOCHS: AtomicU64 = AtomicU64::new(1);

/// Guard of a disclosing answer: held until the answer's bytes are with the connection, then dropped.
#[derive(Debug, Clone)]
pub struct InFlightGuard(Arc<Epoch>);

#[derive(Debug)]
struct Epoch {
    number: u64,
    /// Closed when the last holder drops the epoch; nothing is ever sent.
    alive: watch::Sender<()>,
}

impl InFlightGuard {
    /// Returns the epoch of the disclosure. If the drain of that epoch times out, the guard's connection is closed.
    pub fn epoch(&self) -> u64 {
        self.0.number
    }
}

/// The writer's side: the current epoch, and the earlier ones still in flight.
#[derive(Debug)]
pub(in crate::storage) struct InFlight {
    current: Arc<Epoch>,
    earlier: Vec<watch::Receiver<()>>,
}

impl InFlight {
    pub(in crate::storage) fn new() -> Self {
        Self { current: new_epoch(), earlier: Vec::new() }
    }

    /// Returns a guard for an answer that discloses.
    pub(in crate::storage) fn disclosed(&self) -> InFlightGuard {
        InFlightGuard(Arc::clone(&self.current))
    }

    /// Ends the epoch; returns the drain for an answer that revokes access.
    pub(in crate::storage) fn drain(&mut self) -> Drain {
        let number = self.current.number;
        self.earlier.retain(|alive| alive.has_changed().is_ok());
        self.earlier.push(self.current.alive.subscribe());
        self.current = new_epoch();
        Drain { number, earlier: self.earlier.clone() }
    }
}

fn new_epoch() -> Arc<Epoch> {
    let number = EPOCHS.fetch_add(1, Ordering::Relaxed);
    Arc::new(Epoch { number, alive: watch::Sender::new(()) })
}

/// Resolves when no earlier disclosure is in flight.
#[derive(Debug, Clone)]
pub struct Drain {
    number: u64,
    earlier: Vec<watch::Receiver<()>>,
}

impl Drain {
    /// Returns the newest epoch that it waits for.
    pub const fn epoch(&self) -> u64 {
        self.number
    }

    /// Waits at most [`REVOCATION_WAIT`]. After the timeout it calls `close_through` with the newest epoch whose
    /// connections must close, and waits until they have.
    pub async fn wait(mut self, close_through: impl FnOnce(u64)) {
        if tokio::time::timeout(REVOCATION_WAIT, self.all_dropped()).await.is_err() {
            close_through(self.number);
            self.all_dropped().await;
        }
    }

    async fn all_dropped(&mut self) {
        for alive in &mut self.earlier {
            while alive.changed().await.is_ok() {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_revocation_waits_for_every_earlier_disclosure_and_for_no_later_one() {
        let mut in_flight = InFlight::new();
        let (first, second) = (in_flight.disclosed(), in_flight.disclosed());
        let drain = in_flight.drain();
        let later = in_flight.disclosed();
        let mut waiting = tokio_test_pending(drain.clone().wait(|_| unreachable!("nobody stalls")));
        assert!(!waiting.is_done());
        drop(first);
        assert!(!waiting.is_done());
        drop(second);
        drain.wait(|_| unreachable!("nobody stalls")).await;
        drop(later);
    }

    #[tokio::test]
    async fn a_second_revocation_waits_for_what_the_first_one_waits_for() {
        let mut in_flight = InFlight::new();
        let oldest = in_flight.disclosed();
        let first = in_flight.drain();
        let second = in_flight.drain();
        assert!(oldest.epoch() <= first.epoch() && first.epoch() < second.epoch());
        let mut waiting = tokio_test_pending(second.wait(|_| unreachable!("nobody stalls")));
        assert!(!waiting.is_done());
        drop(oldest);
        assert!(waiting.is_done());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_disclosure_is_closed_after_five_seconds() {
        let mut in_flight = InFlight::new();
        let stalled = in_flight.disclosed();
        let (drain, mut held) = (in_flight.drain(), Some(stalled));
        let started = tokio::time::Instant::now();
        drain.wait(|epoch| assert_eq!(held.take().map(|held| held.epoch()), Some(epoch))).await;
        assert_eq!(started.elapsed(), REVOCATION_WAIT);
    }

    /// Closing is asked for, and not yet done: what is on its way to the socket would leave after the answer.
    #[tokio::test(start_paused = true)]
    async fn a_revocation_is_not_answered_before_what_it_closed_is_gone() {
        let mut in_flight = InFlight::new();
        let stalled = in_flight.disclosed();
        let (drain, closed) = (in_flight.drain(), std::cell::Cell::new(None));
        let mut waiting = tokio_test_pending(drain.wait(|epoch| closed.set(Some(epoch))));
        assert!(!waiting.is_done() && closed.get().is_none());
        tokio::time::advance(REVOCATION_WAIT.saturating_sub(Duration::from_millis(1))).await;
        assert!(!waiting.is_done() && closed.get().is_none(), "not too early");
        tokio::time::advance(Duration::from_millis(2)).await;
        assert!(!waiting.is_done());
        assert_eq!(closed.get(), Some(stalled.epoch()));
        drop(stalled);
        assert!(waiting.is_done());
    }

    #[test]
    fn revocations_remember_what_is_in_flight_and_no_more() {
        let mut in_flight = InFlight::new();
        for _ in 0..100 {
            drop(in_flight.disclosed());
            in_flight.drain();
            assert!(in_flight.earlier.len() <= 2);
        }
        let held = in_flight.disclosed();
        for _ in 0..100 {
            let waits_for =
                in_flight.drain().earlier.iter().filter(|alive| alive.has_changed().is_ok()).count();
            assert!(waits_for == 1 && in_flight.earlier.len() <= 3);
        }
        drop(held);
        let none = in_flight.drain().earlier.iter().all(|alive| alive.has_changed().is_err());
        assert!(none, "nothing is in flight any more");
    }

    /// A connection that held an early epoch of the vault's second life would count as called in with its first.
    #[test]
    fn no_epoch_of_a_later_unlock_is_an_earlier_one() {
        let mut first = InFlight::new();
        let revoked = first.drain().epoch();
        assert!(first.disclosed().epoch() > revoked);
        assert!(InFlight::new().disclosed().epoch() > revoked);
    }

    /// A future that a test can poll for completion.
    struct Asked<F>(std::pin::Pin<Box<F>>);

    fn tokio_test_pending<F: Future>(future: F) -> Asked<F> {
        Asked(Box::pin(future))
    }

    impl<F: Future> Asked<F> {
        fn is_done(&mut self) -> bool {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            self.0.as_mut().poll(&mut context).is_ready()
        }
    }
}
