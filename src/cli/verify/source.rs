//! What a log is read from: a vault file or an export, in batches.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use super::{damaged, failed, flawed};
use crate::{
    audit::{record::RECORD_BYTES_MAX, tree::Hash, verify::Flaw},
    cli::error::CliError,
    storage::Store,
};

/// Records that are hashed at a time, on a thread of their own.
const BATCH: usize = 4096;

/// Records on their way through the check.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) data: Vec<u8>,
    /// Where each record ends.
    pub(super) ends: Vec<usize>,
    /// The hash beside each, in a vault file.
    pub(super) checks: Vec<[u8; 8]>,
}

/// What a log of whatever kind gives.
pub(super) trait Source: Send {
    /// The next records; none at the end.
    fn next(&mut self) -> Result<Option<Batch>, CliError>;
    /// The stored hash of that subtree of 256 records, where there is one.
    fn stored(&self, index: u64) -> Result<Option<Hash>, CliError>;
}

pub(super) fn records(batch: &Batch) -> impl Iterator<Item = &[u8]> {
    let starts = std::iter::once(0).chain(batch.ends.iter().copied());
    starts.zip(&batch.ends).map(|(start, end)| &batch.data[start..*end])
}

/// A vault file's log.
pub(super) struct Log {
    pub(super) store: Store,
    pub(super) next: u64,
}

impl Source for Log {
    fn next(&mut self) -> Result<Option<Batch>, CliError> {
        let rows = self.store.audit_rows(self.next, BATCH).map_err(damaged)?;
        let mut batch = Batch::default();
        for (sequence, record, check) in rows {
            if sequence != self.next && self.next > 0 {
                return Err(flawed(&Flaw::Order { expected: self.next, found: sequence }));
            }
            batch.data.extend_from_slice(&record);
            batch.ends.push(batch.data.len());
            batch.checks.push(check);
            self.next = sequence + 1;
        }
        Ok(Some(batch).filter(|batch| !batch.ends.is_empty()))
    }

    fn stored(&self, index: u64) -> Result<Option<Hash>, CliError> {
        self.store.subtree(8, index).map_err(damaged)
    }
}

/// An export's lines.
pub(super) struct Export {
    path: PathBuf,
    reader: BufReader<File>,
    line: u64,
}

impl Export {
    pub(super) fn open(path: &Path) -> Result<Self, CliError> {
        let file = File::open(path).map_err(|error| failed(path, &error.to_string(), "check the path"))?;
        Ok(Self { path: path.to_owned(), reader: BufReader::with_capacity(1 << 20, file), line: 0 })
    }
}

impl Source for Export {
    fn next(&mut self) -> Result<Option<Batch>, CliError> {
        let mut batch = Batch::default();
        while batch.ends.len() < BATCH {
            let start = batch.data.len();
            // A line of 1 GB is not read: no record is that long.
            let mut line = (&mut self.reader).take(RECORD_BYTES_MAX as u64 + 1);
            let read = line.read_until(b'\n', &mut batch.data);
            read.map_err(|error| failed(&self.path, &error.to_string(), "check the disk"))?;
            if batch.data.len() == start {
                break;
            }
            self.line += 1;
            if batch.data.pop() != Some(b'\n') {
                let message = format!("line {} is no whole record: it is cut, or too long", self.line);
                return Err(failed(&self.path, &message, "export again; the last line ends with a line end"));
            }
            batch.ends.push(batch.data.len());
        }
        Ok(Some(batch).filter(|batch| !batch.ends.is_empty()))
    }

    fn stored(&self, _: u64) -> Result<Option<Hash>, CliError> {
        Ok(None)
    }
}
