//! A view's reads of the log: always the committed records, whatever the batch under construction holds, and only those
//! that the sealed head vouches for.

use std::ops::Range;

use super::{log::StoredRecord, sealed_log::SealedLog, view::View};
use crate::{audit::tree::Hash, storage::error::StorageError};

impl View<'_> {
    /// Returns at most `limit` committed records before sequence `end`, newest first.
    ///
    /// # Errors
    /// The file cannot be read, or the records do not make the tree of the head.
    pub fn records_before(&self, end: u64, limit: usize) -> Result<Vec<StoredRecord>, StorageError> {
        self.sealed_log()?.records_before(end, limit)
    }

    /// Returns at most `limit` committed records from `first` on that the file holds, oldest first.
    ///
    /// # Errors
    /// As [`View::records_before`].
    pub fn records(&self, first: u64, limit: usize) -> Result<Vec<StoredRecord>, StorageError> {
        self.sealed_log()?.records(first, limit)
    }

    /// Returns the number of records in the log, archived ones included.
    pub fn log_size(&self) -> Result<u64, StorageError> {
        Ok(self.snapshot()?.records_before(u64::MAX, 1)?.first().map_or(0, |(newest, _)| newest + 1))
    }

    /// Returns the first record that the file still holds.
    pub fn first_sequence(&self) -> Result<u64, StorageError> {
        self.snapshot()?.first_sequence()
    }

    /// Returns the roots over ranges of leaves.
    ///
    /// # Errors
    /// As [`View::records_before`], or a leaf is archived.
    pub fn tree_hashes(&self, ranges: &[Range<u64>]) -> Result<Vec<Hash>, StorageError> {
        let log = self.sealed_log()?;
        ranges.iter().map(|range| log.tree_hash(range)).collect()
    }

    /// Returns the newest signed checkpoint.
    pub fn checkpoint(&self) -> Result<String, StorageError> {
        self.snapshot()?.checkpoint()
    }

    fn sealed_log(&self) -> Result<SealedLog<'_>, StorageError> {
        SealedLog::open(self.snapshot()?, &self.source.keys, self.source.file)
    }
}
