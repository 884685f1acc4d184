//! One committed state, as a read transaction of the engine.

use std::{cell::OnceCell, ops::Bound};

use redb::{ReadOnlyTable, ReadTransaction, ReadableDatabase, TableDefinition, TableError};

use crate::{
    audit::key_ring,
    storage::{
        error::{StorageError, engine},
        format::{
            slot_times::{self, SlotTime},
            tables::{META, Table, meta},
        },
    },
};

/// A stored subtree of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubtreeHash {
    /// log2 of its number of leaves.
    pub level: u8,
    /// Its index among the subtrees of its level.
    pub index: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

/// One committed state.
pub struct Snapshot {
    txn: ReadTransaction,
    /// Opened tables: opening one is a lookup of its own.
    tables: [OnceCell<Option<Rows>>; Table::COUNT],
}

type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;

impl Snapshot {
    pub(in crate::storage) fn of(database: &dyn ReadableDatabase) -> Result<Self, StorageError> {
        Ok(Self { txn: database.begin_read().map_err(engine)?, tables: Default::default() })
    }

    pub(in crate::storage) const fn txn(&self) -> &ReadTransaction {
        &self.txn
    }

    /// Returns a value of `meta`.
    pub fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        let Some(table) = existing_table(self.txn.open_table(META))? else { return Ok(None) };
        Ok(table.get(name).map_err(engine)?.map(|guard| guard.value().to_vec()))
    }

    /// Returns a value of `meta` that every vault has.
    pub(in crate::storage) fn required_meta(&self, name: &str) -> Result<Vec<u8>, StorageError> {
        self.meta(name)?.ok_or_else(|| StorageError::tampered("meta", name))
    }

    /// Returns the checkpoints with which earlier log keys ended, oldest first.
    pub(in crate::storage) fn handovers(&self) -> Result<Vec<String>, StorageError> {
        let bytes = self.meta(meta::HANDOVERS)?.unwrap_or_default();
        let text = String::from_utf8(bytes).map_err(|_| StorageError::tampered("meta", meta::HANDOVERS))?;
        Ok(key_ring::notes(&text))
    }

    /// Returns the time of each slot's last change, where it is known.
    pub(in crate::storage) fn slot_times(&self) -> Result<Vec<SlotTime>, StorageError> {
        Ok(slot_times::decode(&self.meta(meta::SLOT_TIMES)?.unwrap_or_default()))
    }

    pub(in crate::storage) fn value(
        &self,
        table: TableDefinition<'static, &'static [u8], &'static [u8]>,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, StorageError> {
        let Some(table) = existing_table(self.txn.open_table(table))? else { return Ok(None) };
        Ok(table.get(key).map_err(engine)?.map(|guard| guard.value().to_vec()))
    }

    fn table(&self, table: Table) -> Result<Option<&Rows>, StorageError> {
        let slot = &self.tables[usize::from(table.number())];
        if let Some(opened) = slot.get() {
            return Ok(opened.as_ref());
        }
        let opened = existing_table(self.txn.open_table(table.definition()))?;
        Ok(slot.get_or_init(|| opened).as_ref())
    }

    /// Returns a row's bytes.
    pub fn row(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        let Some(table) = self.table(table)? else { return Ok(None) };
        Ok(table.get(key).map_err(engine)?.map(|guard| guard.value().to_vec()))
    }

    /// Passes the rows whose keys begin with `prefix` to `visit`, in key order, until it returns `false`.
    ///
    /// # Errors
    /// The engine refuses, or `visit` fails; the walk ends at the first error.
    pub fn walk(
        &self,
        table: Table,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool, StorageError>,
    ) -> Result<(), StorageError> {
        let Some(table) = self.table(table)? else { return Ok(()) };
        let bounds = (Bound::Included(prefix), Bound::Unbounded);
        for entry in table.range::<&[u8]>(bounds).map_err(engine)? {
            let (key, value) = entry.map_err(engine)?;
            if !key.value().starts_with(prefix) || !visit(key.value(), value.value())? {
                break;
            }
        }
        Ok(())
    }
}

/// Returns `None` for a table that no commit has written yet.
pub(in crate::storage) fn existing_table<T>(
    opened: Result<T, TableError>,
) -> Result<Option<T>, StorageError> {
    match opened {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(engine(error)),
    }
}
