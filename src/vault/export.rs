//! The log for outsiders: proofs, and exports piece by piece.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::{
    access::Admitted,
    error::Error,
    state::Vault,
    work::{Context, Request},
};
use crate::{
    audit::{proof, tree::Hash},
    auth::policy::Verb,
    domain::Timestamp,
    storage::{Decision, StorageError},
};

/// Records read from one snapshot: a long-held one makes the file grow, and a slow client holds two such pieces.
const CHUNK: usize = 250;

/// The statement to prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// That a record is in the tree of that size.
    Inclusion {
        /// The record's sequence.
        sequence: u64,
        /// The tree's size.
        size: u64,
    },
    /// That the tree of one size begins with that of another.
    Consistency {
        /// The smaller size.
        from: u64,
        /// The larger size.
        to: u64,
    },
}

impl Vault {
    /// The hashes of a proof, in the order of RFC 6962.
    ///
    /// # Errors
    /// The policy forbids it, or it is out of the log's range.
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
        let hashes = {
            let view = open.writer.fresh_view();
            ranges.iter().map(|range| view.tree_hash(range).map_err(Error::from)).collect()
        };
        self.noted(context, caller.caller().actor(), Verb::ReadAudit.action(), hashes).await
    }

    /// Records the export, and says up to where the log goes, the export's own event included; the turn is to be held
    /// for as long as the export goes on.
    ///
    /// # Errors
    /// The policy forbids it, or the range begins in archived records.
    pub async fn begin_export(
        &self,
        context: &Context,
        caller: &Admitted,
        first: u64,
    ) -> Result<(u64, OwnedSemaphorePermit), Error> {
        let turn = Arc::clone(&self.exports).try_acquire_owned().map_err(|_| Error::Overloaded)?;
        let work = move |work: Request<'_>| {
            let archived = work.view.first_sequence()?;
            if first < archived {
                return Err(Error::Archived { last: archived - 1 });
            }
            Ok(Decision::recording((), vec![work.event]))
        };
        let committed = self.act(context, caller, Verb::ExportAudit, work).await?;
        Ok((committed.receipts.first().map_or(0, |receipt| receipt.sequence + 1), turn))
    }

    /// The next records of an export, oldest first, before `end`; none where there are no more by now.
    ///
    /// # Errors
    /// The caller may no longer export, the vault was locked, or a record does not fit its check.
    pub fn export_chunk(
        &self,
        caller: &Admitted,
        now: Timestamp,
        first: u64,
        end: u64,
    ) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        let open = self.opened()?;
        let view = open.writer.fresh_view();
        self.admit_again(&view, caller, now, Verb::ExportAudit)?;
        let mut records = view.records(first, CHUNK)?;
        records.retain(|(sequence, _)| *sequence < end);
        Ok(records)
    }

    /// Records that an export broke off at a record that does not fit its hash.
    pub async fn export_broke_off(&self, context: &Context, caller: &Admitted, error: &Error) {
        self.note(context, caller.caller().actor(), Verb::ExportAudit.action(), error).await;
    }

    /// The next records from `first` on, for the owner of the file itself; no event.
    ///
    /// # Errors
    /// They cannot be read, or one does not fit its check.
    pub fn records(&self, first: u64) -> Result<Vec<(u64, Vec<u8>)>, StorageError> {
        self.store().records(first, CHUNK)
    }

    /// The root over the first `size` records, for the owner of the file itself; no event.
    ///
    /// # Errors
    /// They cannot be read, or there are fewer.
    pub fn root(&self, size: u64) -> Result<Hash, StorageError> {
        self.store().root(size)
    }

    /// Resolves when the log is longer than that, or the vault locked.
    pub async fn grown_past(&self, size: u64) {
        let Ok(open) = self.opened() else { return };
        let mut sizes = open.writer.stats().log_size.subscribe();
        drop(open);
        // An error says that the writer is gone with its vault.
        drop(sizes.wait_for(|now| *now > size).await);
    }
}
