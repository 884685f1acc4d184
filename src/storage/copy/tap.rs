//! The tap: the rows of every commit while a copy is made, in order.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::storage::engine::{Batch, RowWrite};

/// The most bytes that wait for the copy, which takes them after each chunk: seconds of the fastest load. More means
/// that the new file's disk hangs.
const BYTES_MAX: usize = 16 << 20;

/// Collects what a copy has to write over its chunks.
#[derive(Default)]
pub(in crate::storage) struct Tap(Mutex<State>);

/// Names one opening of a tap: a copy that was given up never takes what the next one collects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

#[derive(Default)]
struct State {
    openings: u64,
    collected: Option<Collected>,
}

#[derive(Default)]
struct Collected {
    rows: Vec<RowWrite>,
    bytes: usize,
    /// Set once something is missing.
    is_broken: bool,
}

impl Tap {
    /// Opens the tap; `None` if another copy has it open.
    pub(in crate::storage) fn open(&self) -> Option<Ticket> {
        let mut state = self.lock();
        if state.collected.is_some() {
            return None;
        }
        state.openings += 1;
        state.collected = Some(Collected::default());
        Some(Ticket(state.openings))
    }

    /// Collects the rows of a commit that is durable.
    pub(in crate::storage) fn collect(&self, batch: &Batch) {
        if let Some(collected) = self.lock().collected.as_mut().filter(|collected| !collected.is_broken) {
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
        if let Some(collected) = self.lock().collected.as_mut() {
            *collected = Collected { is_broken: true, ..Collected::default() };
        }
    }

    /// Takes the rows collected so far; `None` if some are missing, or the tap was closed since.
    pub(in crate::storage) fn take(&self, ticket: Ticket) -> Option<Vec<RowWrite>> {
        let mut state = self.lock();
        if state.openings != ticket.0 {
            return None;
        }
        let collected = state.collected.as_mut().filter(|collected| !collected.is_broken)?;
        collected.bytes = 0;
        Some(std::mem::take(&mut collected.rows))
    }

    /// Closes the tap, unless another copy has opened it since.
    pub(in crate::storage) fn close(&self, ticket: Ticket) {
        let mut state = self.lock();
        if state.openings == ticket.0 {
            state.collected = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
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

    fn count(taken: Option<Vec<RowWrite>>) -> Option<usize> {
        taken.map(|rows| rows.len())
    }

    #[test]
    fn a_copy_never_takes_rows_of_which_some_are_missing() {
        let tap = Tap::default();
        tap.collect(&batch(1));
        let ticket = tap.open().unwrap();
        assert_eq!(tap.open(), None, "one copy at a time");
        assert_eq!(count(tap.take(ticket)), Some(0), "nothing from before");
        tap.collect(&batch(1));
        assert_eq!(count(tap.take(ticket)), Some(1));
        for _ in 0..3 {
            tap.collect(&batch(BYTES_MAX / 2));
        }
        assert_eq!(count(tap.take(ticket)), None, "too much");
        tap.collect(&batch(1));
        assert_eq!(count(tap.take(ticket)), None, "what came later does not make it whole");
        tap.close(ticket);
        let ticket = tap.open().unwrap();
        tap.lose();
        assert_eq!(count(tap.take(ticket)), None, "in doubt");
        tap.close(ticket);
        assert_eq!(count(tap.take(ticket)), None);
    }

    #[test]
    fn a_copy_that_was_given_up_never_takes_or_ends_what_the_next_one_collects() {
        let tap = Tap::default();
        let given_up = tap.open().unwrap();
        tap.close(given_up);
        let next = tap.open().unwrap();
        tap.collect(&batch(1));
        assert_eq!(count(tap.take(given_up)), None);
        tap.close(given_up);
        assert_eq!(count(tap.take(next)), Some(1));
    }
}
