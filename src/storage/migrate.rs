//! Migrations: an older file becomes one of the newest format, at its unlock, since rows open only with the key.
//!
//! ```text
//! older file agrees with its head → a copy of it is kept → steps, head, record and checkpoint in one transaction
//! ```
//!
//! No byte of the file changes before the copy is kept. Whatever cuts a migration short leaves the older file, which the
//! next unlock migrates, or the migrated one. The kept copy is the way back to an earlier program.

use std::{fmt, io, sync::Arc};

use super::{
    copy::ending,
    engine::{Batch, Engine},
    error::{CommitError, StorageError},
    format::{head::Head, needs::Needs, tables::meta},
    migrations::Migrating,
    read::integrity,
    state::VaultState,
    store::Store,
};
use crate::{
    crypto::keys::{Keys, VaultKey},
    disk::{self, Medium},
    domain::Event,
};

/// redb's page cache for a copy that is only looked at.
const COPY_CACHE_BYTES: usize = 1 << 20;

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
            let mut migrating = Migrating { txn, keys: &state.keys, file: self.file, digest: head.state };
            self.migrations.after(from).iter().try_for_each(|step| step(&mut migrating))?;
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
