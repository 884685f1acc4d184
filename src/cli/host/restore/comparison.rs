//! A backup beside the log of the vault that it replaces: how far it is behind, and what was taken away since.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use crate::{
    audit::{
        checkpoint,
        key_ring::KeyRing,
        record::{self, RECORD_BYTES_MAX},
        taken_away::TakenAway,
    },
    cli::error::CliError,
    disk::DataFile,
    storage::{StorageError, Store},
};

/// redb's page cache.
const CACHE_BYTES: usize = 1 << 20;
/// The number of records read at a time.
const CHUNK: usize = 1024;

/// The outcome of a comparison.
pub(super) struct Comparison {
    /// The number of records that the backup lacks, if anything shows them.
    pub(super) behind: Option<u64>,
    /// The losses that these records state.
    pub(super) later: Option<TakenAway>,
    /// The name of what shows them.
    pub(super) source: Option<String>,
    /// The reason why the replaced file shows nothing.
    pub(super) unreadable: Option<String>,
}

/// Compares a backup with the file that it replaces, or with an export of the lost vault's log.
pub(super) fn compare(
    name: &Path,
    backup: &DataFile,
    replaced: Option<&DataFile>,
    since: Option<&Path>,
) -> Result<Comparison, CliError> {
    let backup = Store::open(backup.medium(), CACHE_BYTES).map_err(|error| CliError::open(name, &error))?;
    let mut unreadable = None;
    let mut later = TakenAway::default();
    let mut sources = Vec::new();
    if let Some(replaced) = replaced {
        match Store::open(replaced.medium(), CACHE_BYTES) {
            Ok(file) if file.file() != backup.file() => {
                return Err(CliError::failed(
                    format!(
                        "{} is a backup of another vault than {}",
                        name.display(),
                        replaced.path().display()
                    ),
                    "move that file away yourself, or name another one with --data",
                ));
            }
            Ok(file) => match of_file(&backup, &file) {
                Ok(found) => {
                    later = found;
                    sources.push(replaced.path().display().to_string());
                }
                Err(error) => unreadable = Some(format!("{}: {error}", replaced.path().display())),
            },
            Err(error) => unreadable = Some(format!("{}: {error}", replaced.path().display())),
        }
    }
    if let Some(since) = since {
        let found = of_export(&backup, since)?;
        // The longer of the two shows more of the same history.
        if found.records() > later.records() || sources.is_empty() {
            later = found;
            sources = vec![since.display().to_string()];
        }
    }
    let source = sources.pop();
    let is_shown = source.is_some();
    Ok(Comparison {
        behind: is_shown.then(|| later.records()),
        later: is_shown.then_some(later),
        source,
        unreadable,
    })
}

/// Reads what a vault file's log has after the last record that both share.
fn of_file(backup: &Store, file: &Store) -> Result<TakenAway, StorageError> {
    let (theirs, ours) = (size(backup)?, size(file)?);
    check_checkpoint(backup, file, ours)?;
    let mut next = shared(backup, file, theirs.min(ours))?;
    let mut later = TakenAway::default();
    while next < ours {
        let records = file.records(next, CHUNK)?;
        let (Some((found, _)), Some((last, _))) = (records.first(), records.last()) else {
            return Err(tampered("audit", next.to_string()));
        };
        if *found != next {
            later.archived = Some((next, found - 1));
        }
        for (sequence, record) in &records {
            later.add(record).map_err(|_| tampered("audit", sequence.to_string()))?;
        }
        next = last + 1;
    }
    Ok(later)
}

/// Checks that a key of the backup's log, or a successor of one, signed the replaced file's log.
fn check_checkpoint(backup: &Store, file: &Store, size: u64) -> Result<(), StorageError> {
    let bad = || tampered("meta", "checkpoint");
    let handovers = [backup.handovers()?, file.handovers()?].concat();
    let (first, _) = backup.verifier_keys()?.into_iter().next().ok_or_else(bad)?;
    let ring = KeyRing::following(first, &handovers);
    let signed = ring.open(&file.checkpoint()?).map_err(|_| bad())?;
    if signed.size == size && signed.root == file.root(size)? { Ok(()) } else { Err(bad()) }
}

fn size(file: &Store) -> Result<u64, StorageError> {
    let note = checkpoint::read_unsigned(&file.checkpoint()?);
    note.map(|note| note.size).map_err(|_| tampered("meta", "checkpoint"))
}

/// Returns the number of first records that both logs share.
fn shared(one: &Store, other: &Store, most: u64) -> Result<u64, StorageError> {
    let same = |size| Ok::<_, StorageError>(one.root(size)? == other.root(size)?);
    match same(most) {
        Ok(false) => {}
        // Within archived records no root can be made: that one key signed both logs has to do.
        Ok(true) | Err(StorageError::Archived { .. }) => return Ok(most),
        Err(error) => return Err(error),
    }
    // A root over more records differs once one of them does.
    let (mut least, mut most) = (0, most);
    while most - least > 1 {
        let middle = least + (most - least) / 2;
        if same(middle)? { least = middle } else { most = middle }
    }
    Ok(least)
}

/// Reads what an export has after the backup's last record. Its records are those of this vault if they continue the
/// backup's own.
fn of_export(backup: &Store, path: &Path) -> Result<TakenAway, CliError> {
    let failed =
        |told: String, hint: &str| CliError::failed(format!("--since {}: {told}", path.display()), hint);
    let hint = "export the whole log, without filters, with `sealroom audit export`";
    let size = size(backup).map_err(|error| failed(error.to_string(), hint))?;
    let file = File::open(path).map_err(|error| failed(error.to_string(), "check the path and its mode"))?;
    let mut reader = BufReader::new(file);
    let (mut later, mut next) = (TakenAway::default(), None);
    loop {
        let mut line = Vec::new();
        let read = (&mut reader).take(RECORD_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line);
        if read.map_err(|error| failed(error.to_string(), "check the disk"))? == 0 {
            break;
        }
        let bytes = line.strip_suffix(b"\n").unwrap_or(&line);
        let record =
            record::decode(bytes).map_err(|_| failed("it is no export of records".to_owned(), hint))?;
        let sequence = record.sequence;
        if next.unwrap_or(sequence) != sequence || (next.is_none() && sequence > size) {
            return Err(failed(format!("record {} is missing", next.unwrap_or(size)), hint));
        }
        next = Some(sequence + 1);
        if sequence < size {
            let own = backup.records(sequence, 1).map_err(|error| failed(error.to_string(), hint))?;
            if own.first().is_some_and(|(at, own)| *at == sequence && own != bytes) {
                let told =
                    format!("its record {sequence} is not the backup's: it is of another vault or history");
                return Err(failed(told, "pass an export of the vault that the backup is of"));
            }
        } else {
            later.add(bytes).map_err(|_| failed("it is no export of records".to_owned(), hint))?;
        }
    }
    match next {
        Some(end) if end >= size => Ok(later),
        Some(_) => {
            Err(failed("it ends before the backup does".to_owned(), "the backup is newer: omit --since"))
        }
        None => Err(failed("it is empty".to_owned(), hint)),
    }
}

fn tampered(table: &'static str, key: impl Into<String>) -> StorageError {
    StorageError::Tampered { table, key: key.into() }
}
