//! An older copy of the file, which a checkpoint that is kept elsewhere gives away.

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
