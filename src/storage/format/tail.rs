//! The tail of the log: the newest records, stored beside the head until they fill a page.
//!
//! Every commit writes the head's page. A small commit stores its records in that page too, as part of `meta/tail`,
//! which saves the three or four of nine pages that the tree of `audit` would take. If the tail is full, or a batch is
//! large, the commit moves all of it to `audit`. A writer that is idle or ends moves it too, so a file at rest has no
//! tail.

use redb::{ReadableTable, Table as Written};

use super::tables::{meta, tail, tail_rows};

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
    let held = meta.get(meta::TAIL)?.map(|guard| guard.value().to_vec()).unwrap_or_default();
    let Some(mut rows) = tail_rows(&held) else {
        return Err(redb::Error::Corrupted("meta/tail has not the form".to_owned()));
    };
    if records.is_empty() && (rows.is_empty() || !settle) {
        return Ok(TailPlan::Nowhere);
    }
    let follows = |(newest, next): (&Row, &Row)| newest.0.checked_add(1) == Some(next.0);
    if !rows.last().zip(records.first()).is_none_or(follows) {
        return Err(redb::Error::Corrupted("meta/tail is not what the log ended with".to_owned()));
    }
    let bytes: usize = rows.iter().chain(records).map(|(_, row)| row.len() + 2).sum();
    if settle || bytes > TAIL_BYTES_MAX {
        return Ok(TailPlan::Table(rows));
    }
    rows.extend_from_slice(records);
    Ok(TailPlan::Tail(tail(&rows)))
}
