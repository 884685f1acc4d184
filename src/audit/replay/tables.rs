//! The tables of a file, as far as the log can explain them.

use std::collections::BTreeMap;

use super::facts::{Facts, Subject};

/// A row as the comparison needs it.
pub struct TableRow {
    /// Its facts; `None` where the row was not opened.
    pub facts: Option<Facts>,
    /// Its name, where its key does not show it.
    pub label: Option<Box<str>>,
}

/// The tables of one moment.
#[derive(Default)]
pub struct Tables {
    /// Users, projects, integrations and tokens.
    pub rows: BTreeMap<Subject, TableRow>,
    /// The sequence of each last access that the file holds; `None` where the table was not opened.
    pub accesses: Option<BTreeMap<[u8; 16], u64>>,
    /// Every access before this sequence is in that table.
    pub watermark: u64,
    /// The logins and refreshes that made the sessions, with the session's name.
    pub logins: BTreeMap<[u8; 16], String>,
}
