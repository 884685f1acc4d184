//! Hashes for proofs, from stored subtrees and from records.

use std::ops::Range;

use super::snapshot::Snapshot;
use crate::{
    audit::{
        proof::{self, OutOfRange},
        tree::{Hash, leaf_hash},
    },
    storage::{
        error::StorageError,
        format::tables::{HASHES, hash_key},
    },
};

impl From<OutOfRange> for StorageError {
    /// Reports a leaf that the head covers and the log does not have.
    fn from(_: OutOfRange) -> Self {
        Self::tampered("audit", "a record is missing")
    }
}

impl Snapshot {
    /// Returns the root over a range of leaves; at most a thousand reads.
    ///
    /// # Errors
    /// The engine refuses, or a record of the range is missing or does not match its check.
    pub fn tree_hash(&self, range: &Range<u64>) -> Result<Hash, StorageError> {
        proof::subtree(range, &mut |level, index| match level {
            0 => self.leaf(index).map(Some),
            level if level.is_multiple_of(8) => self.stored(level, index),
            _ => Ok(None),
        })
    }

    fn leaf(&self, sequence: u64) -> Result<Hash, StorageError> {
        let found = self.records(sequence, 1)?.pop().filter(|(found, _)| *found == sequence);
        found
            .map(|(_, record)| leaf_hash(&record))
            .ok_or_else(|| StorageError::tampered("audit", sequence.to_string()))
    }

    pub(in crate::storage) fn stored(&self, level: u8, index: u64) -> Result<Option<Hash>, StorageError> {
        let key = hash_key(level, index);
        let Some(bytes) = self.value(HASHES, &key)? else { return Ok(None) };
        let hash = bytes.try_into().map_err(|_| StorageError::tampered_row("hashes", &key))?;
        Ok(Some(hash))
    }
}
