//! The new file: one transaction, written in ascending order.

use redb::{Database, Durability, WriteTransaction};

use super::error::CopyError;
use crate::{
    disk::{DeferredWrites, Medium},
    storage::{
        engine::RowWrite,
        format::tables::{AUDIT, HASHES, META, Table, hash_key},
        read::snapshot::SubtreeHash,
    },
};

/// The page cache of the new file: pages that no longer change leave it at once.
const CACHE_BYTES: usize = 8 << 20;
/// Bytes after which the disk has to catch up: one sync of everything at the end would stall the server's own.
const SYNC_EVERY_BYTES: usize = 4 << 20;

/// A file under construction.
pub(super) struct Target {
    medium: Medium,
    txn: WriteTransaction,
    database: Database,
    unsynced: usize,
}

impl Target {
    pub(super) fn new(medium: Medium) -> Result<Self, CopyError> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let database = builder.create_with_backend(DeferredWrites::open(medium.clone()));
        let database = database.map_err(CopyError::target)?;
        let mut txn = database.begin_write().map_err(CopyError::target)?;
        txn.set_durability(Durability::Immediate).map_err(CopyError::target)?;
        Ok(Self { medium, txn, database, unsynced: 0 })
    }

    /// Writes rows of one table.
    pub(super) fn rows(&mut self, table: Table, rows: &[(Vec<u8>, Vec<u8>)]) -> Result<(), CopyError> {
        let mut written = self.txn.open_table(table.definition()).map_err(CopyError::target)?;
        let mut bytes = 0;
        for (key, value) in rows {
            written.insert(key.as_slice(), value.as_slice()).map_err(CopyError::target)?;
            bytes += key.len() + value.len();
        }
        drop(written);
        self.written(bytes)
    }

    /// Writes the rows of later commits over those copied before, in order.
    pub(super) fn changes(&mut self, rows: &[RowWrite]) -> Result<(), CopyError> {
        let mut bytes = 0;
        for rows in rows.chunk_by(|a, b| a.table == b.table) {
            let mut written = self.txn.open_table(rows[0].table.definition()).map_err(CopyError::target)?;
            for row in rows {
                match &row.value {
                    Some(value) => drop(
                        written.insert(row.key.as_slice(), value.as_slice()).map_err(CopyError::target)?,
                    ),
                    None => drop(written.remove(row.key.as_slice()).map_err(CopyError::target)?),
                }
                bytes += row.key.len() + row.value.as_ref().map_or(0, Vec::len);
            }
        }
        self.written(bytes)
    }

    /// Writes rows of the log.
    pub(super) fn records(&mut self, rows: &[(u64, Vec<u8>)]) -> Result<(), CopyError> {
        let mut written = self.txn.open_table(AUDIT).map_err(CopyError::target)?;
        for (sequence, row) in rows {
            written.insert(sequence, row.as_slice()).map_err(CopyError::target)?;
        }
        drop(written);
        self.written(rows.iter().map(|(_, row)| row.len()).sum())
    }

    /// Removes the log's rows before `first`: the source archived them meanwhile.
    pub(super) fn remove_records_before(&mut self, first: u64) -> Result<(), CopyError> {
        let mut written = self.txn.open_table(AUDIT).map_err(CopyError::target)?;
        written.retain_in(..first, |_, _| false).map_err(CopyError::target)
    }

    /// Writes the stored subtrees of the log.
    pub(super) fn subtrees(&mut self, subtrees: &[SubtreeHash]) -> Result<(), CopyError> {
        let mut written = self.txn.open_table(HASHES).map_err(CopyError::target)?;
        for one in subtrees {
            let key = hash_key(one.level, one.index);
            written.insert(key.as_slice(), one.hash.as_slice()).map_err(CopyError::target)?;
        }
        Ok(())
    }

    /// Writes values of `meta`.
    pub(super) fn meta(&mut self, values: &[(String, Vec<u8>)]) -> Result<(), CopyError> {
        let mut written = self.txn.open_table(META).map_err(CopyError::target)?;
        for (name, value) in values {
            written.insert(name.as_str(), value.as_slice()).map_err(CopyError::target)?;
        }
        Ok(())
    }

    /// Commits, moves the last pages into free ones before them, and closes the file at the length of its pages. A page
    /// that is written again within the transaction leaves a free one: a third of a small file.
    pub(super) fn finish(self) -> Result<(), CopyError> {
        let Self { medium, txn, mut database, .. } = self;
        txn.commit().map_err(CopyError::target)?;
        database.compact().map_err(CopyError::target)?;
        drop(database);
        medium.sync_data().map_err(|error| CopyError::target(redb::Error::Io(error)))
    }

    fn written(&mut self, bytes: usize) -> Result<(), CopyError> {
        self.unsynced += bytes;
        if self.unsynced >= SYNC_EVERY_BYTES {
            self.unsynced = 0;
            self.medium.sync_data().map_err(|error| CopyError::target(redb::Error::Io(error)))?;
        }
        Ok(())
    }
}
