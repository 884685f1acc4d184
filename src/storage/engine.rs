//! The interface to redb: snapshots, commits and records. A replacement engine has to provide exactly this.

use std::{
    borrow::Borrow,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, RwLock},
};

use redb::{Database, Durability, ReadableDatabase, ReadableTable};

use super::{
    error::{CommitError, OpenError, StorageError},
    format::{
        codec::ROW_VERSION,
        needs::Needs,
        tables::{AUDIT, HASHES, META, Table, hash_key, meta},
        tail::{TailPlan, plan_tail},
    },
    length,
    read::snapshot::{Snapshot, SubtreeHash},
};
use crate::disk::{DeferredWrites, Medium, Rollback};

/// The file format that this program writes.
pub const FORMAT: u32 = 1;

/// A row to write; a `None` value deletes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowWrite {
    /// Its table.
    pub table: Table,
    /// Its key.
    pub key: Vec<u8>,
    /// Its bytes.
    pub value: Option<Vec<u8>>,
}

/// Everything that one commit writes.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The sealed head that the file must hold before this commit; `None` for a new file.
    pub expected_head: Option<Vec<u8>>,
    /// Rows.
    pub rows: Vec<RowWrite>,
    /// Rows of the log by sequence.
    pub records: Vec<(u64, Vec<u8>)>,
    /// Moves the tail of the log to its table.
    pub settle: bool,
    /// The first record that the file still holds, if the batch deletes those before it; needs `settle`.
    pub first_record: Option<u64>,
    /// Subtrees that the records complete.
    pub hashes: Vec<SubtreeHash>,
    /// Values of `meta`, the new head among them.
    pub meta: Vec<(&'static str, Vec<u8>)>,
}

/// The open file.
pub struct Engine {
    medium: Medium,
    cache_bytes: usize,
    open: RwLock<Open>,
}

struct Open {
    backend: DeferredWrites,
    /// `None` only between closing and reopening, and after a reopening that failed.
    database: Option<Arc<Database>>,
}

impl Engine {
    /// Opens a file and examines every page of it. No byte of the medium changes before [`Engine::release`].
    ///
    /// # Errors
    /// The medium holds no vault, a damaged one or one of a newer format.
    pub fn open(medium: Medium, cache_bytes: usize) -> Result<Self, OpenError> {
        Self::open_up_to(medium, cache_bytes, FORMAT)
    }

