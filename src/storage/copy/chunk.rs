//! One chunk of the source, each read from a short snapshot of its own.

use std::{
    ops::Bound,
    sync::{Arc, Weak},
};

use redb::{ReadableTable, ReadableTableMetadata};

use super::CopyError;
use crate::storage::{
    error::engine,
    format::tables::{AUDIT, META, Table, meta},
    read::snapshot::{Snapshot, existing_table},
    state::VaultState,
};

/// The most rows in a chunk: a millisecond of work.
const ROWS_MAX: usize = 256;
/// The most bytes in a chunk.
const BYTES_MAX: usize = 256 << 10;

pub(super) type Row = (Vec<u8>, Vec<u8>);
pub(super) type Record = (u64, Vec<u8>);

/// The state behind a running vault, or behind a file that no writer has.
pub(super) enum Source {
    Running(Weak<VaultState>),
    Still(Arc<VaultState>),
}

impl Source {
    /// Returns the state for the length of one chunk: its keys are wiped once nobody holds it.
    pub(super) fn state(&self) -> Result<Arc<VaultState>, CopyError> {
        match self {
            Self::Running(state) => state.upgrade().ok_or(CopyError::Locked),
            Self::Still(state) => Ok(Arc::clone(state)),
        }
    }
}

impl Snapshot {
    /// Returns the next rows of a table after a key, in key order; empty at the table's end.
    pub(in crate::storage) fn chunk(
        &self,
        table: Table,
        after: Option<&[u8]>,
    ) -> Result<Vec<Row>, CopyError> {
        let opened = existing_table(self.txn().open_table(table.definition())).map_err(CopyError::Source)?;
        let Some(opened) = opened else { return Ok(Vec::new()) };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut rows, mut bytes) = (Vec::new(), 0);
        let entries = opened.range::<&[u8]>((from, Bound::Unbounded));
        for entry in entries.map_err(|error| CopyError::Source(engine(error)))? {
            let (key, value) = entry.map_err(|error| CopyError::Source(engine(error)))?;
            bytes += key.value().len() + value.value().len();
            rows.push((key.value().to_vec(), value.value().to_vec()));
            if rows.len() >= ROWS_MAX || bytes >= BYTES_MAX {
                break;
            }
        }
        Ok(rows)
    }

    /// Returns the next rows of the log from `first` on, as they are stored.
    pub(in crate::storage) fn log_chunk(&self, first: u64) -> Result<Vec<Record>, CopyError> {
        let mut rows = Vec::new();
        let visit = |sequence, row: &[u8]| rows.push((sequence, row.to_vec()));
        self.audit_rows(first, ROWS_MAX, visit).map_err(CopyError::Source)?;
        Ok(rows)
    }

    /// Returns every value of `meta` but the log's tail, whose records a copy has in their table.
    pub(in crate::storage) fn meta_values(&self) -> Result<Vec<(String, Vec<u8>)>, CopyError> {
        let opened = existing_table(self.txn().open_table(META)).map_err(CopyError::Source)?;
        let mut values = Vec::new();
        if let Some(opened) = opened {
            for entry in opened.iter().map_err(|error| CopyError::Source(engine(error)))? {
                let (name, value) = entry.map_err(|error| CopyError::Source(engine(error)))?;
                if name.value() != meta::TAIL {
                    values.push((name.value().to_owned(), value.value().to_vec()));
                }
            }
        }
        Ok(values)
    }

    /// Returns the number of rows and records.
    pub(in crate::storage) fn entries(&self) -> Result<u64, CopyError> {
        let failed = |error: redb::StorageError| CopyError::Source(engine(error));
        let mut count = 0;
        for table in Table::STATE.into_iter().chain([Table::LastAccess]) {
            let opened = existing_table(self.txn().open_table(table.definition()));
            if let Some(opened) = opened.map_err(CopyError::Source)? {
                count += opened.len().map_err(failed)?;
            }
        }
        if let Some(log) = existing_table(self.txn().open_table(AUDIT)).map_err(CopyError::Source)? {
            count += log.len().map_err(failed)?;
        }
        Ok(count)
    }
}
