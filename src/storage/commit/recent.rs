//! The newest committed records, for one reader that follows the log: it need not read and hash again what this process
//! has just written.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::storage::format::tables::split_audit_row;

/// A row or a record of the log, with its sequence.
type Numbered = (u64, Vec<u8>);

/// The most records that are kept, of about 400 bytes each: those of a tenth of a second under load. A reader that is
/// further behind reads the file.
const KEPT_MAX: usize = 8_192;

/// Committed rows of the log, without a gap.
#[derive(Default)]
pub(in crate::storage) struct Recent(Mutex<Vec<Numbered>>);

impl Recent {
    /// Adds the rows of a commit.
    pub(super) fn add(&self, rows: Vec<Numbered>) {
        let mut kept = self.lock();
        let next = kept.last().map(|(last, _)| last + 1);
        let continues = rows.first().is_none_or(|(first, _)| next.is_none_or(|next| next == *first));
        if !continues || kept.len() + rows.len() > KEPT_MAX {
            kept.clear();
        }
        if rows.len() <= KEPT_MAX {
            kept.extend(rows);
        }
    }

    /// Takes the records from `first` on; none if that one is not among them.
    pub(super) fn take_from(&self, first: u64) -> Vec<Numbered> {
        let rows = mem::take(&mut *self.lock());
        if rows.first().is_none_or(|(oldest, _)| *oldest > first) {
            return Vec::new();
        }
        let newer = rows.into_iter().filter(|(sequence, _)| *sequence >= first);
        newer.map(|(sequence, row)| (sequence, record(row))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Numbered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the record of a row.
fn record(mut row: Vec<u8>) -> Vec<u8> {
    let length = split_audit_row(&row).map_or(0, |(record, _)| record.len());
    row.truncate(length);
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{audit::tree::leaf_hash, storage::format::tables::audit_row};

    fn rows(sequences: std::ops::Range<u64>) -> Vec<Numbered> {
        let row = |sequence: u64| {
            let record = sequence.to_string().into_bytes();
            let hash = leaf_hash(&record);
            (sequence, audit_row(record, &hash))
        };
        sequences.map(row).collect()
    }

    fn records(sequences: std::ops::Range<u64>) -> Vec<Numbered> {
        sequences.map(|sequence| (sequence, sequence.to_string().into_bytes())).collect()
    }

    #[test]
    fn a_reader_gets_each_record_in_turn_or_none_and_never_after_a_gap() {
        let recent = Recent::default();
        recent.add(rows(5..9));
        recent.add(Vec::new());
        recent.add(rows(9..12));
        assert_eq!(recent.take_from(5), records(5..12));
        assert_eq!(recent.take_from(12), []);
        // It has some of them, or lacks some.
        recent.add(rows(12..15));
        assert_eq!(recent.take_from(14), records(14..15));
        recent.add(rows(15..17));
        assert_eq!(recent.take_from(14), [], "the file has 14");
        // A commit in doubt was not added.
        recent.add(rows(17..19));
        recent.add(rows(21..23));
        assert_eq!(recent.take_from(17), []);
        // Nobody reads: the oldest go.
        let many = KEPT_MAX as u64;
        recent.add(rows(23..23 + many));
        recent.add(rows(23 + many..24 + many));
        assert_eq!(recent.lock().len(), 1);
        recent.add(rows(24 + many..25 + 2 * many));
        assert_eq!(recent.lock().len(), 0, "more than it keeps");
    }
}