    /// Opens a file as [`Engine::open`] does, if its format is at most `newest`.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub(super) fn open_up_to(medium: Medium, cache_bytes: usize, newest: u32) -> Result<Self, OpenError> {
        if medium.len().map_err(OpenError::Io)? == 0 {
            return Err(OpenError::Foreign);
        }
        Self::open_some(medium.clone(), cache_bytes, newest).map_err(|error| length::explain(error, &medium))
    }

    fn open_some(medium: Medium, cache_bytes: usize, newest: u32) -> Result<Self, OpenError> {
        let medium: Medium = Arc::new(Rollback::new(medium).map_err(OpenError::Io)?);
        let backend = DeferredWrites::held(medium.clone()).map_err(OpenError::Io)?;
        let database = open_database(backend.clone(), &builder(cache_bytes))?;
        check_format(&database, newest)?;
        let open = RwLock::new(Open { backend, database: Some(Arc::new(database)) });
        Ok(Self { medium, cache_bytes, open })
    }

    /// Makes a new vault on an empty medium, with its first batch.
    pub fn create(medium: Medium, cache_bytes: usize, first: &Batch) -> Result<Self, CommitError> {
        let medium: Medium = Arc::new(Rollback::new(medium).map_err(redb::Error::Io)?);
        let backend = DeferredWrites::open(medium.clone());
        let database =
            builder(cache_bytes).create_with_backend(backend.clone()).map_err(redb::Error::from)?;
        let open = RwLock::new(Open { backend, database: Some(Arc::new(database)) });
        let this = Self { medium, cache_bytes, open };
        this.commit(first)?;
        Ok(this)
    }

    /// Writes the deferred writes to the medium, then lets later writes through.
    ///
    /// # Errors
    /// The medium refuses the writes; the engine is then closed until [`Engine::wake`].
    pub fn release(&self) -> std::io::Result<()> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.backend.release().inspect_err(|_| {
            // The engine's memory is ahead of the file: only reopening shows which writes the file holds.
            open.database = None;
        })
    }

    /// Returns the last committed state, consistent for as long as the snapshot lives. Keep it short: redb cannot reuse
    /// the pages of a live snapshot, so the file grows.
    pub fn snapshot(&self) -> Result<Snapshot, StorageError> {
        let database = self.database().map_err(|error| StorageError::Engine(Box::new(error)))?;
        Snapshot::of(&*database)
    }

    /// Writes a batch in one durable transaction: all of it or nothing.
    ///
    /// # Errors
    /// [`CommitError::Engine`] does not tell whether the batch is on disk: call [`Engine::reopen`], then read the head.
    pub fn commit(&self, batch: &Batch) -> Result<(), CommitError> {
        self.transact(|_| Ok(batch))
    }

    /// Writes what `change` does within the transaction, and the batch that it returns, in one durable transaction.
    ///
    /// # Errors
    /// `change` fails: nothing is written. Else as [`Engine::commit`].
    pub(super) fn transact<B: Borrow<Batch>, E: From<CommitError>>(
        &self,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<B, E>,
    ) -> Result<(), E> {
        let failed = |error: redb::Error| E::from(CommitError::from(error));
        let database = self.database().map_err(failed)?;
        // Without a reader of the state before, redb ends each commit with a second one in memory, which frees that
        // state's pages at once: a third of its work. With a reader, the next commit frees them.
        let _before = database.begin_read().map_err(|error| failed(error.into()))?;
        let mut txn = database.begin_write().map_err(|error| failed(error.into()))?;
        txn.set_durability(Durability::Immediate).map_err(|error| failed(error.into()))?;
        // One sync a commit; see the crate's documentation.
        txn.set_two_phase_commit(false);
        txn.set_quick_repair(false);
        let batch = change(&txn)?;
        if !write_all(&txn, batch.borrow()).map_err(failed)? {
            txn.abort().map_err(|error| failed(error.into()))?;
            return Err(CommitError::HeadMoved.into());
        }
        txn.commit().map_err(|error| failed(error.into()))
    }

    /// Closes the file until [`Engine::wake`], which shows what of a failed transaction it holds.
    pub(super) fn close(&self) {
        self.open.write().unwrap_or_else(PoisonError::into_inner).database = None;
    }

    /// Returns the medium, with all that was written to it.
    pub(super) const fn medium(&self) -> &Medium {
        &self.medium
    }

    /// Closes the file, opens it again as after a crash, and returns its head, which decides a failed commit. Closes
    /// the file again if `is_ours` rejects the head, so that no client is served from a foreign file.
    ///
    /// # Errors
    /// The file does not open, or takes no writes. A later call may succeed. Until then the file stays open for reads
    /// if possible, and must not be committed to.
    pub fn reopen(&self, is_ours: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, OpenError> {
        let through = self
            .make_durable()
            .map_err(OpenError::Io)
            .and_then(|()| self.open_anew(DeferredWrites::open(self.medium.clone()), &is_ours));
        if through.is_err() && !self.is_open_held() {
            drop(self.open_held(&is_ours));
        }
        through
    }

    /// Undoes a failed commit, and syncs all other writes: the head that is read afterwards is durable.
    fn make_durable(&self) -> std::io::Result<()> {
        // To its current value: the file stays the same, and a read-only medium returns an error.
        self.medium.set_len(self.medium.len()?)?;
        self.medium.sync_data()
    }

    fn is_open_held(&self) -> bool {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.database.is_some() && open.backend.is_held()
    }

    fn open_held(&self, is_ours: &dyn Fn(&[u8]) -> bool) -> Result<Vec<u8>, OpenError> {
        self.open_anew(DeferredWrites::held(self.medium.clone()).map_err(OpenError::Io)?, is_ours)
    }

    /// Opens the file through `backend`. No reader sees it before `is_ours` accepts its head.
    fn open_anew(
        &self,
        backend: DeferredWrites,
        is_ours: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>, OpenError> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.database = None;
        // On an empty medium the engine would make a new database.
        if self.medium.len().map_err(OpenError::Io)? == 0 {
            return Err(OpenError::Foreign);
        }
        let database = open_database(backend.clone(), &builder(self.cache_bytes))?;
        let head = Snapshot::of(&database).and_then(|snapshot| snapshot.meta(meta::HEAD));
        let head = head.map_err(|error| OpenError::Damaged(Some(Box::new(error))))?.unwrap_or_default();
        if !is_ours(&head) {
            return Err(OpenError::Foreign);
        }
        open.database = Some(Arc::new(database));
        open.backend = backend;
        Ok(head)
    }

    /// Returns the file's length in bytes.
    pub fn bytes(&self) -> std::io::Result<u64> {
        self.medium.len()
    }

    /// Opens the file again if [`Engine::reopen`] or [`Engine::release`] closed it. As after [`Engine::open`], no byte
    /// of it changes before [`Engine::release`].
    pub fn wake(&self) -> Result<(), OpenError> {
        if self.open.read().unwrap_or_else(PoisonError::into_inner).database.is_some() {
            return Ok(());
        }
        // Unlocking checks the whole file against the sealed head.
        self.open_held(&|_| true).map(drop)
    }

    fn database(&self) -> Result<Arc<Database>, redb::Error> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.database.clone().ok_or(redb::Error::DatabaseClosed)
    }
}

