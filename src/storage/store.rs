//! A vault file: creation, opening, verification and unlocking.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{
    commit::{
        accesses,
        batch::Committer,
        changes::Changes,
        job::Decision,
        rows::signed,
        writer::{Writer, Writing},
    },
    copy::Unsealed,
    engine::{Batch, Engine, FORMAT},
    error::{CommitError, OpenError, StorageError},
    examine::{Archived, Check, Examination, Read, Surroundings},
    format::{
        head::{Head, LogKeys, Slot, decode_slots, encode_slots},
        needs::Needs,
        tables::{meta, split_audit_row},
    },
    migrations::Migrations,
    read::{
        integrity,
        log::StoredRecord,
        snapshot::{Snapshot, SubtreeHash},
    },
    state::{Stats, VaultState},
};
use crate::{
    audit::{
        checkpoint::{self, VerifierKey},
        tree,
    },
    crypto::{
        keys::{Keys, VaultKey},
        sign::LogKey,
    },
    disk::Medium,
    domain::{Event, FileId, User},
};

/// The contents of a new vault.
pub struct NewVault<'a> {
    /// The vault's permanent id.
    pub file: FileId,
    /// The vault key.
    pub vault_key: &'a VaultKey,
    /// The key slots, each of which wraps the vault key.
    pub slots: Vec<Slot>,
    /// The first owner.
    pub owner: User,
    /// The first record.
    pub event: Event,
}

/// An error while a vault is created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The disk refuses.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The operating system gives no random bytes, or the new file does not read back.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The first commit failed.
    #[error("the first commit failed")]
    First,
}

/// An open vault file, locked or not.
pub struct Store {
    pub(super) engine: Arc<Engine>,
    pub(super) file: FileId,
    pub(super) migrations: Migrations,
}

/// A running writer, and the signal of its end.
pub struct Running {
    /// The handle.
    pub writer: Writer,
    /// Resolves when the commit thread has written everything and ended.
    pub ended: oneshot::Receiver<()>,
}

impl Store {
    /// Creates a vault on an empty medium: an empty log with its checkpoint first, then the owner and the first record.
    pub fn create(medium: Medium, cache_bytes: usize, new: NewVault<'_>) -> Result<Self, CreateError> {
        let keys = Keys::derive(new.vault_key);
        let log_key = LogKey::generate().map_err(|_| StorageError::Random)?;
        let private = log_key.wrap(keys.log_wrap(), new.file).map_err(|_| StorageError::Random)?;
        let log_keys = LogKeys { public: vec![(log_key.public(), 0)], private }.to_bytes();
        let slots = encode_slots(&new.slots);
        let head = Head::new(&slots, &log_keys);
        let sealed = head.seal(&keys, new.file)?;
        let first = Batch {
            meta: vec![
                (meta::FORMAT, FORMAT.to_le_bytes().to_vec()),
                (meta::FILE_ID, new.file.as_bytes().to_vec()),
                (meta::SLOTS, slots),
                (meta::LOG_KEYS, log_keys),
                (meta::CHECKPOINT, signed(new.file, &head, &log_key).into_bytes()),
                (meta::HEAD, sealed.clone()),
            ],
            ..Batch::default()
        };
        let engine = Arc::new(Engine::create(medium, cache_bytes, &first)?);
        let source = VaultState::at_rest(&engine, keys, new.file);
        let mut committer = Committer::new(Arc::new(source), log_key, head, sealed);
        let mut changes = Changes::none();
        changes.user(new.owner);
        let mut round = committer.begin();
        round.add(|_| Decision::changing((), changes, new.event));
        if !round.commit().is_done() {
            return Err(CreateError::First);
        }
        committer.idle();
        Ok(Self { engine, file: new.file, migrations: Migrations::RELEASED })
    }

    /// Opens and verifies a file; none of its bytes change before it is unlocked.
    ///
    /// # Errors
    /// The file is no vault, is damaged, or has a newer format.
    pub fn open(medium: Medium, cache_bytes: usize) -> Result<Self, OpenError> {
        Self::open_with(medium, cache_bytes, Migrations::RELEASED)
    }

