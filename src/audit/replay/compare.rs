//! Compares the model of the log with the tables of a file.

use std::collections::BTreeMap;

use super::{
    facts::Subject,
    model::Replay,
    tables::{TableRow, Tables},
};
use crate::domain::{IntegrationId, TokenId};

/// The result of a comparison.
#[derive(Debug, Default)]
pub struct Compared {
    /// The number of rows that the log explains.
    pub explained: u64,
    /// The number of rows that only archived records can explain.
    pub archived: u64,
    /// The number of rows about which the records hold too little.
    pub unclear: u64,
    /// The number of records that could not be read.
    pub unread: u64,
    /// A line for each row that no event explains, and for each event whose effect is missing.
    pub differences: Vec<String>,
}

impl Replay {
    /// Compares the tables with the records that were pushed.
    pub fn compare(&self, tables: &Tables) -> Compared {
        let mut compared = Compared { unread: self.unread, ..Compared::default() };
        for (subject, row) in &tables.rows {
            self.row(*subject, row, &mut compared);
        }
        for (subject, explained) in &self.explained {
            if !tables.rows.contains_key(subject) {
                let name = subject.named(explained.label.as_deref());
                let line =
                    format!("{name}: not there, though record {} made or changed it", explained.sequence);
                self.differ(*subject, line, &mut compared);
            }
        }
        if let Some(accesses) = &tables.accesses {
            self.last_accesses(tables, accesses, &mut compared);
        }
        for claim in &self.claimed {
            let session = tables.logins.get(claim).map_or("a session", String::as_str);
            if self.lacks_beginning() {
                compared.archived += 1;
            } else {
                compared.differences.push(format!("{session}: no login or refresh explains it"));
            }
        }
        compared
    }

    fn row(&self, subject: Subject, row: &TableRow, compared: &mut Compared) {
        let Some(explained) = self.explained.get(&subject) else {
            if self.lacks_beginning() && !self.gone.contains(&subject) {
                compared.archived += 1;
            } else {
                let line = format!("{}: no event explains it", subject.named(row.label.as_deref()));
                self.differ(subject, line, compared);
            }
            return;
        };
        let differing = row.facts.as_ref().map(|facts| explained.facts.differing(facts)).unwrap_or_default();
        if differing.is_empty() {
            compared.explained += 1;
            return;
        }
        let names: Vec<String> = differing.iter().map(ToString::to_string).collect();
        let name = subject.named(row.label.as_deref());
        let line =
            format!("{name}: {} not as recorded up to record {}", names.join(", "), explained.sequence);
        self.differ(subject, line, compared);
    }

    /// Adds a difference, unless a record that is only a hash may be about that subject.
    fn differ(&self, subject: Subject, line: String, compared: &mut Compared) {
        let unclear = match subject {
            Subject::User(_) => self.unclear_users,
            Subject::Token(_) => self.unclear_tokens,
            Subject::Project(_) | Subject::Integration(_) => 0,
        };
        if unclear > 0 {
            compared.unclear += 1;
        } else {
            compared.differences.push(line);
        }
    }

    /// Compares last accesses of what exists; a row left over from a deleted integration harms nobody.
    fn last_accesses(&self, tables: &Tables, accesses: &BTreeMap<[u8; 16], u64>, compared: &mut Compared) {
        for subject in tables.rows.keys() {
            let (id, name) = match subject {
                Subject::Integration(id) => (id, IntegrationId::from_bytes(*id).to_string()),
                Subject::Token(id) => (id, TokenId::from_bytes(*id).to_string()),
                Subject::User(_) | Subject::Project(_) => continue,
            };
            let (told, held) = (self.settled.get(id), accesses.get(id));
            let is_older = told.is_none() && self.lacks_beginning();
            if told != held && !is_older {
                let record = |sequence: Option<&u64>| {
                    sequence.map_or_else(|| "none".to_owned(), |sequence| format!("record {sequence}"))
                };
                compared.differences.push(format!(
                    "last_access {name}: {} is its last access, the row says {}",
                    record(told),
                    record(held)
                ));
            }
        }
    }
}
