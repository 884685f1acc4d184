//! The log for outsiders: proofs, and exports in chunks.

use std::{ops::Range, sync::Arc};

use tokio::sync::OwnedSemaphorePermit;

use super::{
    access::Admitted,
    budgets::ExportShare,
    error::Error,
    state::Vault,
    work::{Context, Request},
};
use crate::{
    audit::{proof, tree::Hash},
    auth::policy::Verb,
    domain::Timestamp,
    storage::{Decision, StorageError, StoredRecord},
};

/// The number of records in a chunk, read from one snapshot: a block of the tree, which is verified as a whole. A
/// long-held snapshot makes the file grow, and a slow client holds two chunks.
const CHUNK: usize = 256;

/// The statement to prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A record is in the tree of that size.
    Inclusion {
        /// The record's sequence.
        sequence: u64,
        /// The tree's size.
        size: u64,
    },
    /// The tree of the larger size begins with the tree of the smaller one.
    Consistency {
        /// The smaller size.
        from: u64,
        /// The larger size.
        to: u64,
    },
}

/// A running export's place among all exports and among its caller's, given back when its last clone is dropped: work on
/// another thread holds one, since it goes on when its client leaves.
#[derive(Debug, Clone)]
pub struct ExportTurn {
    _held: Arc<(ExportShare, OwnedSemaphorePermit)>,
}

impl ExportTurn {
    pub(super) fn new(turn: OwnedSemaphorePermit, share: ExportShare) -> Self {
        Self { _held: Arc::new((share, turn)) }
    }
}

impl Vault {
    /// Returns the hashes of a proof, in the order of RFC 6962.
    ///
    /// # Errors
    /// The policy forbids it, or the proof is out of the log's range.
    pub async fn prove(
        &self,
        context: &Context,
        caller: &Admitted,
        wanted: Proof,
    ) -> Result<Vec<Hash>, Error> {
        let (ranges, size) = match wanted {
            Proof::Inclusion { sequence, size } => (proof::inclusion(sequence, size), size),
            Proof::Consistency { from, to } => (proof::consistency(from, to), to),
        };
        let ranges = ranges.map_err(|_| Error::OutOfRange)?;
        let work = move |work: Request<'_>| {
            if size > work.view.log_size()? {
                return Err(Error::OutOfRange);
            }
            Ok(Decision::recording((), vec![work.event]))
        };
        self.act(context, caller, Verb::ReadAudit, work).await?;
        let open = self.opened()?;
        let hashes = open.writer.fresh_view().tree_hashes(&ranges).map_err(Error::from);
        self.noted(context, caller.caller().actor(), Verb::ReadAudit.action(), hashes).await
    }

    /// Records the export, and returns the sequences from its first record to before the log's end, the export's own
    /// event included. Without `first` it begins with the first record that is not archived, if no archived one can be
    /// of the time `from` on. Hold the returned permit until the export ends.
    ///
    /// # Errors
    /// The policy forbids it, or the range begins in archived records.
    pub async fn begin_export(
        &self,
        context: &Context,
        caller: &Admitted,
        first: Option<u64>,
        from: Option<Timestamp>,
    ) -> Result<(Range<u64>, ExportTurn), Error> {
        let turn = self.export_turn(caller)?;
        let from = from.filter(|_| first.is_none());
        let archived = match from {
            Some(_) => self.archived(context, caller, &turn).await,
            None => None,
        };
        let work = move |work: Request<'_>| {
            let held = work.view.first_sequence()?;
            let is_later =
                from.zip(archived).is_some_and(|(from, (end, newest))| end >= held && from > newest);
            let first = if is_later { held } else { first.unwrap_or(0) };
            if first < held {
                return Err(Error::Archived { last: held - 1 });
            }
            Ok(Decision::recording(first, vec![work.event]))
        };
        let committed = self.act(context, caller, Verb::ExportAudit, work).await?;
        let end = committed.receipts.first().map_or(0, |receipt| receipt.sequence + 1);
        Ok((committed.value..end, turn))
    }

    /// Takes a place among all exports and among the caller's.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn export_turn(&self, caller: &Admitted) -> Result<ExportTurn, Error> {
        let share = self.budgets.export(caller.caller().actor())?;
        let turn = Arc::clone(&self.exports).try_acquire_owned().map_err(|_| Error::Overloaded)?;
        Ok(ExportTurn::new(turn, share))
    }

    /// Returns the next records of an export before `end`, oldest first; empty if there are no more.
    ///
    /// # Errors
    /// The caller may no longer export, the vault was locked, or a record does not match its check.
    pub fn export_chunk(
        &self,
        caller: &Admitted,
        now: Timestamp,
        first: u64,
        end: u64,
    ) -> Result<Vec<StoredRecord>, Error> {
        let open = self.opened()?;
        let view = open.writer.fresh_view();
        self.admit_again(&view, caller, now, Verb::ExportAudit)?;
        // To the end of the block: the next chunk begins with the next one.
        let mut records = view.records(first, CHUNK - rest(first))?;
        // An archive may take records away while an export is under way: an export has no gaps.
        if let Some((found, _)) = records.first().filter(|(found, _)| *found > first) {
            return Err(Error::Archived { last: found - 1 });
        }
        records.retain(|(sequence, _)| *sequence < end);
        Ok(records)
    }

    /// Logs why an export stopped; records it if a record does not match its hash.
    pub async fn export_broke_off(&self, context: &Context, caller: &Admitted, error: Error) -> Error {
        self.note(context, caller.caller().actor(), Verb::ExportAudit.action(), error).await
    }

    /// Returns the next records from `first` on, for the owner of the file itself; records no event.
    ///
    /// # Errors
    /// The records cannot be read, or a record does not match its check.
    pub fn records(&self, first: u64) -> Result<Vec<StoredRecord>, StorageError> {
        self.store().records(first, CHUNK)
    }

    /// Returns the root over the first `size` records, for the owner of the file itself; records no event.
    ///
    /// # Errors
    /// The records cannot be read, or the log has fewer.
    pub fn root(&self, size: u64) -> Result<Hash, StorageError> {
        self.store().root(size)
    }

    /// Returns the hashes that prove that the first `to` records begin with the first `from`, for the owner of the file
    /// itself; records no event.
    ///
    /// # Errors
    /// The vault is locked, or the log has fewer records.
    pub fn consistency(&self, from: u64, to: u64) -> Result<Vec<Hash>, Error> {
        let ranges = proof::consistency(from, to).map_err(|_| Error::OutOfRange)?;
        let open = self.opened()?;
        let view = open.writer.fresh_view();
        if to > view.log_size()? {
            return Err(Error::OutOfRange);
        }
        Ok(view.tree_hashes(&ranges)?)
    }

    /// Resolves when the log is longer than `size`, or the vault is locked.
    pub async fn grown_past(&self, size: u64) {
        let Ok(open) = self.opened() else { return };
        let mut sizes = open.writer.stats().log_size.subscribe();
        drop(open);
        // An error means that the writer and its vault are gone.
        drop(sizes.wait_for(|now| *now > size).await);
    }
}

/// Returns the number of records of a block before `sequence`.
fn rest(sequence: u64) -> usize {
    usize::try_from(sequence % CHUNK as u64).expect("it is below the chunk's length")
}
