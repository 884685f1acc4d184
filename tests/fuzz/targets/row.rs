//! Rows as the codec reads them once they are unsealed, and the values of `meta` that are read before any key.

use super::Choices;
use crate::storage::probe::{TABLES, reread};

/// Input: table, length of the key, key, row.
pub fn run(input: &[u8]) {
    let mut choices = Choices(input);
    let (table, length) = (choices.below(TABLES), choices.below(64));
    let (key, row) = (choices.take(length), choices.0);
    let Some((key, row)) = reread(table, key, row) else { return };
    let again = reread(table, &key, &row).expect("what was written reads");
    assert_eq!(again, (key, row), "a row changes when it is read and written");
}
