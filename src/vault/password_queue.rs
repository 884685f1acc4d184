//! The queue of password checks: as many run at a time as there are cores, and of the others each address has a part.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Semaphore;

use super::error::{Error, InternalError};
use crate::{
    auth::{limiter::Address, password::PasswordError},
    crypto::stack::leaving_nothing,
    domain::Peer,
};

/// The most concurrent checks. Each keeps a work area of 19 MiB for ever, so that logins take 57 MiB on any host; three
/// cores verify over a hundred passwords a second.
const RUNNING_MAX: usize = 3;
/// One address gets this part of the places: whoever knows one password must not keep everybody else from logging in.
const PART_OF_ADDRESS: usize = 4;

/// The checks that run and those that wait.
pub(super) struct PasswordQueue {
    running: Arc<Semaphore>,
    /// Those of each address, from their request to their result.
    places: Mutex<HashMap<Address, usize>>,
}

/// A check from its request to its result; given back on drop.
pub(super) struct Place<'a> {
    queue: &'a PasswordQueue,
    address: Address,
}

impl PasswordQueue {
    /// Creates a queue for so many cores.
    pub(super) fn new(cores: usize) -> Self {
        Self { running: Arc::new(Semaphore::new(cores.min(RUNNING_MAX))), places: Mutex::default() }
    }

    /// Takes one of `most` places for a check that this peer asks for.
    ///
    /// # Errors
    /// Too many wait already, of all or from there: one more would wait for seconds.
    pub(super) fn place(&self, peer: Peer, most: usize) -> Result<Place<'_>, Error> {
        let address = Address::of(peer);
        let mut places = self.places();
        let own = places.get(&address).copied().unwrap_or_default();
        if places.values().sum::<usize>() >= most || own >= (most / PART_OF_ADDRESS).max(1) {
            return Err(Error::Overloaded);
        }
        places.insert(address, own + 1);
        Ok(Place { queue: self, address })
    }

    /// Runs argon2 outside the serving threads, in its turn. A run keeps its turn until it ends, also if its client leaves
    /// before: each has a work area.
    pub(super) async fn derive<T: Send + 'static>(
        &self,
        run: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, Error> {
        let turn = Arc::clone(&self.running).acquire_owned().await.expect("nothing closes this semaphore");
        let ran = tokio::task::spawn_blocking(move || {
            let ran = leaving_nothing(run);
            drop(turn);
            ran
        });
        Ok(ran.await.map_err(|_| InternalError::TaskPanicked)??)
    }

    fn places(&self) -> MutexGuard<'_, HashMap<Address, usize>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut places = self.queue.places();
        if let Some(own) = places.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                places.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::{
            atomic::{AtomicUsize, Ordering},
            mpsc,
        },
        task::Poll,
    };

    use super::*;

    /// A client that hung up gave its turn away while its run went on: with a few hundred of them a stranger had as much
    /// memory as it liked, for ever.
    #[tokio::test]
    async fn a_run_whose_client_left_keeps_its_turn_until_it_ends() {
        let queue = PasswordQueue::new(2);
        let runs = Arc::new(AtomicUsize::new(0));
        let (release, released) = mpsc::channel::<()>();
        let released = Arc::new(Mutex::new(released));
        for _ in 0..8 {
            let (runs, released) = (Arc::clone(&runs), Arc::clone(&released));
            let mut asking = Box::pin(queue.derive(move || {
                runs.fetch_add(1, Ordering::SeqCst);
                // Until the test says so, or has failed.
                drop(released.lock().map(|released| released.recv()));
                Ok(())
            }));
            let is_over = poll_fn(|cx| Poll::Ready(asking.as_mut().poll(cx).is_ready())).await;
            assert!(!is_over, "it waits");
        }
        drop(release);
        // It has its turn after every run that began.
        queue.derive(|| Ok(())).await.map_err(drop).unwrap();
        assert!(runs.load(Ordering::SeqCst) <= 2);
    }

    #[test]
    fn places_are_bounded_for_all_and_for_each_address_and_given_back() {
        let queue = PasswordQueue::new(1);
        let place = |peer: &str, most| queue.place(peer.parse().unwrap(), most).ok();
        let mut held: Vec<_> = (0..9).filter_map(|_| place("192.0.2.1", 8)).collect();
        assert_eq!(held.len(), 2, "a quarter");
        for n in 2..10 {
            held.extend((0..2).filter_map(|_| place(&format!("192.0.2.{n}"), 8)));
        }
        assert_eq!(held.len(), 8);
        held.clear();
        assert!(queue.places().is_empty());
        let only = place("2001:db8::1", 1);
        assert!(only.is_some() && place("2001:db8::2", 1).is_none(), "the least is one");
    }
}
