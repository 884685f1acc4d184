//! The index of exposures in an open vault.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::{Error, InternalError};
use crate::{
    audit::exposure::Index,
    storage::{StorageError, StoredRecord},
};

/// The index of an open vault.
#[derive(Default)]
pub(super) struct Exposures(Mutex<Index>);

impl Exposures {
    pub(super) fn lock(&self) -> MutexGuard<'_, Index> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in records that a check of the log read from `first` on, if they continue those that it has. A record that
    /// does not decode fails the next question.
    pub(super) fn follow(&self, first: u64, records: &[StoredRecord]) {
        let mut index = self.lock();
        // An empty index begins where the log does: the first step of a check.
        let continues = if index.next() == 0 { first == 0 } else { first <= index.next() };
        if continues {
            drop(take_in(&mut index, records));
        }
    }
}

/// Takes in records of the log.
///
/// # Errors
/// One does not decode.
pub(super) fn take_in(index: &mut Index, records: &[StoredRecord]) -> Result<(), Error> {
    records
        .iter()
        .try_for_each(|(sequence, bytes)| index.push(*sequence, bytes).map_err(|_| damaged(*sequence)))
}

/// Runs work on a thread that may take long. What it holds is given back once the work has ended, also if its caller
/// went away before.
///
/// # Errors
/// The work fails, or panics.
pub(super) async fn apart<T: Send + 'static>(
    holds: impl Send + 'static,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let worked = tokio::task::spawn_blocking(move || {
        let worked = work();
        drop(holds);
        worked
    });
    worked.await.map_err(|_| InternalError::TaskPanicked)?
}

/// Returns the error of a record that does not decode.
pub(super) fn damaged(sequence: u64) -> Error {
    Error::Tampered(StorageError::Tampered { table: "audit", key: sequence.to_string() })
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::{Arc, mpsc},
        task::Poll,
    };

    use tokio::sync::Semaphore;

    use super::*;
    use crate::vault::{budgets::Budgets, export::ExportTurn};

    /// A client that asked and hung up, again and again, had as much work running as it liked: each place was free at
    /// once, and the work went on.
    #[tokio::test]
    async fn work_whose_client_left_keeps_its_place_until_it_ends() {
        let (places, budgets) = (Arc::new(Semaphore::new(8)), Arc::new(Budgets::default()));
        let caller = || crate::domain::Actor::host("a");
        for fate in ["ends", "fails", "panics"] {
            let ((begin, begun), (release, released)) = (mpsc::channel(), mpsc::channel::<()>());
            let place = Arc::clone(&places).try_acquire_owned().unwrap();
            let turn = ExportTurn::new(place, budgets.export(caller()).unwrap());
            let work = move || {
                begin.send(()).unwrap();
                // Until the test says so, or has failed.
                let _ = released.recv();
                match fate {
                    "ends" => Ok(()),
                    "fails" => Err(Error::Overloaded),
                    _ => panic!("work that panics"),
                }
            };
            let mut asking = Box::pin(apart(turn.clone(), work));
            let is_over = poll_fn(|cx| Poll::Ready(asking.as_mut().poll(cx).is_ready())).await;
            assert!(!is_over, "it waits on its own thread");
            begun.recv().unwrap();
            // The client hangs up: nobody waits for the work, and its request is dropped.
            drop((asking, turn));
            assert_eq!(places.available_permits(), 7, "{fate}");
            let others: Vec<_> = (0..3).map(|_| budgets.export(caller()).unwrap()).collect();
            assert!(budgets.export(caller()).is_err(), "{fate}: its caller's share counts it too");
            drop((others, release));
            // Resolves once the work has ended.
            drop(places.acquire_many(8).await.unwrap());
            let all: Vec<_> = (0..4).map_while(|_| budgets.export(caller()).ok()).collect();
            assert_eq!(all.len(), 4, "{fate}");
        }
    }
}
