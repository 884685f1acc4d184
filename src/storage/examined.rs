//! A vault file under examination: looked at by whoever verifies its log, and never written.
//!
//! redb's own check reads the file twice: first each page's checksum, from the roots down, then which pages are in use,
//! and whether any is used twice. The log is read beside it, a page behind the checksums.

use std::{cell::Cell, sync::Arc, thread};

use redb::{ConcurrencyMode, Database, ReadableDatabase};

use super::{
    engine::{builder, check_format, open_database},
    error::{OpenError, StorageError},
    format::tables::{meta, split_audit_row},
    proven::{Follower, Leader, Proven},
    read::snapshot::{Snapshot, SubtreeHash},
    store::{file_id, newest_checkpoint, newest_key},
};
use crate::{
    audit::checkpoint::VerifierKey,
    disk::{DeferredWrites, Medium, ReadAhead},
};

/// redb's estimate of how far it has come, once every checksum has held and the pages in use are to be counted (0.6).
const CHECKSUMS_HELD: f64 = 0.5;
/// The same where the newest root's checksums have not held, and it tries the one before (0.3).
const FELL_BACK: f64 = 0.2;

type Full = thread::JoinHandle<Result<Database, OpenError>>;

/// A file that shows only pages whose checksums have held; what is not known yet is waited for.
pub struct Examined {
    database: Box<dyn ReadableDatabase + Send + Sync>,
    /// redb's whole check, where it still runs.
    full: Option<Full>,
}

impl Examined {
    /// Begins to examine a file that does not change meanwhile; the cache is there twice. What is read from it counts
    /// only after [`Examined::finish`].
    ///
    /// # Errors
    /// The medium holds no vault, or, as far as is known by now, a damaged one or one of a newer format.
    pub fn begin(medium: Medium, cache_bytes: usize) -> Result<Self, OpenError> {
        let bytes = medium.len().map_err(OpenError::Io)?;
        if bytes == 0 {
            return Err(OpenError::Foreign);
        }
        let proven = Proven::none(bytes);
        let leader = Leader { medium: ahead(medium.clone())?, proven: proven.clone() };
        let follower = Follower { medium: ahead(medium)?, proven };
        let full = thread::spawn(move || examine(leader, cache_bytes));
        if let Some(database) = open_behind(follower, cache_bytes) {
            return Ok(Self { database, full: Some(full) });
        }
        // It was not closed well, or is damaged: the whole check decides what is in it.
        let database = Box::new(ended(full)?);
        check_format(&*database)?;
        Ok(Self { database, full: None })
    }

    /// Waits until redb's check has come to its end.
    ///
    /// # Errors
    /// The file holds no vault, a damaged one or one of a newer format: whatever was read from it means nothing.
    pub fn finish(&mut self) -> Result<(), OpenError> {
        let Some(full) = self.full.take() else { return Ok(()) };
        let full = ended(full)?;
        check_format(&full)?;
        // Both must have looked at one state: each commit makes another head.
        let said = |database: &dyn ReadableDatabase| {
            let snapshot = Snapshot::of(database)?;
            Ok((snapshot.meta(meta::HEAD)?, snapshot.meta(meta::CHECKPOINT)?))
        };
        if said(&full).map_err(damaged)? == said(&*self.database).map_err(damaged)? {
            Ok(())
        } else {
            Err(OpenError::Damaged(None))
        }
    }

    /// As [`super::Store::verifier_key`].
    ///
    /// # Errors
    /// It cannot be read.
    pub fn verifier_key(&self) -> Result<VerifierKey, StorageError> {
        let snapshot = self.snapshot()?;
        newest_key(&snapshot, file_id(&snapshot)?)
    }

    /// As [`super::Store::checkpoint`].
    ///
    /// # Errors
    /// It cannot be read.
    pub fn checkpoint(&self) -> Result<String, StorageError> {
        newest_checkpoint(&self.snapshot()?)
    }

    /// Shows the log from `first` on, at most `limit` records: sequence, record and the hash beside it, unjudged;
    /// a row that is too short to be one has neither.
    ///
    /// # Errors
    /// The engine refuses.
    pub fn audit_rows(
        &self,
        first: u64,
        limit: usize,
        mut visit: impl FnMut(u64, &[u8], &[u8]),
    ) -> Result<(), StorageError> {
        self.snapshot()?.audit_rows(first, limit, |sequence, row| {
            let (record, check) = split_audit_row(row).unwrap_or_default();
            visit(sequence, record, check);
        })
    }

    /// Every stored hash of a subtree.
    ///
    /// # Errors
    /// The engine refuses, or a row has no hash's form.
    pub fn subtree_hashes(&self) -> Result<Vec<SubtreeHash>, StorageError> {
        self.snapshot()?.subtree_hashes()
    }

    fn snapshot(&self) -> Result<Snapshot, StorageError> {
        Snapshot::of(&*self.database)
    }
}

/// redb's whole check.
fn examine(leader: Leader, cache_bytes: usize) -> Result<Database, OpenError> {
    let proven = leader.proven.clone();
    let fell_back = Cell::new(false);
    let mut builder = builder(cache_bytes);
    builder.set_repair_callback(move |session| match session.progress() {
        CHECKSUMS_HELD.. if fell_back.get() => {}
        CHECKSUMS_HELD.. => proven.complete(),
        FELL_BACK.. => {
            fell_back.set(true);
            proven.break_off();
        }
        _ => {}
    });
    open_database(DeferredWrites::held(Arc::new(leader)).map_err(OpenError::Io)?, &builder)
}

/// Opens a file that is being examined; `None` where it was not closed well.
fn open_behind(follower: Follower, cache_bytes: usize) -> Option<Box<dyn ReadableDatabase + Send + Sync>> {
    let mut builder = builder(cache_bytes);
    // Of all modes the one whose readers look at nothing but the header and the trees; there is no writer.
    builder.set_concurrency_mode(ConcurrencyMode::SingleWriter);
    let opened = builder.open_read_only_with_backend(follower);
    opened.ok().map(|database| Box::new(database) as _)
}

fn ahead(medium: Medium) -> Result<Medium, OpenError> {
    Ok(Arc::new(ReadAhead::new(medium).map_err(OpenError::Io)?))
}

fn ended(full: Full) -> Result<Database, OpenError> {
    // A panic on bytes of the file is damage as well.
    full.join().unwrap_or(Err(OpenError::Damaged(None)))
}

fn damaged(error: StorageError) -> OpenError {
    OpenError::Damaged(Some(Box::new(error)))
}
