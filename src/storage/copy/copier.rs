//! The copier: chunk by chunk into the new file, then the moment.

use std::sync::{Arc, Weak};

use super::{
    CopyError, Step, Steps, Supervisor,
    chunk::{Row, Source},
    reseal::Rekeying,
    target::Target,
    verify::{self, KeysOf},
};
use crate::{
    disk::Medium,
    domain::FileId,
    storage::{
        commit::writer::Writer,
        engine::RowWrite,
        error::StorageError,
        format::tables::{Table, meta},
        read::{snapshot::Snapshot, view::View},
        state::VaultState,
    },
};

/// The number of records after which the end of a growing log is near enough: a few milliseconds under a snapshot.
const NEAR: u64 = 1024;
/// Rounds towards the end of a growing log. A log that outruns them is copied under the moment's snapshot.
const ROUNDS_MAX: usize = 16;

/// A file with its keys in memory, verified, that no writer has.
pub struct Unsealed(Arc<VaultState>);

impl Unsealed {
    pub(in crate::storage) fn new(state: VaultState) -> Self {
        Self(Arc::new(state))
    }

    /// Copies the file to an empty medium, under another vault key if `rekeying` says so, and verifies the copy.
    ///
    /// # Errors
    /// Either file refuses, a row fails authentication, or the supervisor stops it.
    pub fn copy(
        &self,
        medium: Medium,
        rekeying: Option<Rekeying>,
        supervisor: &mut Supervisor<'_>,
    ) -> Result<Copied, CopyError> {
        let mut copying = Copying::new(Source::Still(Arc::clone(&self.0)), self.0.file, medium, rekeying)?;
        copying.run(supervisor)?;
        let snapshot = self.0.engine.snapshot().map_err(CopyError::Source)?;
        copying.finish(Moment { snapshot, rows: Vec::new() }, supervisor)
    }
}

/// The moment that a copy shows.
pub struct Moment {
    snapshot: Snapshot,
    /// The newest changes, not yet in the copy.
    rows: Vec<RowWrite>,
}

impl Moment {
    /// Fixes the moment and ends the collection of changes. Only a decision in the commit thread may: nothing is
    /// committed meanwhile.
    ///
    /// # Errors
    /// A change is missing, or the file cannot be read.
    pub fn of(view: &View<'_>) -> Result<Self, CopyError> {
        let state = view.state();
        let rows = state.tap.take().ok_or(CopyError::Outrun)?;
        state.tap.close();
        let snapshot = state.engine.snapshot().map_err(CopyError::Source)?;
        Ok(Self { snapshot, rows })
    }
}

/// A finished copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// The number of records, archived ones included.
    pub records: u64,
    /// The length of the file in bytes.
    pub bytes: u64,
}

/// A copy under construction.
pub struct Copying {
    source: Source,
    file: FileId,
    medium: Medium,
    target: Target,
    rekeying: Option<Rekeying>,
    at: Step,
    next_record: u64,
    first_record: u64,
    _open: Option<OpenTap>,
}

/// Closes the tap of a copy that ended early.
struct OpenTap(Weak<VaultState>);

impl Drop for OpenTap {
    fn drop(&mut self) {
        if let Some(state) = self.0.upgrade() {
            state.tap.close();
        }
    }
}

impl Writer {
    /// Begins a copy of the running vault onto an empty medium; from here on every change is collected.
    ///
    /// # Errors
    /// Another copy is being made, or either file refuses.
    pub fn begin_copy(&self, medium: Medium) -> Result<Copying, CopyError> {
        let state = Arc::downgrade(self.state());
        if !self.state().tap.open() {
            return Err(CopyError::Busy);
        }
        let open = OpenTap(Weak::clone(&state));
        let copying = Copying::new(Source::Running(state), self.state().file, medium, None)?;
        Ok(Copying { _open: Some(open), ..copying })
    }
}

impl Copying {
    fn new(
        source: Source,
        file: FileId,
        medium: Medium,
        rekeying: Option<Rekeying>,
    ) -> Result<Self, CopyError> {
        let target = Target::new(medium.clone())?;
        let at = Step { done: 0, total: 0 };
        Ok(Self { source, file, medium, target, rekeying, at, next_record: 0, first_record: 0, _open: None })
    }

