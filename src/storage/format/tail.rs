//! The tail of the log: the newest records, beside the head until they fill a page.
//!
//! A lone commit writes the head's page anyway. Its record goes there too, as part of `meta/tail`, and saves the pages
//! of the table's tree, three or four of nine; when the tail is full, or a batch is large, all of it moves to `audit`
//! with that commit. A writer that pauses or ends moves it as well, so that a file at rest has none.

use redb::{ReadableTable, Table as Written};

use super::tables::{meta, tail, tail_rows};

/// What the tail may hold: with the other values of `meta` it has to fit into one page of 4,096 bytes.
pub(in crate::storage) const TAIL_BYTES_MAX: usize = 1_500;

type Row = (u64, Vec<u8>);

/// Where the records of a batch go.
pub(in crate::storage) enum TailPlan {
    /// Into the tail, which then reads so.
    Tail(Vec<u8>),
    /// Into the table: these rows of the tail first.
    Table(Vec<(u64, Vec<u8>)>),
    /// Nowhere: there is nothing to write.
    Nowhere,
}

/// Decides it, given the tail as it stands; `settle` leaves nothing in the tail.
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
