//! The records of a range, with the tree that proves that none of them is missing.
//!
//! A server says which records a range has. Its tree proves that those which came are the log's, from the first to the
//! last; that the range begins and ends there, their neighbours prove, which have to be of other times.

use super::tally::Tally;
use crate::{
    audit::tree::{Frontier, leaf_hash},
    cli::{
        client::{
            log_proof::{disproved, tree_before},
            remote::Remote,
            time_range::TimeRange,
        },
        error::CliError,
    },
    client::{self, Event, EventFilter, ExportFilter, Records},
};

/// The longest line that is read for a record, in bytes: a record has 1 KiB at most.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// The most gaps of a range that are filled; more of them are a clock that jumped.
const FILLS_MAX: u32 = 64;
/// The number of records on each side of a range that must be of other times: requests that overlap are recorded in
/// another order than they came.
const NEIGHBOURS: u64 = 256;

/// The records of a range.
pub(super) struct Read {
    pub(super) tally: Tally,
    /// The tree that ends with them and their neighbours.
    pub(super) tree: Result<Frontier, Unproven>,
}

/// The reason why nothing proves that the records are the whole range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unproven {
    /// Too many records of other times lie in between.
    Gaps,
    /// The records before it are archived.
    Archived,
}

/// Reads a range of the log, of which a checkpoint signed that many records before.
///
/// # Errors
/// A record of the range did not come, or one came that is not of the range.
pub(super) async fn read(range: &TimeRange, size: u64, remote: &Remote) -> Result<Read, CliError> {
    let parameters =
        range.parameters().into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let mut lines = Lines::begin(parameters, remote).await?;
    let mut reading =
        Reading { range, size, remote, tally: Tally::default(), tree: Ok(Frontier::EMPTY), fills: 0 };
    while let Some(record) = lines.next().await? {
        reading.take(&record).await?;
    }
    reading.finish().await
}

struct Reading<'a> {
    range: &'a TimeRange,
    size: u64,
    remote: &'a Remote,
    tally: Tally,
    tree: Result<Frontier, Unproven>,
    fills: u32,
}

