//! The tap: the rows of every commit while a copy is made, in order.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::storage::engine::{Batch, RowWrite};

/// The most bytes that wait for the copy, which takes them after each chunk: seconds of the fastest load. More means
/// that the new file's disk hangs.
const BYTES_MAX: usize = 16 << 20;

/// Collects what a copy has to write over its chunks.
#[derive(Default)]
pub(in crate::storage) struct Tap(Mutex<Option<Collected>>);

#[derive(Default)]
struct Collected {
    rows: Vec<RowWrite>,
    bytes: usize,
    /// Set once something is missing.
    is_broken: bool,
}

impl Tap {
    /// Opens the tap; `false` if another copy has it open.
    pub(in crate::storage) fn open(&self) -> bool {
        let mut collected = self.lock();
        let is_free = collected.is_none();
        if is_free {
            *collected = Some(Collected::default());
        }
        is_free
    }

    /// Collects the rows of a commit that is durable.
    pub(in crate::storage) fn collect(&self, batch: &Batch) {
        if let Some(collected) = self.lock().as_mut().filter(|collected| !collected.is_broken) {
            let bytes = |row: &RowWrite| row.key.len() + row.value.as_ref().map_or(0, Vec::len) + 64;
            collected.bytes += batch.rows.iter().map(bytes).sum::<usize>();
            collected.rows.extend_from_slice(&batch.rows);
            if collected.bytes > BYTES_MAX {
                *collected = Collected { is_broken: true, ..Collected::default() };
            }
        }
    }

    /// Notes a commit that may or may not be durable.
    pub(in crate::storage) fn lose(&self) {
        if let Some(collected) = self.lock().as_mut() {
            *collected = Collected { is_broken: true, ..Collected::default() };
        }
    }

    /// Takes the rows collected so far; `None` if some are missing.
    pub(in crate::storage) fn take(&self) -> Option<Vec<RowWrite>> {
        let mut collected = self.lock();
        let collected = collected.as_mut().filter(|collected| !collected.is_broken)?;
        collected.bytes = 0;
        Some(std::mem::take(&mut collected.rows))
    }

    /// Closes the tap.
    pub(in crate::storage) fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Collected>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::format::tables::Table;

    fn batch(bytes: usize) -> Batch {
        let row = RowWrite { table: Table::Users, key: vec![1], value: Some(vec![0; bytes]) };
        Batch { rows: vec![row], ..Batch::default() }
    }

    #[test]
    fn a_copy_never_takes_rows_of_which_some_are_missing() {
        let tap = Tap::default();
        tap.collect(&batch(1));
        assert!(tap.open() && !tap.open(), "one copy at a time");
        assert_eq!(tap.take().map(|rows| rows.len()), Some(0), "nothing from before");
        tap.collect(&batch(1));
        assert_eq!(tap.take().map(|rows| rows.len()), Some(1));
        for _ in 0..3 {
            tap.collect(&batch(BYTES_MAX / 2));
        }
        assert!(tap.take().is_none(), "too much");
        tap.collect(&batch(1));
        assert!(tap.take().is_none(), "what came later does not make it whole");
        tap.close();
        assert!(tap.open());
        tap.lose();
        assert!(tap.take().is_none(), "in doubt");
        tap.close();
        assert!(tap.take().is_none());
    }
}
