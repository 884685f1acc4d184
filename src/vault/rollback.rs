//! An older copy of the file, which a checkpoint that is kept elsewhere gives away.

use std::sync::PoisonError;

use super::{error::UnlockError, state::Vault};
use crate::domain::{Detail, DetailKey};

/// A checkpoint of this log that the file does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rollback {
    /// The number of records that the checkpoint knows.
    pub known: u64,
    /// The number of records in the file.
    pub held: u64,
}

impl Rollback {
    /// Returns both sizes: the first sequence that the file lacks, and the last one that was signed.
    pub(super) fn detail(self) -> Detail {
        Detail::NONE
            .text(DetailKey::Reason, "rollback_accepted")
            .number(DetailKey::FirstSequence, self.held)
            .number(DetailKey::LastSequence, self.known.saturating_sub(1))
    }
}

impl Vault {
    /// Reports a rollback; the vault does not unlock while there is one, unless the settings accept it.
    pub fn set_rollback(&self, found: Option<Rollback>) {
        *self.rollback.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }

    /// Returns the rollback that the settings have to accept, if there is one.
    ///
    /// # Errors
    /// They do not.
    pub(super) fn accepted_rollback(&self) -> Result<Option<Rollback>, UnlockError> {
        let found = *self.rollback.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Some(Rollback { known, held }) if !self.settings().accepts_rollback => {
                Err(UnlockError::RolledBack { known, held })
            }
            found => Ok(found),
        }
    }
}
