//! The files that `--since` names: exports and archives of the lost vault's log.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use super::later::{Later, Signed, WHOLE};
use crate::{
    audit::{
        checkpoint::BadNote,
        key_ring::KeyRing,
        record::{self, RECORD_BYTES_MAX},
        tree::leaf_hash,
    },
    cli::{error::CliError, host::archive_file::ArchiveFile},
};

/// The first bytes of a vault file, which the engine writes.
const VAULT: &[u8] = b"redb";

/// A file that holds records of the lost vault's log.
pub(super) enum Since {
    /// A file of records, and the sequence of its first one.
    Export(PathBuf, u64),
    /// An archive, and the number of records that its checkpoint signs.
    Archive(ArchiveFile),
}

impl Since {
    /// Opens a file.
    ///
    /// # Errors
    /// It cannot be read, or is neither an archive nor an export.
    pub(super) fn open(path: &Path) -> Result<Self, CliError> {
        let unread = |error: io::Error| failed(path, &error.to_string(), "check the path and its mode");
        // It is read twice, and a pipe that nobody writes to would hang.
        if !fs::metadata(path).map_err(unread)?.is_file() {
            return Err(failed(path, "it is no regular file", "save it to a file, and name that"));
        }
        if ArchiveFile::is_one(path).map_err(unread)? {
            return ArchiveFile::open(path).map(Self::Archive);
        }
        let mut first = None;
        each_line(path, &mut |record| {
            first = Some(sequence(path, record)?);
            Ok(false)
        })?;
        let first = first.ok_or_else(|| failed(path, "it is empty", WHOLE))?;
        Ok(Self::Export(path.to_owned(), first))
    }

    /// Returns the sequence of the first record.
    pub(super) const fn first(&self) -> u64 {
        match self {
            Self::Export(_, first) => *first,
            Self::Archive(archive) => archive.header.first,
        }
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Export(path, _) => path,
            Self::Archive(archive) => &archive.path,
        }
    }

    /// Returns the checkpoint of an archive, if a key of the log signed it.
    ///
    /// # Errors
    /// The archive is of another vault.
    pub(super) fn signed(&self, keys: &[&KeyRing]) -> Result<Option<(u64, Signed)>, CliError> {
        let Self::Archive(archive) = self else { return Ok(None) };
        let opened = keys.iter().map(|keys| keys.open(&archive.header.checkpoint));
        let signed = opened.reduce(Result::or).unwrap_or(Err(BadNote::Unknown)).map_err(|error| {
            failed(&archive.path, &format!("its checkpoint: {error}"), "pass the archives of this vault")
        })?;
        let by = archive.path.display().to_string();
        Ok(Some((signed.size, Signed { root: signed.root, by, is_binding: true })))
    }

    /// Passes every record on.
    ///
    /// # Errors
    /// The file is damaged or does not fit its own checkpoint, or a record does not fit the log.
    pub(super) fn read(&self, later: &mut Later<'_>, size: u64) -> Result<(), CliError> {
        let name = format!("--since {}", self.path().display());
        let Self::Archive(archive) = self else {
            let mut end = 0;
            each_line(self.path(), &mut |record| {
                let sequence = sequence(self.path(), record)?;
                end = sequence + 1;
                later.accept(&name, sequence, record).map(|()| true)
            })?;
            let hint = "the backup is newer: omit --since";
            return if end < size {
                Err(failed(self.path(), "it ends before the backup does", hint))
            } else {
                Ok(())
            };
        };
        let mut tree = archive.header.frontier.clone();
        archive.records(&mut |sequence, record| {
            drop(tree.push(leaf_hash(record)));
            later.accept(&name, sequence, record)
        })?;
        for (level, hash) in &archive.header.rest {
            tree.push_subtree(*level, *hash);
        }
        let signed = crate::audit::checkpoint::read_unsigned(&archive.header.checkpoint);
        if signed.is_ok_and(|signed| signed.size == tree.size() && signed.root == tree.root()) {
            return Ok(());
        }
        Err(failed(
            &archive.path,
            "its records are not those that its checkpoint signs",
            "take the archive again",
        ))
    }
}

fn sequence(path: &Path, record: &[u8]) -> Result<u64, CliError> {
    let read = record::decode(record).map(|record| record.sequence);
    read.map_err(|_| {
        if record.starts_with(VAULT) {
            let hint =
                "restore over that file, with --data and --force: its log is compared, and it stays beside";
            return failed(path, "it is a vault file, not an export of records", hint);
        }
        failed(path, "it is no export of records", WHOLE)
    })
}

/// Passes each line on, until it returns `false`.
fn each_line(path: &Path, visit: &mut dyn FnMut(&[u8]) -> Result<bool, CliError>) -> Result<(), CliError> {
    let unread = |error: io::Error| failed(path, &error.to_string(), "check the path and its mode");
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path).map_err(unread)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader).take(RECORD_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line);
        if read.map_err(unread)? == 0 {
            return Ok(());
        }
        if !visit(line.strip_suffix(b"\n").unwrap_or(&line))? {
            return Ok(());
        }
    }
}

fn failed(path: &Path, told: &str, hint: &str) -> CliError {
    CliError::failed(format!("--since {}: {told}", path.display()), hint)
}
