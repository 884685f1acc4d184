//! The tail of the log: the newest records, stored beside the head until they fill a page.
//!
//! Every commit writes the head's page. A small commit stores its records in that page too, as part of `meta/tail`,
//! which saves the three or four of nine pages that the tree of `audit` would take. If the tail is full, or a batch is
//! large, the commit moves all of it to `audit`. A writer that is idle or ends moves it too, so a file at rest has no
//! tail.

use redb::{AccessGuard, ReadableTable, Table as Written};

use super::tables::{extend_tail, meta, tail_rows, walk_tail};

/// The bytes before the rows.
const TAIL_HEAD: usize = 8;
/// The longest tail, in bytes: with the other values of `meta` it has to fit into one page of 4,096 bytes.
pub(in crate::storage) const TAIL_BYTES_MAX: usize = 1_500;

type Row = (u64, Vec<u8>);

/// The destination of a batch's records.
pub(in crate::storage) enum TailPlan {
    /// The tail, with its new bytes.
    Tail(Vec<u8>),
    /// The table, with the rows that move there from the tail.
    Table(Vec<(u64, Vec<u8>)>),
    /// No destination: there is nothing to write.
    Nowhere,
}

/// Plans the write of `records` from the current tail; `settle` leaves the tail empty.
pub(in crate::storage) fn plan_tail(
    meta: &Written<'_, &'static str, &'static [u8]>,
    records: &[(u64, Vec<u8>)],
    settle: bool,
) -> Result<TailPlan, redb::Error> {
    let held = meta.get(meta::TAIL)?;
    let held = held.as_ref().map_or(&[][..], AccessGuard::value);
    let mut newest = None;
    if walk_tail(held, |sequence, _| newest = Some(sequence)).is_none() {
        return Err(redb::Error::Corrupted("meta/tail has not the form".to_owned()));
    }
    if records.is_empty() && (newest.is_none() || !settle) {
        return Ok(TailPlan::Nowhere);
    }
    let follows = |(newest, next): (u64, &Row)| newest.checked_add(1) == Some(next.0);
    if !newest.zip(records.first()).is_none_or(follows) {
        return Err(redb::Error::Corrupted("meta/tail is not what the log ended with".to_owned()));
    }
    let length = TAIL_HEAD.max(held.len()) + records.iter().map(|(_, row)| 2 + row.len()).sum::<usize>();
    if settle || length > TAIL_HEAD + TAIL_BYTES_MAX {
        return Ok(TailPlan::Table(tail_rows(held).unwrap_or_default()));
    }
    let mut tail = Vec::with_capacity(length);
    tail.extend_from_slice(held);
    extend_tail(&mut tail, records);
    Ok(TailPlan::Tail(tail))
}
