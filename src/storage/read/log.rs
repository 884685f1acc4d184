//! The log in the file: most records in a table of their own, the newest few in the
//! [tail](crate::storage::format::tail).

use redb::ReadableTable;

use super::snapshot::{Snapshot, SubtreeHash, existing_table};
use crate::{
    audit::tree::leaf_hash,
    storage::{
        error::{StorageError, engine},
        format::{
            tables::{AUDIT, HASHES, META, meta, split_audit_row, tail_rows},
            tail::TAIL_BYTES_MAX,
        },
    },
};

/// A record of the log: its sequence and its bytes.
pub type StoredRecord = (u64, Vec<u8>);

impl Snapshot {
    /// Returns at most `limit` records from `first` on, oldest first.
    ///
    /// # Errors
    /// The engine refuses, or a record does not match its check.
    pub fn records(&self, first: u64, limit: usize) -> Result<Vec<StoredRecord>, StorageError> {
        let mut records = Vec::new();
        self.each_row(first, limit, |sequence, row| {
            records.push((sequence, record(sequence, row)?));
            Ok(())
        })?;
        Ok(records)
    }

    /// Passes at most `limit` rows of the log from `first` on, oldest first and unchecked, to `visit`.
    ///
    /// # Errors
    /// The engine refuses, or the tail is not the end of the log.
    pub fn audit_rows(
        &self,
        first: u64,
        limit: usize,
        mut visit: impl FnMut(u64, &[u8]),
    ) -> Result<(), StorageError> {
        self.each_row(first, limit, |sequence, row| {
            visit(sequence, row);
            Ok(())
        })
    }

    /// Returns at most `limit` records before `end`, newest first.
    ///
    /// # Errors
    /// The engine refuses, or a record does not match its check.
    pub fn records_before(&self, end: u64, limit: usize) -> Result<Vec<StoredRecord>, StorageError> {
        let newest = self.tail()?.into_iter().rev().filter(|(sequence, _)| *sequence < end).take(limit);
        let mut records = newest
            .map(|(sequence, row)| Ok((sequence, record(sequence, &row)?)))
            .collect::<Result<Vec<_>, StorageError>>()?;
        let Some(table) = existing_table(self.txn().open_table(AUDIT))? else { return Ok(records) };
        let older = table.range(..end).map_err(engine)?.rev().take(limit - records.len());
        for entry in older {
            let (sequence, row) = entry.map_err(engine)?;
            records.push((sequence.value(), record(sequence.value(), row.value())?));
        }
        Ok(records)
    }

    /// Returns the newest signed checkpoint.
    pub(in crate::storage) fn checkpoint(&self) -> Result<String, StorageError> {
        let bytes = self.required_meta(meta::CHECKPOINT)?;
        String::from_utf8(bytes).map_err(|_| StorageError::tampered("meta", meta::CHECKPOINT))
    }

    /// Returns every stored subtree hash.
    ///
    /// # Errors
    /// The engine refuses, or a row does not have the form of a hash.
    pub fn subtree_hashes(&self) -> Result<Vec<SubtreeHash>, StorageError> {
        let Some(table) = existing_table(self.txn().open_table(HASHES))? else { return Ok(Vec::new()) };
        let mut hashes = Vec::new();
        for entry in table.iter().map_err(engine)? {
            let (key, value) = entry.map_err(engine)?;
            let tampered = || StorageError::tampered_row("hashes", key.value());
            let (level, index) = key.value().split_first_chunk::<1>().ok_or_else(tampered)?;
            let index = u64::from_be_bytes(index.try_into().map_err(|_| tampered())?);
            let hash = value.value().try_into().map_err(|_| tampered())?;
            hashes.push(SubtreeHash { level: level[0], index, hash });
        }
        Ok(hashes)
    }

    fn each_row(
        &self,
        first: u64,
        limit: usize,
        mut visit: impl FnMut(u64, &[u8]) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        // Read the tail even if the range excludes it: a check of the log must fail on a bad tail, as every other read
        // does.
        let newest = self.tail()?;
        let mut left = limit;
        if let Some(table) = existing_table(self.txn().open_table(AUDIT))? {
            for entry in table.range(first..).map_err(engine)?.take(limit) {
                let (sequence, row) = entry.map_err(engine)?;
                visit(sequence.value(), row.value())?;
                left -= 1;
            }
        }
        newest
            .iter()
            .filter(|(sequence, _)| *sequence >= first)
            .take(left)
            .try_for_each(|(sequence, row)| visit(*sequence, row))
    }

    /// Returns the records of the tail, all newer than those of the table.
    fn tail(&self) -> Result<Vec<StoredRecord>, StorageError> {
        let Some(table) = existing_table(self.txn().open_table(META))? else { return Ok(Vec::new()) };
        let Some(held) = table.get(meta::TAIL).map_err(engine)? else { return Ok(Vec::new()) };
        let malformed = || StorageError::tampered("meta", meta::TAIL);
        if held.value().len() > 8 + TAIL_BYTES_MAX {
            return Err(malformed());
        }
        let rows = tail_rows(held.value()).ok_or_else(malformed)?;
        let Some((first, _)) = rows.first() else { return Ok(rows) };
        let Some(table) = existing_table(self.txn().open_table(AUDIT))? else { return Ok(rows) };
        let older = table.last().map_err(engine)?.is_none_or(|(newest, _)| newest.value() < *first);
        if older { Ok(rows) } else { Err(malformed()) }
    }
}

fn record(sequence: u64, row: &[u8]) -> Result<Vec<u8>, StorageError> {
    let checked = split_audit_row(row).filter(|(record, check)| leaf_hash(record).starts_with(check));
    match checked {
        Some((record, _)) => Ok(record.to_vec()),
        None => Err(StorageError::tampered("audit", sequence.to_string())),
    }
}