/// Checks that the file's format is one up to `newest`.
fn check_format(database: &dyn ReadableDatabase, newest: u32) -> Result<(), OpenError> {
    let damaged = |error: StorageError| OpenError::Damaged(Some(Box::new(error)));
    let snapshot = Snapshot::of(database).map_err(damaged)?;
    let bytes = snapshot.meta(meta::FORMAT).map_err(damaged)?;
    let found = bytes.and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    match found {
        Some(0) | None => Err(OpenError::Foreign),
        Some(found) => {
            let needs = snapshot.meta(meta::NEEDS).map_err(damaged)?;
            if found > newest {
                let program =
                    Needs::from_bytes(needs.as_deref()).map_or_else(String::new, |needs| needs.program);
                return Err(OpenError::Newer { found, known: newest, program });
            }
            check_needs(needs.as_deref())
        }
    }
}

/// Checks that this program reads every row of the file.
fn check_needs(bytes: Option<&[u8]>) -> Result<(), OpenError> {
    match Needs::from_bytes(bytes) {
        Some(needs) if needs.is_known() => Ok(()),
        Some(Needs { rows, program }) => {
            Err(OpenError::NewerRows { found: rows, known: ROW_VERSION.into(), program })
        }
        None => Err(OpenError::Damaged(Some(Box::new(StorageError::tampered("meta", meta::NEEDS))))),
    }
}

/// Returns the settings with which every file is opened.
fn builder(cache_bytes: usize) -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(cache_bytes);
    // Without it, flipped bytes in a closed file panic or abort the process.
    builder.set_check_integrity_on_open(true);
    builder
}

