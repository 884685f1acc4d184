//! Migrations: an older file becomes one of the newest format, at its unlock, since rows open only with the key.
//!
//! ```text
//! older file agrees with its head → a copy of it is kept → steps, head, record and checkpoint in one transaction
//! ```
//!
//! No byte of the file changes before the copy is kept. Whatever cuts a migration short leaves the older file, which the
//! next unlock migrates, or the migrated one. The kept copy is the way back to an earlier program.
//!
//! Each step brings the file from one format to the next, and each format has a fixture in `tests/fixtures`. The format
//! number is not authenticated: a step must fail on a row that is not of its format. A step that changes the layout of
//! the head or of the log must bring the older reader along, since both are read before it runs.

use std::{fmt, io, ops::Bound, sync::Arc};

use redb::{ReadableTable, WriteTransaction};

use super::{
    copy::ending,
    engine::{Batch, Engine},
    error::{CommitError, StorageError, engine},
    format::{
        head::Head,
        needs::Needs,
        tables::{Table, meta},
    },
    read::integrity,
    state::VaultState,
    store::Store,
};
use crate::{
    crypto::{
        digest::StateDigest,
        keys::{Keys, VaultKey},
        seal::{self, Context},
    },
    disk::{self, Medium},
    domain::{Event, FileId},
};

/// redb's page cache for a copy that is only looked at.
const COPY_CACHE_BYTES: usize = 1 << 20;
/// The number of rows that a rewrite holds in memory.
const ROWS_CHUNK: usize = 1024;

/// Brings the rows of a file from one format to the next.
pub type Migration = fn(&mut Migrating<'_>) -> Result<(), StorageError>;

/// Every migration: the first from format 1 to 2, each later one from where the one before ends.
#[derive(Debug, Clone, Copy)]
pub struct Migrations(pub &'static [Migration]);

impl Migrations {
    /// Those of this program: format 1 is the newest.
    pub const RELEASED: Self = Self(&[]);

    /// Returns the newest format.
    pub fn newest(self) -> u32 {
        u32::try_from(self.0.len() + 1).expect("a table in the program is short")
    }

    fn from(self, format: u32) -> &'static [Migration] {
        let done = usize::try_from(format.saturating_sub(1)).unwrap_or(usize::MAX);
        self.0.get(done..).unwrap_or_default()
    }
}

/// The rows of a file within the transaction that migrates it.
pub struct Migrating<'a> {
    txn: &'a WriteTransaction,
    keys: &'a Keys,
    file: FileId,
    digest: StateDigest,
}

impl Migrating<'_> {
    /// Replaces the content of each row of a table, whose rows are sealed under their keys alone; `change` returns the
    /// new content, or `None` for a row that stays.
    ///
    /// # Errors
    /// A row fails authentication, `change` fails, or the engine refuses.
    pub fn rewrite(
        &mut self,
        table: Table,
        mut change: impl FnMut(&[u8], &[u8]) -> Result<Option<Vec<u8>>, StorageError>,
    ) -> Result<(), StorageError> {
        let mut rows = self.txn.open_table(table.definition()).map_err(engine)?;
        let mut after = Bound::Unbounded;
        loop {
            let mut chunk: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            let range = (after.as_ref().map(Vec::as_slice), Bound::Unbounded);
            for row in rows.range::<&[u8]>(range).map_err(engine)?.take(ROWS_CHUNK) {
                let (key, value) = row.map_err(engine)?;
                chunk.push((key.value().to_vec(), value.value().to_vec()));
            }
            let Some((last, _)) = chunk.last() else { return Ok(()) };
            after = Bound::Excluded(last.clone());
            for (key, before) in &chunk {
                let context = Context::row(table.number(), self.file, key);
                let opened = seal::open(self.keys.row(), &context, before);
                let opened = opened.map_err(|_| StorageError::tampered_row(table.name(), key))?;
                let Some(content) = change(key, opened.expose())? else { continue };
                let sealed = seal::seal(self.keys.row(), &context, &content);
                let sealed = sealed.map_err(|_| StorageError::Random)?;
                if table.is_state() {
                    self.digest.remove(self.keys.state().row(table.number(), key, before));
                    self.digest.add(self.keys.state().row(table.number(), key, &sealed));
                }
                rows.insert(key.as_slice(), sealed.as_slice()).map_err(engine)?;
            }
        }
    }
}

/// An older file that is about to be migrated; none of its bytes has changed.
pub struct Upgrade<'a> {
    engine: &'a Engine,
    head: Vec<u8>,
    /// The file's format.
    pub from: u32,
    /// The format that it gets.
    pub to: u32,
}