impl Reading<'_> {
    /// Takes in one record.
    async fn take(&mut self, record: &[u8]) -> Result<(), CliError> {
        let event = parse(record)?;
        if !self.range.spans(event.time) {
            return Err(disproved(&format!("record {} is not of the range", event.sequence)));
        }
        if self.tally.records == 0 {
            self.tree = self.tree_up_to(event.sequence).await?.map(|(tree, _)| tree);
        }
        self.tree = match std::mem::replace(&mut self.tree, Err(Unproven::Gaps)) {
            Ok(mut tree) => {
                if tree.size() < event.sequence && self.fills < FILLS_MAX {
                    self.fills += 1;
                    self.pass(&mut tree, event.sequence).await?;
                }
                if tree.size() > event.sequence {
                    return Err(disproved(&format!("record {} came twice, or too late", event.sequence)));
                }
                if tree.size() == event.sequence {
                    tree.push(leaf_hash(record));
                    Ok(tree)
                } else {
                    Err(Unproven::Gaps)
                }
            }
            unproven => unproven,
        };
        self.tally.push(event);
        Ok(())
    }

    async fn finish(mut self) -> Result<Read, CliError> {
        if self.tally.records == 0 {
            self.tree = self.tree_of_nothing().await?;
        }
        if let Ok(tree) = self.tree.as_ref() {
            let mut tree = tree.clone();
            let end = self.size.min(tree.size().saturating_add(NEIGHBOURS));
            self.pass(&mut tree, end).await?;
            self.tree = Ok(tree);
        }
        Ok(Read { tally: self.tally, tree: self.tree })
    }

    /// Returns the tree before a record, once those in front of it are known to be of other times, and the side of the
    /// range that the last of them is on.
    async fn tree_up_to(&self, end: u64) -> Result<Result<(Frontier, Option<Side>), Unproven>, CliError> {
        for neighbours in [NEIGHBOURS, 1] {
            let start = end.saturating_sub(neighbours);
            let passed = async {
                let mut tree = tree_before(start, self.remote).await?;
                let side = self.pass(&mut tree, end).await?;
                Ok((tree, side))
            };
            match passed.await {
                Err(error) if is_archived(&error) => {}
                passed => return passed.map(Ok),
            }
        }
        Ok(Err(Unproven::Archived))
    }

    /// Returns the tree at the place in the log where the records of the range would be: the one before it is earlier,
    /// and the one after it is later.
    async fn tree_of_nothing(&self) -> Result<Result<Frontier, Unproven>, CliError> {
        let place = self.place().await?;
        let (mut tree, before) = match self.tree_up_to(place).await? {
            Ok(tree) => tree,
            Err(unproven) => return Ok(Err(unproven)),
        };
        let after = if place < self.size {
            match self.pass(&mut tree, place + 1).await {
                Err(error) if is_archived(&error) => return Ok(Err(Unproven::Archived)),
                side => side?,
            }
        } else {
            None
        };
        if before == Some(Side::After) || after == Some(Side::Before) {
            return Err(disproved("the answers say that the range has no record, and its neighbours do not"));
        }
        Ok(Ok(tree))
    }

    /// Returns the sequence after the last record that is before the end of the range.
    async fn place(&self) -> Result<u64, CliError> {
        let mut cursor = None;
        loop {
            let [_, to] = self.range.parameters();
            let parameters = [to, ("limit", Some("1".to_owned())), ("cursor", cursor)];
            let parameters =
                parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            let (events, next) = self.remote.client.events(&EventFilter { parameters }).await?;
            if let Some(event) = events.first() {
                return Ok(parse(event.get().as_bytes())?.sequence.saturating_add(1));
            }
            if next.is_none() {
                return Ok(0);
            }
            cursor = next;
        }
    }

    /// Hashes the records before `end` that the tree does not have, none of which may be of the range. Returns the side
    /// of the range that the last of them is on.
    async fn pass(&self, tree: &mut Frontier, end: u64) -> Result<Option<Side>, CliError> {
        let mut side = None;
        if tree.size() >= end {
            return Ok(side);
        }
        let parameters = vec![("fromSequence", tree.size().to_string())];
        let mut lines = Lines::begin(parameters, self.remote).await?;
        while tree.size() < end {
            let record = lines.next().await?.ok_or_else(|| missing(tree.size()))?;
            let event = parse(&record)?;
            if event.sequence != tree.size() || self.range.spans(event.time) {
                return Err(missing(tree.size()));
            }
            side = Some(if self.range.is_before(event.time) { Side::Before } else { Side::After });
            tree.push(leaf_hash(&record));
        }
        Ok(side)
    }
}

/// The side of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

/// An export, line by line.
struct Lines {
    records: Records,
    held: Vec<u8>,
    at: usize,
}

impl Lines {
    async fn begin(parameters: Vec<(&'static str, String)>, remote: &Remote) -> Result<Self, client::Error> {
        let records = remote.client.export(&ExportFilter { parameters, follow: false }).await?;
        Ok(Self { records, held: Vec::new(), at: 0 })
    }

    /// Returns the next record; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, CliError> {
        loop {
            if let Some(length) = self.held[self.at..].iter().position(|byte| *byte == b'\n') {
                let line = self.held[self.at..self.at + length].to_vec();
                self.at += length + 1;
                return Ok(Some(line));
            }
            self.held.drain(..self.at);
            self.at = 0;
            if self.held.len() > LINE_BYTES_MAX {
                return Err(unknown());
            }
            match self.records.next().await? {
                Some(piece) => self.held.extend_from_slice(&piece),
                None if self.held.is_empty() => return Ok(None),
                None => return Err(disproved("the export ends within a record")),
            }
        }
    }
}

fn parse(record: &[u8]) -> Result<Event, CliError> {
    serde_json::from_slice(record).map_err(|_| unknown())
}

fn is_archived(error: &CliError) -> bool {
    error.code.as_deref() == Some("archived")
}

fn missing(sequence: u64) -> CliError {
    disproved(&format!("record {sequence} did not come with those of the range"))
}

fn unknown() -> CliError {
    CliError::failed("this version of sealroom does not know the kind of a record", "use a newer one")
}