    /// Copies everything but the newest changes.
    ///
    /// # Errors
    /// As [`CopyError`] says.
    pub fn run(&mut self, supervisor: &mut Supervisor<'_>) -> Result<(), CopyError> {
        // Every entry is copied, then read back.
        self.at.total = self.snapshot()?.entries()? * 2;
        for table in Table::STATE.into_iter().chain([Table::LastAccess]) {
            self.table(table, supervisor)?;
        }
        for _ in 0..ROUNDS_MAX {
            let before = self.next_record;
            self.log(supervisor)?;
            if self.next_record - before <= NEAR {
                break;
            }
        }
        Ok(())
    }

    fn table(&mut self, table: Table, supervisor: &mut Supervisor<'_>) -> Result<(), CopyError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let rows = self.snapshot()?.chunk(table, after.as_deref())?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = Some(last.clone());
            let count = rows.len();
            self.write(table, rows)?;
            self.drain()?;
            Steps { at: &mut self.at, supervisor }.advance(count)?;
        }
    }

    fn write(&mut self, table: Table, rows: Vec<Row>) -> Result<(), CopyError> {
        let Some(rekeying) = &mut self.rekeying else { return self.target.rows(table, &rows) };
        let state = self.source.state()?;
        for (table, rows) in rekeying.rows(&state, table, rows)? {
            self.target.rows(table, &rows)?;
        }
        Ok(())
    }

    /// Writes the changes that were collected since the last chunk over it.
    fn drain(&mut self) -> Result<(), CopyError> {
        let Source::Running(state) = &self.source else { return Ok(()) };
        let rows = state.upgrade().ok_or(CopyError::Locked)?.tap.take().ok_or(CopyError::Outrun)?;
        self.target.changes(&rows)
    }

    /// Copies the log up to its end as each chunk sees it.
    fn log(&mut self, supervisor: &mut Supervisor<'_>) -> Result<(), CopyError> {
        loop {
            let rows = self.snapshot()?.log_chunk(self.next_record)?;
            if rows.is_empty() {
                return Ok(());
            }
            self.records(&rows)?;
            self.drain()?;
            Steps { at: &mut self.at, supervisor }.advance(rows.len())?;
        }
    }

    fn records(&mut self, rows: &[(u64, Vec<u8>)]) -> Result<(), CopyError> {
        let (Some((first, _)), Some((last, _))) = (rows.first(), rows.last()) else { return Ok(()) };
        if self.next_record == 0 {
            self.first_record = *first;
        }
        self.next_record = last + 1;
        self.target.records(rows)
    }

    fn snapshot(&self) -> Result<Snapshot, CopyError> {
        self.source.state()?.engine.snapshot().map_err(CopyError::Source)
    }

    /// Completes the copy with what the moment adds, closes it and verifies it.
    ///
    /// # Errors
    /// As [`CopyError`] says.
    pub fn finish(mut self, moment: Moment, supervisor: &mut Supervisor<'_>) -> Result<Copied, CopyError> {
        let Moment { snapshot, rows } = moment;
        self.target.changes(&rows)?;
        loop {
            let rows = snapshot.log_chunk(self.next_record)?;
            if rows.is_empty() {
                break;
            }
            self.records(&rows)?;
        }
        let first = snapshot.records(0, 1).map_err(CopyError::Source)?.first().map(|(first, _)| *first);
        let first = first.unwrap_or(self.next_record);
        if first > self.first_record {
            self.target.remove_records_before(first)?;
        }
        self.target.subtrees(&snapshot.subtree_hashes().map_err(CopyError::Source)?)?;
        let mut values = snapshot.meta_values()?;
        drop(snapshot);
        if let Some(rekeying) = &self.rekeying {
            let state = self.source.state()?;
            values = rekeying.meta(&state, values)?;
        }
        self.target.meta(&values)?;
        self.target.finish()?;
        let head = values.into_iter().find(|(name, _)| name == meta::HEAD).map(|(_, sealed)| sealed);
        let head = head.ok_or_else(|| CopyError::Source(StorageError::tampered("meta", meta::HEAD)))?;
        let keys = match &self.rekeying {
            Some(rekeying) => KeysOf::New(rekeying.keys()),
            None => KeysOf::Source(&self.source),
        };
        let mut steps = Steps { at: &mut self.at, supervisor };
        let records = verify::copy(&self.medium, self.file, &keys, &head, &mut steps)?;
        let bytes = self.medium.len().map_err(|error| CopyError::target(redb::Error::Io(error)))?;
        Ok(Copied { records, bytes })
    }
}
