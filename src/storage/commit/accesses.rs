//! The last accesses at an unlock: which of them the log still has to add to their table, and whether the table is the
//! one that was written.
//!
//! `last_access` is outside the state digest, since every read would change it. Its watermark, the row with a zero id,
//! is sealed like any row and holds two numbers: the size of the log that the table covers, and a keyed sum over the
//! other rows. A row that was deleted, or replaced by an older one, changes the sum. The log then says what the table
//! should: its records are verified against the sealed head, so the answer is theirs and not the file's.

use std::collections::BTreeMap;

use super::{
    access_sum::{AccessSum, WATERMARK},
    rows::accesses_of_record,
};
use crate::{
    crypto::seal::{self, Context},
    storage::{
        error::StorageError,
        format::{codec::Row, head::Head, last_access::LastAccess, tables::Table},
        read::{sealed_log::SealedLog, snapshot::Snapshot},
        state::VaultState,
    },
};

/// The number of records that are read at a time.
const RECORDS_CHUNK: usize = 4096;

/// Returns the sum over the table, and the last accesses that the log has to add to it.
///
/// # Errors
/// The file cannot be read, or a record disagrees with the head.
pub(in crate::storage) fn examine(
    snapshot: &Snapshot,
    head: &Head,
    state: &VaultState,
) -> Result<(AccessSum, Vec<LastAccess>), StorageError> {
    let sum = AccessSum::of(snapshot, &state.keys)?;
    let mark = watermark(snapshot, state)?;
    let log = SealedLog::of(snapshot, head);
    let is_whole = |mark: &&LastAccess| mark.time == sum.as_time() && mark.sequence >= log.first();
    if let Some(mark) = mark.as_ref().filter(is_whole) {
        return Ok((sum, newest(&log, mark.sequence)?));
    }
    // Older files have no sum, and a new key changes every tag: neither is an attack.
    if mark.is_some_and(|mark| mark.time.millis() != 0) {
        tracing::error!(
            first = log.first(),
            "the last accesses are not those that were written: they are read from the log again"
        );
    }
    let mut missed = newest(&log, 0)?;
    // The log still names what was deleted since.
    let mut kept = Vec::with_capacity(missed.len());
    for access in missed.drain(..) {
        let is_there = snapshot.row(Table::Integrations, &access.id)?.is_some()
            || snapshot.row(Table::TokenIds, &access.id)?.is_some();
        if is_there {
            kept.push(access);
        }
    }
    Ok((sum, kept))
}

/// Returns the newest access of each id among the records from `next` on.
fn newest(log: &SealedLog<'_>, mut next: u64) -> Result<Vec<LastAccess>, StorageError> {
    let mut newest = BTreeMap::new();
    loop {
        let records = log.records(next, RECORDS_CHUNK)?;
        let Some((last, _)) = records.last() else { return Ok(newest.into_values().collect()) };
        next = last + 1;
        let accesses = records.iter().flat_map(|(sequence, bytes)| accesses_of_record(*sequence, bytes));
        newest.extend(accesses.map(|access| (access.id, access)));
    }
}

fn watermark(snapshot: &Snapshot, state: &VaultState) -> Result<Option<LastAccess>, StorageError> {
    let Some(sealed) = snapshot.row(Table::LastAccess, &WATERMARK)? else { return Ok(None) };
    let context = Context::row(Table::LastAccess.number(), state.file, &WATERMARK);
    let opened = seal::open(state.keys.row(), &context, &sealed).ok();
    Ok(opened.and_then(|opened| LastAccess::from_bytes(&WATERMARK, opened.expose())))
}
