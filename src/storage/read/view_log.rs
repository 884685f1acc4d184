//! A view's reads of the log: always the committed records, whatever the batch under construction holds.

use std::ops::Range;

use super::view::View;
use crate::storage::error::StorageError;

impl View<'_> {
    /// Returns at most `limit` committed records before sequence `end`, newest first.
    pub fn records_before(&self, end: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, StorageError> {
        self.snapshot()?.records_before(end, limit)
    }

    /// Returns at most `limit` committed records from `first` on, oldest first.
    pub fn records(&self, first: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, StorageError> {
        self.snapshot()?.records(first, limit)
    }

    /// Returns the number of records in the log, archived ones included.
    pub fn log_size(&self) -> Result<u64, StorageError> {
        Ok(self.snapshot()?.records_before(u64::MAX, 1)?.first().map_or(0, |(newest, _)| newest + 1))
    }

    /// Returns the first record that the file still holds.
    pub fn first_sequence(&self) -> Result<u64, StorageError> {
        Ok(self.snapshot()?.records(0, 1)?.first().map_or(0, |(oldest, _)| *oldest))
    }

    /// Returns the root over a range of leaves.
    pub fn tree_hash(&self, range: &Range<u64>) -> Result<[u8; 32], StorageError> {
        self.snapshot()?.tree_hash(range)
    }

    /// Returns the newest signed checkpoint.
    pub fn checkpoint(&self) -> Result<String, StorageError> {
        self.snapshot()?.checkpoint()
    }
}
