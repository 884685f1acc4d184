//! Errors of a change of the key slots.

use super::error::{Error, UnlockError};
use crate::{
    domain::Invalid,
    storage::{SLOTS_MAX, StorageError},
};

/// An error of [`super::Vault::change_slots`].
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// No slot opens with the secret, or the vault cannot be read.
    #[error(transparent)]
    Unlock(#[from] UnlockError),
    /// There is no slot of that number.
    #[error("there is no slot {0}")]
    Missing(u32),
    /// There are as many slots as a vault may have.
    #[error("the vault has {SLOTS_MAX} slots, the most that it may have")]
    Full,
    /// The slot's secret is the one that was given.
    #[error("slot {0} is the one that the secret given here opens")]
    InUse(u32),
    /// No other slot is left.
    #[error("slot {0} is the last one")]
    Last(u32),
    /// The slot holds another kind of secret.
    #[error("slot {id} holds a {found} secret")]
    Kind {
        /// The slot.
        id: u32,
        /// Its kind.
        found: &'static str,
    },
    /// Another slot has the new secret already.
    #[error("slot {0} has this secret already")]
    Taken(u32),
    /// The new secret breaks a rule.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Another command changed the slots meanwhile.
    #[error("another command changed the slots meanwhile")]
    Conflict,
    /// An error of the vault.
    #[error(transparent)]
    Vault(#[from] Error),
}

impl From<StorageError> for SlotError {
    fn from(error: StorageError) -> Self {
        Self::Unlock(error.into())
    }
}
