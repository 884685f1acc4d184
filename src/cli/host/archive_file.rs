//! Archives as inputs of other commands: the old records of a log, from the files that `audit archive` wrote.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use crate::{
    audit::{
        archive::{HEADER_BYTES_MAX, Header, START},
        record::RECORD_BYTES_MAX,
        tree::{Frontier, leaf_hash},
        verify::Verifier,
    },
    cli::error::CliError,
    storage::StorageError,
};

/// Sees the records of a source, each with its sequence.
pub(in crate::cli) type Visit<'a> = dyn FnMut(u64, &[u8]) -> Result<(), CliError> + 'a;

/// An archive with its header.
pub(in crate::cli) struct ArchiveFile {
    pub(in crate::cli) path: PathBuf,
    pub(in crate::cli) header: Header,
}

impl ArchiveFile {
    /// Returns whether a file begins as an archive does.
    pub(super) fn is_one(path: &Path) -> io::Result<bool> {
        let mut start = Vec::new();
        File::open(path)?.take(START.len() as u64).read_to_end(&mut start)?;
        Ok(start == START)
    }

    /// Reads the header of an archive.
    ///
    /// # Errors
    /// The file cannot be read, or is no archive.
    pub(super) fn open(path: &Path) -> Result<Self, CliError> {
        Self::begin(path).map(|(archive, _)| archive)
    }

    fn begin(path: &Path) -> Result<(Self, BufReader<File>), CliError> {
        let file = File::open(path).map_err(|error| unread(path, &error))?;
        let (mut reader, mut line) = (BufReader::with_capacity(1 << 20, file), Vec::new());
        let read = (&mut reader).take(HEADER_BYTES_MAX).read_until(b'\n', &mut line);
        read.map_err(|error| unread(path, &error))?;
        let header = Header::read(&line).map_err(|_| {
            let hint = "pass a file that `audit archive` or the server's [archive] folder wrote";
            CliError::failed(format!("{} is no archive", path.display()), hint)
        })?;
        Ok((Self { path: path.to_owned(), header }, reader))
    }

    /// Passes every record to `visit`, in order.
    ///
    /// # Errors
    /// The file cannot be read, a record is missing or has not the form of one, or `visit` fails.
    pub(in crate::cli) fn records(&self, visit: &mut Visit<'_>) -> Result<(), CliError> {
        let (Self { header, .. }, mut reader) = Self::begin(&self.path)?;
        let damaged = |sequence| {
            let told = format!("{}: record {sequence} is missing or damaged", self.path.display());
            CliError::failed(told, "take the archive again from where it is kept: `audit verify` examines it")
        };
        let mut line = Vec::new();
        for sequence in header.first..header.end {
            line.clear();
            let read = (&mut reader).take(RECORD_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line);
            read.map_err(|error| unread(&self.path, &error))?;
            let record = line.strip_suffix(b"\n").ok_or_else(|| damaged(sequence))?;
            Verifier::check_form(sequence, record).map_err(|_| damaged(sequence))?;
            visit(sequence, record)?;
        }
        Ok(())
    }
}

/// Opens archives, in the order of their records.
///
/// # Errors
/// One cannot be read, or is no archive.
pub(in crate::cli) fn open_all(paths: &[PathBuf]) -> Result<Vec<ArchiveFile>, CliError> {
    let mut archives = paths.iter().map(|path| ArchiveFile::open(path)).collect::<Result<Vec<_>, _>>()?;
    archives.sort_by_key(|archive| archive.header.first);
    Ok(archives)
}

/// Checks that the archives are those of the log `origin`, and hold all its records before `first`; `tree` returns the
/// tree of the log's first records, a multiple of 256.
///
/// # Errors
/// An archive is of another log, was changed, or one is missing.
pub(super) fn check(
    archives: &[ArchiveFile],
    origin: &str,
    first: u64,
    tree: impl Fn(u64) -> Result<Frontier, StorageError>,
) -> Result<(), CliError> {
    let mut found = Frontier::EMPTY;
    for archive in archives {
        let (path, header) = (archive.path.display(), &archive.header);
        if header.origin != origin {
            let told = format!("{path} is an archive of {}, and the file is {origin}", header.origin);
            return Err(CliError::failed(told, "pass the archives of this vault"));
        }
        if header.end > first {
            let told =
                format!("{path} ends with record {}, and the file begins with {first}", header.end - 1);
            return Err(CliError::failed(told, "pass only the archives of what the file no longer holds"));
        }
        if header.first > found.size() {
            return Err(missing(found.size(), header.first));
        }
        archive.records(&mut |sequence, record| {
            if sequence == found.size() {
                drop(found.push(leaf_hash(record)));
            }
            Ok(())
        })?;
        let expected =
            tree(header.end).map_err(|error| CliError::failed(error.to_string(), "restore a backup"))?;
        if found.size() == header.end && found.root() != expected.root() {
            let told = format!("{path}: its records are not those of this vault's log");
            return Err(CliError::failed(
                told,
                "take the archive again: it was changed, or is of another history",
            ));
        }
    }
    if found.size() < first { Err(missing(found.size(), first)) } else { Ok(()) }
}

fn missing(first: u64, end: u64) -> CliError {
    CliError::failed(
        format!("the records {first} to {} are in none of the archives", end - 1),
        "pass --archive for each archive of this vault",
    )
}

fn unread(path: &Path, error: &io::Error) -> CliError {
    CliError::failed(format!("{}: {error}", path.display()), "check the path and its mode")
}
