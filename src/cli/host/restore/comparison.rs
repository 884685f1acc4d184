//! A backup beside the log of the vault that it replaces: how far it is behind, and what was taken away since.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    later::{Later, Signed},
    sources::Since,
};
use crate::{
    audit::{
        checkpoint::{self, Checkpoint},
        key_ring::{self, KeyRing},
        taken_away::TakenAway,
    },
    cli::{
        error::CliError,
        host::{checkpoints, verify},
        terminal::output::Output,
    },
    disk::DataFile,
    storage::{StorageError, Store},
};

/// redb's page cache.
const CACHE_BYTES: usize = 1 << 20;
/// The number of records read at a time.
const CHUNK: usize = 1024;

/// The backup, and the sources to compare it with beside the file that it replaces.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    /// The backup's path.
    pub(super) name: &'a Path,
    pub(super) backup: &'a DataFile,
    /// Exports and archives.
    pub(super) since: &'a [PathBuf],
    pub(super) checkpoint_folder: Option<&'a Path>,
}

/// The outcome of a comparison.
#[derive(Default)]
pub(super) struct Comparison {
    /// The number of records that the backup lacks, if anything shows them.
    pub(super) behind: Option<u64>,
    /// The losses that these records state.
    pub(super) later: Option<TakenAway>,
    /// The names of what shows them.
    pub(super) source: Option<String>,
    /// The reason why the replaced file shows nothing.
    pub(super) unreadable: Option<String>,
    /// Warnings about what may live again though something shows the records.
    pub(super) warnings: Vec<String>,
}

/// Compares a backup with the file that it replaces, and with exports and archives of the lost vault's log.
pub(super) fn compare(
    given: &Given<'_>,
    replaced: Option<&DataFile>,
    output: &Output,
) -> Result<Comparison, CliError> {
    let Given { name, backup, .. } = *given;
    let broken =
        |error: StorageError| CliError::failed(format!("{}: {error}", name.display()), "use another backup");
    let backup = Store::open(backup.medium(), CACHE_BYTES).map_err(|error| CliError::open(name, &error))?;
    let mut comparison = Comparison::default();
    let file = replaced.and_then(|file| readable(&backup, file, output, &mut comparison));
    if let (Some((file, _)), Some(replaced)) = (&file, replaced)
        && file.file() != backup.file()
    {
        let path = replaced.path().display();
        return Err(CliError::failed(
            format!("{} is a backup of another vault than {path}", name.display()),
            "move that file away yourself, or name another one with --data",
        ));
    }
    let mut since = given.since.iter().map(|path| Since::open(path)).collect::<Result<Vec<_>, _>>()?;
    since.sort_by_key(Since::first);
    let size = size(&backup).map_err(broken)?;
    let kept = kept(given.checkpoint_folder, &backup, file.as_ref().map(|(file, _)| file)).map_err(broken)?;
    // A handover after the backup may be of a restore: then the folder speaks of another history than an export.
    let is_handed_over = |kept: &Checkpoint| kept.size > size && key_ring::successor(kept).is_some();
    let is_binding = file.is_none() && !kept.checkpoints.iter().any(|(_, kept)| is_handed_over(kept));
    let mut signed = BTreeMap::new();
    for (path, checkpoint) in &kept.checkpoints {
        let one = Signed { root: checkpoint.root, by: path.clone(), is_binding };
        signed.insert(checkpoint.size, one);
    }
    for one in &since {
        signed.extend(one.signed(&[&kept.keys, &kept.of_backup])?);
    }
    let mut later = Later::after(&backup, size, signed).map_err(broken)?;
    let mut sources = Vec::new();
    let needs_proof = file.is_none();
    let mut file = file.zip(replaced).map(|((file, common), replaced)| (file, common, replaced.path()));
    for one in &since {
        // The file's records come before those that begin after them.
        if let Some((log, common, path)) = file.take_if(|(log, _, _)| first(log) < one.first()) {
            of_file(&mut later, &log, common, size, path)
                .unwrap_or_else(|told| comparison.lacks(path, &told));
            sources.push(path.display().to_string());
        }
        one.read(&mut later, size)?;
        sources.push(one.path().display().to_string());
    }
    if let Some((log, common, path)) = file {
        of_file(&mut later, &log, common, size, path).unwrap_or_else(|told| comparison.lacks(path, &told));
        sources.push(path.display().to_string());
    }
    if sources.is_empty() {
        return Ok(comparison);
    }
    if later.next < size {
        let shown = sources.join(" and ");
        return Err(CliError::failed(
            format!(
                "--since {shown}: ends with record {}, before the backup does",
                later.next.saturating_sub(1)
            ),
            "the backup is newer: omit --since, or pass an export or archive that reaches further",
        ));
    }
    comparison.source = Some(sources.join(" and "));
    comparison.conclude(later, needs_proof, &kept.checkpoints);
    Ok(comparison)
}

impl Comparison {
    fn lacks(&mut self, path: &Path, told: &str) {
        self.warnings
            .push(format!("{}: {told}; what its log shows from there on lives again", path.display()));
    }