    /// Opens a file as [`Store::open`] does; an unlock brings it to the newest format of `migrations`.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(medium: Medium, cache_bytes: usize, migrations: Migrations) -> Result<Self, OpenError> {
        let engine = Arc::new(Engine::open_up_to(medium, cache_bytes, migrations.newest())?);
        let damaged = |error: StorageError| OpenError::Damaged(Some(Box::new(error)));
        let file = engine.snapshot().and_then(|snapshot| file_id(&snapshot)).map_err(damaged)?;
        Ok(Self { engine, file, migrations })
    }

    /// Returns the vault's id.
    pub const fn file(&self) -> FileId {
        self.file
    }

    /// Opens the file again if it did not open after a failed commit.
    ///
    /// # Errors
    /// The file still does not open.
    pub fn wake(&self) -> Result<(), OpenError> {
        self.engine.wake()
    }

    /// Returns the file's length in bytes.
    pub fn bytes(&self) -> std::io::Result<u64> {
        self.engine.bytes()
    }

    /// Returns the key slots, not yet authenticated.
    ///
    /// # Errors
    /// The slots cannot be read, or ask for more memory, passes or lanes than any slot that this program writes.
    pub fn slots(&self) -> Result<Vec<Slot>, StorageError> {
        decode_slots(&self.engine.snapshot()?.required_meta(meta::SLOTS)?)
    }

    /// Returns the time of each slot's last change, where it is known; not authenticated.
    ///
    /// # Errors
    /// The times cannot be read.
    pub fn slot_times(&self) -> Result<Vec<(u32, crate::domain::Timestamp)>, StorageError> {
        self.engine.snapshot()?.slot_times()
    }

    /// Returns the newest verifier key of the log.
    ///
    /// # Errors
    /// The key cannot be read.
    pub fn verifier_key(&self) -> Result<VerifierKey, StorageError> {
        let keys = LogKeys::from_bytes(&self.engine.snapshot()?.required_meta(meta::LOG_KEYS)?)?;
        Ok(VerifierKey::new(&checkpoint::origin(self.file), keys.newest()))
    }

    /// Returns every verifier key of the log, oldest first, with the first tree size that it signs.
    ///
    /// # Errors
    /// The keys cannot be read.
    pub fn verifier_keys(&self) -> Result<Vec<(VerifierKey, u64)>, StorageError> {
        let keys = LogKeys::from_bytes(&self.engine.snapshot()?.required_meta(meta::LOG_KEYS)?)?;
        let origin = checkpoint::origin(self.file);
        Ok(keys.public.into_iter().map(|(key, first)| (VerifierKey::new(&origin, key), first)).collect())
    }

    /// Returns the checkpoints with which earlier log keys ended, oldest first.
    ///
    /// # Errors
    /// The checkpoints cannot be read.
    pub fn handovers(&self) -> Result<Vec<String>, StorageError> {
        self.engine.snapshot()?.handovers()
    }

    /// Returns whether the file is a copy that a backup made, and that no start or restore has adopted yet.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn is_copy(&self) -> Result<bool, StorageError> {
        Ok(self.engine.snapshot()?.meta(meta::ORIGIN_COPY)?.is_some_and(|mark| !mark.is_empty()))
    }

    /// Returns the newest signed checkpoint.
    ///
    /// # Errors
    /// The checkpoint cannot be read.
    pub fn checkpoint(&self) -> Result<String, StorageError> {
        self.engine.snapshot()?.checkpoint()
    }

    /// Returns at most `limit` records from `first` on, not yet authenticated.
    ///
    /// # Errors
    /// The records cannot be read, or a record does not match its check.
    pub fn records(&self, first: u64, limit: usize) -> Result<Vec<StoredRecord>, StorageError> {
        self.engine.snapshot()?.records(first, limit)
    }

    /// Passes the log's rows from `first` on, at most `limit`, to `visit`: sequence, record and the hash beside it,
    /// unchecked. A row that is too short has an empty record and hash.
    ///
    /// # Errors
    /// The engine refuses, or the tail is not the end of the log.
    pub fn audit_rows(
        &self,
        first: u64,
        limit: usize,
        mut visit: impl FnMut(u64, &[u8], &[u8]),
    ) -> Result<(), StorageError> {
        self.engine.snapshot()?.audit_rows(first, limit, |sequence, row| {
            let (record, check) = split_audit_row(row).unwrap_or_default();
            visit(sequence, record, check);
        })
    }

    /// Returns every stored hash of a subtree.
    pub fn subtree_hashes(&self) -> Result<Vec<SubtreeHash>, StorageError> {
        self.engine.snapshot()?.subtree_hashes()
    }

    /// Returns the root over the first `size` records; of none, the hash of the empty tree.
    ///
    /// # Errors
    /// The records cannot be read, or the log has fewer than `size`.
    pub fn root(&self, size: u64) -> Result<[u8; 32], StorageError> {
        if size == 0 {
            return Ok(tree::Frontier::EMPTY.root());
        }
        self.engine.snapshot()?.tree_hash(&(0..size))
    }

    /// Returns the first record that the file holds, not yet authenticated.
    pub fn first_sequence(&self) -> Result<u64, StorageError> {
        self.engine.snapshot()?.first_sequence()
    }

    /// Returns the frontier of the first `size` records, a multiple of 256, from the stored subtrees.
    ///
    /// # Errors
    /// A subtree is missing or cannot be read.
    pub fn frontier(&self, size: u64) -> Result<tree::Frontier, StorageError> {
        self.engine.snapshot()?.frontier(size)
    }

    /// Returns the hashes over these ranges of records and the signed checkpoint, all of one moment.
    ///
    /// # Errors
    /// A record or the checkpoint cannot be read.
    pub fn hashes(
        &self,
        ranges: impl FnOnce(u64) -> Vec<std::ops::Range<u64>>,
    ) -> Result<(String, Vec<tree::Hash>), StorageError> {
        let snapshot = self.engine.snapshot()?;
        let note = snapshot.checkpoint()?;
        let size = checkpoint::read_unsigned(&note)
            .map_err(|_| StorageError::tampered("meta", meta::CHECKPOINT))?
            .size;
        let hashes = ranges(size).iter().map(|range| snapshot.tree_hash(range)).collect::<Result<_, _>>()?;
        Ok((note, hashes))
    }

    /// Returns the time of the newest event from its record, not yet authenticated.
    pub fn newest_time(&self) -> Result<Option<crate::domain::Timestamp>, StorageError> {
        let newest = self.engine.snapshot()?.records_before(u64::MAX, 1)?;
        let record = newest.first().and_then(|(_, bytes)| crate::audit::record::decode(bytes).ok());
        Ok(record.map(|record| record.time))
    }

    /// Examines the whole file, and changes no byte of it. Without the vault key, only what needs none. With `archived`,
    /// which holds the log's records before those of the file, the replay covers them.
    pub fn examine(
        &self,
        vault_key: Option<&VaultKey>,
        surroundings: Surroundings,
        archived: Option<&Archived<'_>>,
        read: &Read<'_>,
    ) -> Vec<Check> {
        let keys = vault_key.map(Keys::derive);
        let (engine, keys, file) = (&*self.engine, keys.as_ref(), self.file);
        Examination { engine, keys, file, surroundings, is_live: false, archived, read }.run()
    }

    /// Checks the file against its head with the vault key, and keeps the keys in memory; writes nothing.
    ///
    /// # Errors
    /// As [`Store::unlock`].
    pub fn unseal(&self, vault_key: &VaultKey) -> Result<Unsealed, StorageError> {
        self.check_newest()?;
        let state = VaultState::at_rest(&self.engine, Keys::derive(vault_key), self.file);
        let snapshot = self.engine.snapshot()?;
        let head = Head::open(&snapshot.required_meta(meta::HEAD)?, &state.keys, self.file)?;
        integrity::check(&snapshot, &state, &head)?;
        drop(snapshot);
        Ok(Unsealed::new(state))
    }

    /// Checks the file against its head, lets writes through and starts the writer. Needs a tokio runtime.
    ///
    /// # Errors
    /// A row, slot, log key, record or the checkpoint disagrees with the head: nothing is written.
    pub fn unlock(&self, vault_key: &VaultKey, writing: Writing) -> Result<Running, StorageError> {
        self.check_newest()?;
        let stats = Stats::new(writing.monotonic, writing.commit_timeout);
        let source = Arc::new(VaultState::new(&self.engine, Keys::derive(vault_key), self.file, stats));
        let keys = &source.keys;
        let snapshot = self.engine.snapshot()?;
        let sealed = snapshot.required_meta(meta::HEAD)?;
        let head = Head::open(&sealed, keys, self.file)?;
        let log_keys = integrity::check(&snapshot, &source, &head)?;
        let log_key = LogKey::unwrap(keys.log_wrap(), self.file, log_keys.newest(), &log_keys.private)
            .map_err(|_| StorageError::tampered("meta", meta::LOG_KEYS))?;
        let needs = Needs::from_bytes(snapshot.meta(meta::NEEDS)?.as_deref());
        let row_version = needs.and_then(|needs| u8::try_from(needs.rows).ok()).unwrap_or(1);
        let (sum, missed) = accesses::examine(&snapshot, &head, &source)?;
        drop(snapshot);
        self.engine.release().map_err(|error| StorageError::Engine(Box::new(redb::Error::Io(error))))?;
        source.stats.log_size.send_replace(head.frontier.size());
        let committer =
            Committer::new(source, log_key, head, sealed).with_row_version(row_version).with_access_sum(sum);
        committer.catch_up(missed);
        let (writer, ended) = Writer::start(committer, writing);
        Ok(Running { writer, ended })
    }
}

/// Returns the vault's id as its file states it, not yet authenticated.
fn file_id(snapshot: &Snapshot) -> Result<FileId, StorageError> {
    let bytes = snapshot.required_meta(meta::FILE_ID)?;
    bytes.try_into().map(FileId::from_bytes).map_err(|_| StorageError::tampered("meta", meta::FILE_ID))
}
