//! Sources of a log: a vault file or an export, in batches.

use std::{
    io::{BufRead, Read},
    path::Path,
};

use super::{failure::damaged, input::Input};
use crate::{
    audit::{
        record::{self, RECORD_BYTES_MAX},
        transport::{self, Damage},
    },
    cli::{
        error::CliError,
        host::control::{ENDED_EARLY, ended_early},
    },
    storage::{Store, SubtreeHash},
};

/// Records hashed at a time: enough to occupy a thread, few enough to stay in its cache.
pub(super) const BATCH: usize = 1024;

/// Records in flight through the check.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) data: Vec<u8>,
    /// The end offset of each record.
    pub(super) ends: Vec<usize>,
    /// The stored hash of each record, in a vault file.
    pub(super) checks: Vec<[u8; 8]>,
}

impl Batch {
    /// Empties the batch for reuse.
    pub(super) fn clear(&mut self) {
        self.data.clear();
        self.ends.clear();
        self.checks.clear();
    }
}

/// A source of log records.
pub(super) trait Source: Send {
    /// Fills an empty batch with the next records, up to [`BATCH`] of them; none at the end.
    fn next(&mut self, batch: &mut Batch) -> Result<(), CliError>;
    /// Returns the subtree hashes that it has stored.
    fn stored(&self) -> Result<Vec<SubtreeHash>, CliError>;
    /// Returns the number of records before the first one, for which stored hashes stand.
    fn archived(&self) -> u64 {
        0
    }
}

pub(super) fn records(batch: &Batch) -> impl Iterator<Item = &[u8]> {
    let starts = std::iter::once(0).chain(batch.ends.iter().copied());
    starts.zip(&batch.ends).map(|(start, end)| &batch.data[start..*end])
}

/// A vault file's log.
pub(super) struct Log {
    pub(super) file: Store,
    /// The first record that it holds.
    pub(super) first: u64,
    pub(super) next: u64,
}

impl Source for Log {
    fn next(&mut self, batch: &mut Batch) -> Result<(), CliError> {
        // A missing or misnumbered record shows in its own text, which the caller verifies.
        let taken = self.file.audit_rows(self.next, BATCH, |sequence, record, check| {
            batch.data.extend_from_slice(record);
            batch.ends.push(batch.data.len());
            batch.checks.push(check.try_into().unwrap_or_default());
            self.next = sequence + 1;
        });
        taken.map_err(damaged)
    }

    fn stored(&self) -> Result<Vec<SubtreeHash>, CliError> {
        self.file.subtree_hashes().map_err(damaged)
    }

    fn archived(&self) -> u64 {
        self.first
    }
}

/// An export's lines.
pub(super) struct Export {
    name: String,
    reader: Box<dyn BufRead + Send>,
    line: u64,
    is_served: bool,
}

impl Export {
    /// Reads a file or a stream, in one pass.
    pub(super) fn of(input: Input) -> Self {
        Self {
            name: input.name().to_owned(),
            reader: Box::new(input.into_reader()),
            line: 0,
            is_served: false,
        }
    }

    /// Reads the records of an archive, after its header.
    pub(super) fn after_header(name: &str, reader: impl BufRead + Send + 'static) -> Self {
        Self { name: name.to_owned(), reader: Box::new(reader), line: 1, is_served: false }
    }

    /// Returns the log as the server that has the file open sends it.
    pub(super) fn served(path: &Path, records: impl BufRead + Send + 'static) -> Self {
        Self { name: path.display().to_string(), reader: Box::new(records), line: 0, is_served: true }
    }

    /// Reports a line that does not parse as a record.
    fn unread(&self, line: &[u8], damage: Option<Damage>) -> CliError {
        let (name, number) = (&self.name, self.line);
        match damage {
            Some(damage) => CliError::failed(format!("{name}: line {number}: {damage}"), damage.remedy()),
            None if line.len() > RECORD_BYTES_MAX => {
                let message = format!("{name}: line {number} is not a complete record: it is too long");
                CliError::failed(
                    message,
                    "an export has one JSON record per line: check that the right file is named",
                )
            }
            None => {
                let message = format!("{name}: line {number} is not a complete record: it is truncated");
                CliError::failed(message, "export again: the export was interrupted, or its disk was full")
            }
        }
    }
}

impl Source for Export {
    fn next(&mut self, batch: &mut Batch) -> Result<(), CliError> {
        while batch.ends.len() < BATCH {
            let start = batch.data.len();
            // Do not read an overlong line, say of 1 GB, to its end: no record is that long.
            let mut line = (&mut self.reader).take(RECORD_BYTES_MAX as u64 + 2);
            let read = line.read_until(b'\n', &mut batch.data);
            read.map_err(|error| {
                let message = format!("{}: after line {}: {error}", self.name, self.line);
                CliError::failed(message, "check the disk, or what writes into the stream")
            })?;
            if batch.data.len() == start {
                break;
            }
            self.line += 1;
            let is_whole = batch.data.ends_with(b"\n");
            let line = batch.data[start..].strip_suffix(b"\n").unwrap_or(&batch.data[start..]);
            if self.is_served && line.starts_with(ENDED_EARLY) {
                return Err(ended_early(line));
            }
            let is_unended = || !is_whole && record::decode(line).is_ok();
            let damage = transport::of_line(line).or_else(|| is_unended().then_some(Damage::NoLineEnd));
            if damage.is_some() || !is_whole {
                return Err(self.unread(line, damage));
            }
            batch.data.pop();
            batch.ends.push(batch.data.len());
        }
        Ok(())
    }

    fn stored(&self) -> Result<Vec<SubtreeHash>, CliError> {
        Ok(Vec::new())
    }
}
