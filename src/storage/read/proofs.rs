//! Hashes for proofs, from stored subtrees and from records.

use std::ops::Range;

use super::snapshot::{Snapshot, existing_table};
use crate::{
    audit::{
        proof::{self, OutOfRange},
        tree::{Frontier, Hash, leaf_hash},
    },
    storage::{
        error::{StorageError, engine},
        format::tables::{HASHES, hash_key},
    },
};

/// The level of the smallest stored subtrees.
const BLOCK_LEVEL: u8 = 8;

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
        let found = self.records(sequence, 1)?.pop();
        match found {
            Some((found, record)) if found == sequence => Ok(leaf_hash(&record)),
            _ => match self.first_sequence()? {
                first if sequence < first => Err(StorageError::Archived { last: first - 1 }),
                _ => Err(StorageError::tampered("audit", sequence.to_string())),
            },
        }
    }

    /// Returns the first record that the file holds; 0 if it holds none.
    ///
    /// # Errors
    /// As [`Snapshot::records`].
    pub fn first_sequence(&self) -> Result<u64, StorageError> {
        let mut first = 0;
        // Unchecked: a check of the log names a damaged first record itself.
        self.audit_rows(0, 1, |sequence, _| first = sequence)?;
        Ok(first)
    }

    /// Returns the frontier of the tree's first `size` leaves, a multiple of 256, from stored subtrees alone: they stand
    /// for records that may be archived.
    ///
    /// # Errors
    /// The engine refuses, or a subtree is missing.
    pub fn frontier(&self, size: u64) -> Result<Frontier, StorageError> {
        let mut frontier = Frontier::EMPTY;
        while frontier.size() < size {
            let index = frontier.size() >> BLOCK_LEVEL;
            let stored = self.stored(BLOCK_LEVEL, index)?.filter(|_| size.is_multiple_of(1 << BLOCK_LEVEL));
            let missing = || StorageError::tampered_row("hashes", &hash_key(BLOCK_LEVEL, index));
            frontier.push_subtree(BLOCK_LEVEL.into(), stored.ok_or_else(missing)?);
        }
        Ok(frontier)
    }

    /// Returns the stored hashes of one level, `count` of them from index `first` on.
    ///
    /// # Errors
    /// The engine refuses, or one of them is missing or has another form.
    pub(in crate::storage) fn stored_group(
        &self,
        level: u8,
        first: u64,
        count: usize,
    ) -> Result<Vec<Hash>, StorageError> {
        let missing = |index: u64| StorageError::tampered_row("hashes", &hash_key(level, index));
        let mut hashes: Vec<Hash> = Vec::with_capacity(count);
        if let Some(table) = existing_table(self.txn().open_table(HASHES))? {
            let begin = hash_key(level, first);
            for entry in table.range(begin.as_slice()..).map_err(engine)?.take(count) {
                let (key, value) = entry.map_err(engine)?;
                let index = first + hashes.len() as u64;
                let hash = value
                    .value()
                    .try_into()
                    .ok()
                    .filter(|_| key.value() == hash_key(level, index).as_slice());
                hashes.push(hash.ok_or_else(|| missing(index))?);
            }
        }
        if hashes.len() == count { Ok(hashes) } else { Err(missing(first + hashes.len() as u64)) }
    }

    pub(in crate::storage) fn stored(&self, level: u8, index: u64) -> Result<Option<Hash>, StorageError> {
        let key = hash_key(level, index);
        let Some(bytes) = self.value(HASHES, &key)? else { return Ok(None) };
        let hash = bytes.try_into().map_err(|_| StorageError::tampered_row("hashes", &key))?;
        Ok(Some(hash))
    }
}