impl Upgrade<'_> {
    /// Returns the file's length in bytes.
    ///
    /// # Errors
    /// The system refuses.
    pub fn bytes(&self) -> io::Result<u64> {
        self.engine.bytes()
    }

    /// Copies the file to an empty medium and syncs it; `advance` hears of each piece.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn copy_to(&self, to: &Medium, advance: impl FnMut(u64)) -> io::Result<()> {
        disk::copy(self.engine.medium(), to, advance)
    }

    /// Returns whether a medium holds this very state of the file, whole, as a copy that an earlier attempt kept does.
    pub fn is_kept_in(&self, medium: Medium) -> bool {
        // The head is sealed anew by each commit: two files with the same one are of the same commit.
        let Ok(engine) = Engine::open_up_to(medium, COPY_CACHE_BYTES, self.from) else { return false };
        let head = engine.snapshot().and_then(|snapshot| snapshot.meta(meta::HEAD));
        head.is_ok_and(|head| head.as_ref() == Some(&self.head))
    }
}

/// The reason why no copy of an older file was kept.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct NotKept {
    /// The cause.
    pub message: String,
    /// The remedy.
    pub hint: String,
}

type Keep = dyn Fn(&Upgrade<'_>) -> Result<(), NotKept> + Send + Sync;

/// Says what a migration will do to a file, and keeps a copy of it.
#[derive(Clone)]
pub struct Keeper(Arc<Keep>);

impl Keeper {
    /// Wraps the host's way to keep a copy.
    pub fn new(keep: impl Fn(&Upgrade<'_>) -> Result<(), NotKept> + Send + Sync + 'static) -> Self {
        Self(Arc::new(keep))
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}

/// An error of a migration.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// No copy was kept: no byte of the file has changed.
    #[error(transparent)]
    NotKept(#[from] NotKept),
    /// The older file disagrees with its head, or a row of it does not migrate: it stays as it is.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The transaction failed: the file is the older one, or the migrated one.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Store {
    /// Returns the file's format.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn format(&self) -> Result<u32, StorageError> {
        let bytes = self.engine.snapshot()?.required_meta(meta::FORMAT)?;
        let bytes = bytes.try_into().map_err(|_| StorageError::tampered("meta", meta::FORMAT))?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Returns whether the file has an older format than the newest.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn is_older(&self) -> Result<bool, StorageError> {
        Ok(self.format()? < self.migrations.newest())
    }

    /// Checks that the file has the newest format.
    ///
    /// # Errors
    /// [`StorageError::Older`], or the file cannot be read.
    pub fn check_newest(&self) -> Result<(), StorageError> {
        let (found, newest) = (self.format()?, self.migrations.newest());
        if found == newest { Ok(()) } else { Err(StorageError::Older { found, newest }) }
    }

    /// Brings an older file to the newest format, and records `event`; a file of the newest format stays as it is.
    ///
    /// # Errors
    /// As [`MigrationError`] says. After a failed transaction, [`Store::wake`] opens the file again.
    pub fn migrate(&self, key: &VaultKey, keeper: &Keeper, event: &Event) -> Result<(), MigrationError> {
        let (from, to) = (self.format()?, self.migrations.newest());
        if from >= to {
            return Ok(());
        }
        let state = VaultState::at_rest(&self.engine, Keys::derive(key), self.file);
        let snapshot = self.engine.snapshot()?;
        let sealed = snapshot.required_meta(meta::HEAD)?;
        let head = Head::open(&sealed, &state.keys, self.file)?;
        integrity::check(&snapshot, &state, &head)?;
        drop(snapshot);
        keeper.0(&Upgrade { engine: &self.engine, head: sealed.clone(), from, to })?;
        self.engine.release().map_err(|error| CommitError::from(redb::Error::Io(error)))?;
        let migrated = self.engine.transact(|txn| {
            let mut migrating =
                Migrating { txn, keys: &state.keys, file: self.file, digest: head.state.clone() };
            self.migrations.from(from).iter().try_for_each(|step| step(&mut migrating))?;
            let head = Head { state: migrating.digest, ..head };
            last_batch(&state, sealed, &head, to, event).map_err(MigrationError::from)
        });
        // The engine may hold what the file does not: the next unlock opens the file again.
        migrated.inspect_err(|_| self.engine.close())
    }
}

/// Returns the end of the transaction: format, head, record and checkpoint.
fn last_batch(
    state: &VaultState,
    expected: Vec<u8>,
    head: &Head,
    to: u32,
    event: &Event,
) -> Result<Batch, StorageError> {
    let snapshot = state.engine.snapshot()?;
    let rows = Needs::from_bytes(snapshot.meta(meta::NEEDS)?.as_deref()).map_or(1, |needs| needs.rows);
    let log_keys = snapshot.required_meta(meta::LOG_KEYS)?;
    let values = vec![
        (meta::HEAD.to_owned(), head.seal(&state.keys, state.file)?),
        (meta::LOG_KEYS.to_owned(), log_keys),
    ];
    let ending = ending::append(state, None, values, event)?;
    let mut meta = vec![(meta::FORMAT, to.to_le_bytes().to_vec()), (meta::NEEDS, Needs::of(rows).to_bytes())];
    for (name, value) in ending.values {
        match &*name {
            meta::HEAD => meta.push((meta::HEAD, value)),
            meta::CHECKPOINT => meta.push((meta::CHECKPOINT, value)),
            _ => {}
        }
    }
    let (records, hashes) = (vec![ending.record], ending.subtrees);
    Ok(Batch { expected_head: Some(expected), records, settle: true, hashes, meta, ..Batch::default() })
}
