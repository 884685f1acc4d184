//! The walk over the log: each record against its check, the tree against its stored hashes and its signed root.

use std::collections::BTreeMap;

use super::{
    check::{Findings, Read},
    rows::cause,
};
use crate::{
    audit::{
        replay::Replay,
        tree::{Frontier, Hash, leaf_hash},
        verify::Verifier,
    },
    storage::{
        engine::Engine, error::StorageError, format::tables::split_audit_row, read::snapshot::Snapshot,
    },
};

/// The most records that one snapshot is held for.
const CHUNK: usize = 4096;

/// The size and root that the log must have.
pub(super) struct End {
    pub(super) size: u64,
    pub(super) root: Hash,
    /// True if the file can hold no record after that end: no server writes to it.
    pub(super) is_last: bool,
}

/// The walk's result.
pub(super) struct Log {
    pub(super) first: u64,
    pub(super) count: u64,
    pub(super) findings: Findings,
}

struct Walk<'a> {
    next: u64,
    size: u64,
    log: Log,
    frontier: Option<Frontier>,
    stored: BTreeMap<(u8, u64), Hash>,
    replay: &'a mut Replay,
    read: &'a Read<'a>,
    is_stopped: bool,
}

/// Reads the log up to `end` and feeds `replay`; holds no snapshot for longer than a few thousand records.
pub(super) fn walk(engine: &Engine, first: u64, end: &End, replay: &mut Replay, read: &Read<'_>) -> Log {
    let log = Log { first, count: 0, findings: Findings::default() };
    let stored = BTreeMap::new();
    let mut walk =
        Walk { next: first, size: end.size, log, frontier: None, stored, replay, read, is_stopped: false };
    if let Err(error) = walk.prepare(engine, first) {
        walk.log.findings.add(cause(&error));
    }
    if let Err(error) = walk.records(engine) {
        walk.log.findings.add(format!("from record {} on: {}", walk.next, cause(&error)));
    }
    walk.finish(engine, end)
}

impl Walk<'_> {
    /// Reads the stored hashes, and takes from them the tree over the archived records.
    fn prepare(&mut self, engine: &Engine, first: u64) -> Result<(), StorageError> {
        let snapshot = engine.snapshot()?;
        for stored in snapshot.subtree_hashes()? {
            self.stored.insert((stored.level, stored.index), stored.hash);
        }
        self.frontier = Some(tree_before(&snapshot, first)?);
        Ok(())
    }

    fn records(&mut self, engine: &Engine) -> Result<(), StorageError> {
        loop {
            let begin = self.next;
            if begin >= self.size || self.is_stopped {
                return Ok(());
            }
            engine.snapshot()?.audit_rows(begin, CHUNK, |sequence, row| self.row(sequence, row))?;
            if self.next == begin {
                return Ok(());
            }
        }
    }

    fn row(&mut self, sequence: u64, row: &[u8]) {
        if sequence >= self.size || sequence < self.next {
            return;
        }
        self.is_stopped |= !(self.read)(row.len() as u64);
        if sequence > self.next {
            self.missing(self.next, sequence);
        }
        self.next = sequence + 1;
        self.log.count += 1;
        let (record, check) = split_audit_row(row).unwrap_or_default();
        let leaf = leaf_hash(record);
        if !leaf.starts_with(check) || check.is_empty() {
            self.log
                .findings
                .add(format!("record {sequence} was changed: it does not fit the hash beside it"));
            self.frontier = None;
            return;
        }
        if let Err(flaw) = Verifier::check_form(sequence, record) {
            self.log.findings.add(flaw.to_string());
        }
        self.replay.push(sequence, record);
        let grown = self.frontier.as_mut().map(|frontier| frontier.push(leaf)).unwrap_or_default();
        for subtree in grown {
            let (first, last) = span(subtree.level, subtree.index);
            match self.stored.remove(&(subtree.level, subtree.index)) {
                Some(hash) if hash == subtree.hash => {}
                Some(_) => self.log.findings.add(format!(
                    "the records {first} to {last} do not make the hash that is stored over them"
                )),
                None => {
                    self.log.findings.add(format!("the hash over the records {first} to {last} is missing"));
                }
            }
        }
    }

    fn missing(&mut self, first: u64, end: u64) {
        self.frontier = None;
        let line = if first + 1 == end {
            format!("record {first} is missing")
        } else {
            format!("the records {first} to {} are missing", end - 1)
        };
        self.log.findings.add(line);
    }

    fn finish(mut self, engine: &Engine, end: &End) -> Log {
        if self.next < end.size {
            self.missing(self.next, end.size);
        }
        if end.is_last
            && let Ok(newest) = engine.snapshot().and_then(|snapshot| snapshot.records_before(u64::MAX, 1))
            && let Some((last, _)) = newest.first().filter(|(last, _)| *last >= end.size)
        {
            let line = format!("the records {} to {last} were added after the signed end", end.size);
            self.log.findings.add(line);
        }
        // A tree with a hole has no root to compare.
        if let Some(frontier) = &self.frontier
            && frontier.root() != end.root
        {
            let line = format!("the {} records do not make the root of the head", end.size);
            self.log.findings.add(line);
        }
        let beyond = |(level, index): &&(u8, u64)| end.is_last && span(*level, *index).1 >= end.size;
        for (level, index) in self.stored.keys().filter(beyond) {
            let (first, last) = span(*level, *index);
            self.log
                .findings
                .add(format!("a hash over the records {first} to {last} is stored, past the end"));
        }
        self.log
    }
}

/// Returns the tree over the records before `first`, from the hashes that are stored over them.
fn tree_before(snapshot: &Snapshot, first: u64) -> Result<Frontier, StorageError> {
    let mut frontier = Frontier::EMPTY;
    while frontier.size() < first {
        let level = (first - frontier.size()).ilog2();
        let start = frontier.size();
        frontier.push_subtree(level, snapshot.tree_hash(&(start..start + (1 << level)))?);
    }
    Ok(frontier)
}

fn span(level: u8, index: u64) -> (u64, u64) {
    let leaves = 1_u64.checked_shl(level.into()).unwrap_or(u64::MAX);
    let first = index.saturating_mul(leaves);
    (first, first.saturating_add(leaves - 1))
}
