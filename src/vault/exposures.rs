//! The index of exposures in an open vault.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::Error;
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

/// Returns the error of a record that does not decode.
pub(super) fn damaged(sequence: u64) -> Error {
    Error::Tampered(StorageError::Tampered { table: "audit", key: sequence.to_string() })
}
