//! The copier: chunk by chunk into the new file, then the moment.

use std::sync::{Arc, Weak};

use super::{
    chunk::{Row, Source},
    ending,
    error::CopyError,
    reseal::Rekeying,
    steps::{Step, Steps, Supervisor},
    tap::Ticket,
    target::Target,
    verify::{self, KeysOf},
};
use crate::{
    disk::Medium,
    domain::{Event, FileId},
    storage::{
        commit::writer::Writer,
        engine::RowWrite,
        error::StorageError,
        format::tables::{Table, meta},
        read::{snapshot::Snapshot, view::View},
        state::VaultState,
    },
};

/// The mark of a copy that stands beside its source.
const IS_COPY: &[u8] = b"backup";

/// A file with its keys in memory, verified, that no writer has.
pub struct Unsealed(Arc<VaultState>);

impl Unsealed {
    pub(in crate::storage) fn new(state: VaultState) -> Self {
        Self(Arc::new(state))
    }

    /// Copies the file to an empty medium, under another vault key if `rekeying` says so, appends `event` to the copy's
    /// log, and verifies the copy.
    ///
    /// # Errors
    /// Either file refuses, a row fails authentication, or the supervisor stops it.
    pub fn copy(
        &self,
        medium: Medium,
        rekeying: Option<Rekeying>,
        event: Event,
        supervisor: &mut Supervisor<'_>,
    ) -> Result<Copied, CopyError> {
        let mut copying = Copying::new(Source::Still(Arc::clone(&self.0)), self.0.file, Blank::on(medium)?);
        copying.rekeying = rekeying;
        copying.event = Some(event);
        copying.run(supervisor)?;
        let snapshot = self.0.engine.snapshot().map_err(CopyError::Source)?;
        copying.finish(Moment { snapshot, rows: Vec::new() }, supervisor)
    }
}

/// The moment that a copy shows.
pub struct Moment {
    pub(super) snapshot: Snapshot,
    /// The newest changes, not yet in the copy.
    rows: Vec<RowWrite>,
}

impl Moment {
    /// Fixes the moment and ends the collection of changes. Only a decision in the commit thread may: nothing is
    /// committed meanwhile.
    ///
    /// # Errors
    /// A change is missing, or the file cannot be read.
    pub fn of(view: &View<'_>, ticket: Ticket) -> Result<Self, CopyError> {
        let state = view.source;
        let rows = state.tap.take(ticket).ok_or(CopyError::Outrun)?;
        state.tap.close(ticket);
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
    pub(super) target: Target,
    rekeying: Option<Rekeying>,
    /// The copy's last record, if the copy takes its source's place; without it, the copy is marked as one.
    event: Option<Event>,
    at: Step,
    next_record: u64,
    first_record: u64,
    open: Option<OpenTap>,
}

/// Closes the tap of a copy that ended early.
pub struct OpenTap(Weak<VaultState>, Ticket);

impl Drop for OpenTap {
    fn drop(&mut self) {
        if let Some(state) = self.0.upgrade() {
            state.tap.close(self.1);
        }
    }
}

/// A new file, without a row.
pub struct Blank {
    medium: Medium,
    target: Target,
}

impl Blank {
    /// Begins the file of a copy on an empty medium.
    ///
    /// # Errors
    /// The medium refuses.
    pub fn on(medium: Medium) -> Result<Self, CopyError> {
        Ok(Self { target: Target::new(medium.clone())?, medium })
    }
}

impl Writer {
    /// Begins a copy of the running vault in a new file; from here on every change is collected. Calls no disk.
    ///
    /// # Errors
    /// Another copy is being made.
    pub fn begin_copy(&self, blank: Blank) -> Result<Copying, CopyError> {
        let state = Arc::downgrade(self.state());
        let ticket = self.state().tap.open().ok_or(CopyError::Busy)?;
        let open = OpenTap(Weak::clone(&state), ticket);
        let copying = Copying::new(Source::Running(state), self.state().file, blank);
        Ok(Copying { open: Some(open), ..copying })
    }
}

impl Copying {
    fn new(source: Source, file: FileId, Blank { medium, target }: Blank) -> Self {
        let at = Step { done: 0, total: 0 };
        Self {
            source,
            file,
            medium,
            target,
            rekeying: None,
            event: None,
            at,
            next_record: 0,
            first_record: 0,
            open: None,
        }
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
        self.log(supervisor)?;
        Ok(())
    }

    /// Returns what [`Moment::of`] needs; `None` for a file that no writer has.
    pub fn ticket(&self) -> Option<Ticket> {
        self.open.as_ref().map(|open| open.1)
    }

    /// Returns a guard that ends the collection of changes when it is dropped: without them the copy is never done.
    pub fn tap(&self) -> Option<OpenTap> {
        self.open.as_ref().map(|OpenTap(state, ticket)| OpenTap(Weak::clone(state), *ticket))
    }

    fn table(&mut self, table: Table, supervisor: &mut Supervisor<'_>) -> Result<(), CopyError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let (rows, has_more) = self.snapshot()?.chunk(table, after.as_deref())?;
            after = rows.last().map(|(key, _)| key.clone());
            let count = rows.len();
            self.write(table, rows)?;
            self.drain()?;
            Steps { at: &mut self.at, supervisor }.advance(count)?;
            // Rows that are appended from here on are in the tap.
            if !has_more {
                return Ok(());
            }
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
        let Some(OpenTap(state, ticket)) = &self.open else { return Ok(()) };
        let rows = state.upgrade().ok_or(CopyError::Locked)?.tap.take(*ticket).ok_or(CopyError::Outrun)?;
        self.target.changes(&rows)
    }

    /// Copies the log up to the first chunk that is not full: a busy log always has a few more.
    fn log(&mut self, supervisor: &mut Supervisor<'_>) -> Result<(), CopyError> {
        loop {
            let (rows, has_more) = self.snapshot()?.log_chunk(self.next_record)?;
            self.records(&rows)?;
            self.drain()?;
            Steps { at: &mut self.at, supervisor }.advance(rows.len())?;
            if !has_more {
                return Ok(());
            }
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
            let (rows, has_more) = snapshot.log_chunk(self.next_record)?;
            self.records(&rows)?;
            if !has_more {
                break;
            }
        }
        let first = snapshot.records(0, 1).map_err(CopyError::Source)?.first().map(|(first, _)| *first);
        let first = first.unwrap_or(self.next_record);
        if first > self.first_record {
            self.target.remove_records_before(first)?;
        }
        let mut subtrees = snapshot.subtree_hashes()?;
        let mut values = snapshot.meta_values()?;
        drop(snapshot);
        if let Some(event) = &self.event {
            let ending = ending::append(&*self.source.state()?, self.rekeying.as_ref(), values, event)?;
            self.target.records(&[ending.record])?;
            subtrees.extend(ending.subtrees);
            values = ending.values;
        } else {
            values.retain(|(name, _)| name != meta::ORIGIN_COPY);
            values.push((meta::ORIGIN_COPY.to_owned(), IS_COPY.to_vec()));
        }
        self.target.subtrees(&subtrees)?;
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