/// Opens the file through a backend, and checks every page of it.
fn open_database(backend: DeferredWrites, builder: &redb::Builder) -> Result<Database, OpenError> {
    use redb::{DatabaseError, StorageError as Redb};
    // redb may panic on inconsistent pages.
    let opened = catch_unwind(AssertUnwindSafe(|| builder.create_with_backend(backend)));
    opened.map_err(|_| OpenError::Damaged(None))?.map_err(|error| match error {
        DatabaseError::Storage(Redb::Io(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
            OpenError::Foreign
        }
        DatabaseError::Storage(Redb::Io(error)) => OpenError::Io(error),
        other => OpenError::Damaged(Some(Box::new(redb::Error::from(other)))),
    })
}

/// Writes the batch if the file still holds the head that the batch builds on; returns whether it does.
fn write_all(txn: &redb::WriteTransaction, batch: &Batch) -> Result<bool, redb::Error> {
    let mut meta = txn.open_table(META)?;
    if meta.get(meta::HEAD)?.as_ref().map(redb::AccessGuard::value) != batch.expected_head.as_deref() {
        return Ok(false);
    }
    // `batch.rows` holds the rows of one table side by side, so each table is opened once.
    for rows in batch.rows.chunk_by(|a, b| a.table == b.table) {
        let mut table = txn.open_table(rows[0].table.definition())?;
        for row in rows {
            match &row.value {
                Some(value) => drop(table.insert(row.key.as_slice(), value.as_slice())?),
                None => drop(table.remove(row.key.as_slice())?),
            }
        }
    }
    match plan_tail(&meta, &batch.records, batch.settle)? {
        TailPlan::Tail(tail) => drop(meta.insert(meta::TAIL, tail.as_slice())?),
        TailPlan::Table(tail) => {
            let mut audit = txn.open_table(AUDIT)?;
            // One run at the end of the table: it fills whole pages, and overwrites no record.
            let mut end = audit.upper_bound_mut(Bound::<u64>::Unbounded)?;
            for (sequence, row) in tail.iter().chain(&batch.records) {
                end.insert_before(sequence, row.as_slice())?;
            }
            end.close()?;
            drop(meta.remove(meta::TAIL)?);
        }
        TailPlan::Nowhere => {}
    }
    if let Some(first) = batch.first_record {
        txn.open_table(AUDIT)?.retain_in(..first, |_, _| false)?;
    }
    if !batch.hashes.is_empty() {
        let mut hashes = txn.open_table(HASHES)?;
        for stored in &batch.hashes {
            hashes.insert(hash_key(stored.level, stored.index).as_slice(), stored.hash.as_slice())?;
        }
    }
    for (name, value) in &batch.meta {
        meta.insert(name, value.as_slice())?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;

    fn batch(before: Option<&[u8]>, record: (u64, &[u8]), after: &[u8]) -> Batch {
        Batch {
            expected_head: before.map(<[u8]>::to_vec),
            records: vec![(record.0, record.1.to_vec())],
            settle: true,
            meta: vec![(meta::HEAD, after.to_vec())],
            ..Batch::default()
        }
    }

    #[test]
    fn no_commit_overwrites_a_record_or_inserts_one_before_the_newest() {
        let first = batch(None, (7, b"first"), b"1");
        let engine = Engine::create(Arc::new(InMemoryBackend::new()), 1 << 20, &first).unwrap();
        for sequence in [0, 6, 7] {
            let refused = engine.commit(&batch(Some(b"1"), (sequence, b"other"), b"2"));
            assert!(matches!(refused, Err(CommitError::Engine(_))), "{sequence}");
        }
        engine.commit(&batch(Some(b"1"), (8, b"second"), b"2")).unwrap();
        let snapshot = engine.snapshot().unwrap();
        assert_eq!(snapshot.meta(meta::HEAD).unwrap().as_deref(), Some(&b"2"[..]));
        let audit = snapshot.txn().open_table(AUDIT).unwrap();
        let rows: Vec<_> = audit.range::<u64>(..).unwrap().map(Result::unwrap).collect();
        let rows: Vec<_> = rows.iter().map(|(sequence, row)| (sequence.value(), row.value())).collect();
        assert_eq!(rows, [(7, &b"first"[..]), (8, b"second")]);
    }
}