    /// Takes the records over, and says how far they are proven.
    fn conclude(&mut self, later: Later<'_>, needs_proof: bool, kept: &[(String, Checkpoint)]) {
        let Later { next, taken, proven, contradicted, .. } = later;
        let source = self.source.clone().unwrap_or_default();
        self.warnings.extend(contradicted.into_iter().map(|told| format!("{source}: {told}")));
        if let Some((path, newest)) =
            kept.iter().max_by_key(|(_, kept)| kept.size).filter(|(_, kept)| kept.size > next)
        {
            self.warnings.push(format!(
                "{path} signs {} records, and {source} ends with record {}: what was revoked or removed between lives \
                 again; pass --since with an export that reaches further",
                newest.size,
                next - 1
            ));
        }
        if needs_proof && proven.as_ref().is_none_or(|(size, _)| *size < next) {
            let from =
                proven.map_or_else(String::new, |(size, by)| format!(" after the {size} that {by} signs"));
            let remedy = match kept {
                [] => "pass --checkpoint-folder with the folder of the vault's checkpoints",
                _ => {
                    "those in the folder are of other sizes; an export that reaches beyond the newest is proven up to it"
                }
            };
            self.warnings.push(format!("no checkpoint proves the records{from} of {source}: {remedy}"));
        }
        self.behind = Some(taken.records());
        self.later = Some(taken);
    }
}

/// Opens the replaced file and recomputes its log from the records; `None` says why in `comparison`.
fn readable(
    backup: &Store,
    replaced: &DataFile,
    output: &Output,
    comparison: &mut Comparison,
) -> Option<(Store, u64)> {
    let path = replaced.path();
    let opened = Store::open(replaced.medium(), CACHE_BYTES).map_err(|error| error.to_string());
    let proven = opened.and_then(|file| {
        if file.file() != backup.file() {
            return Ok((file, 0));
        }
        // A root that is made of stored hashes would hide a record that was changed below one.
        verify::whole(path, replaced, output).map_err(|error| error.message)?;
        let common = proven(backup, &file).map_err(|error| error.to_string())?;
        Ok((file, common))
    });
    proven.map_err(|error| comparison.unreadable = Some(format!("{}: {error}", path.display()))).ok()
}

/// Checks that a key of the backup's log, or a successor of one, signed the replaced file's log; returns the number of
/// first records that both share.
fn proven(backup: &Store, file: &Store) -> Result<u64, StorageError> {
    let bad = || tampered("meta", "checkpoint");
    let handovers = [backup.handovers()?, file.handovers()?].concat();
    let (first, _) = backup.verifier_keys()?.into_iter().next().ok_or_else(bad)?;
    let signed = KeyRing::following(first, &handovers).open(&file.checkpoint()?).map_err(|_| bad())?;
    let (theirs, ours) = (size(backup)?, size(file)?);
    if signed.size != ours || signed.root != file.root(ours)? {
        return Err(bad());
    }
    shared(backup, file, theirs.min(ours))
}

/// The checkpoints of the folder that keys of this log signed, with their names, and those keys.
struct Kept {
    keys: KeyRing,
    /// The keys of the backup alone: another restore may have ended them since.
    of_backup: KeyRing,
    checkpoints: Vec<(String, Checkpoint)>,
}

fn kept(folder: Option<&Path>, backup: &Store, file: Option<&Store>) -> Result<Kept, StorageError> {
    let origin = checkpoint::origin(backup.file());
    let notes = folder.map(|folder| checkpoints::notes(folder, &origin)).unwrap_or_default();
    let first = backup.verifier_keys()?.into_iter().next().ok_or_else(|| tampered("meta", "log_keys"))?.0;
    let mut handovers = backup.handovers()?;
    let of_backup = KeyRing::following(first.clone(), &handovers);
    handovers.extend(file.and_then(|file| file.handovers().ok()).unwrap_or_default());
    handovers.extend(notes.iter().map(|(_, note)| note.clone()));
    let keys = KeyRing::following(first, &handovers);
    let opened =
        notes.iter().filter_map(|(path, note)| Some((path.display().to_string(), keys.open(note).ok()?)));
    Ok(Kept { checkpoints: opened.collect(), keys, of_backup })
}

/// Reads what the replaced file's log has after the last record that both share.
fn of_file(later: &mut Later<'_>, file: &Store, common: u64, theirs: u64, path: &Path) -> Result<(), String> {
    let text = |error: StorageError| error.to_string();
    let ours = size(file).map_err(text)?;
    // If the two went apart before the backup's end, the file's own records are all later than what both share.
    let is_apart = common < theirs.min(ours);
    let mut next = if is_apart { common } else { theirs.max(first(file)) };
    if !is_apart && next > later.next {
        later.skip_to(next);
    }
    let name = path.display().to_string();
    while next < ours {
        let records = file.records(next, CHUNK).map_err(text)?;
        let (Some((found, _)), Some((last, _))) = (records.first(), records.last()) else {
            return Err(format!("record {next} is missing"));
        };
        if *found != next {
            later.taken.archived = Some((next, found - 1));
        }
        for (sequence, record) in &records {
            if is_apart {
                later.taken.add(record).map_err(|_| format!("record {sequence} is damaged"))?;
            } else {
                later.accept(&name, *sequence, record).map_err(|error| error.message)?;
            }
        }
        next = last + 1;
    }
    Ok(())
}

fn first(file: &Store) -> u64 {
    file.first_sequence().unwrap_or(0)
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

fn tampered(table: &'static str, key: impl Into<String>) -> StorageError {
    StorageError::Tampered { table, key: key.into() }
}
