//! The backups in a folder: their names, which files are backups at all, and the removal of older ones.

use std::{
    fs,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use crate::{
    disk::{self, Calls, DataFile, Watched},
    domain::Timestamp,
    vault::Closed,
};

/// The length of a time in a file's name: `20261124T100000Z`.
const TIME_CHARS: usize = 16;

/// The page cache in bytes for a look at a backup.
const LOOK_CACHE_BYTES: usize = 4 << 20;
/// The first bytes of a vault file, which the engine writes, and the size of its pages.
const MAGIC: &[u8; 4] = b"redb";
const PAGE_BYTES: u64 = 4096;

/// Returns whether a file is a whole vault file of that name. Anybody can give a file the name of a backup.
pub(super) fn opens(path: &Path, stem: &str, calls: &Arc<Calls>) -> bool {
    let opened = || -> Result<String, String> {
        let file = calls.during(|| DataFile::open_read_only(path)).map_err(|error| error.to_string())?;
        let medium = Watched::over(file.medium(), calls);
        let closed = Closed::open(medium, LOOK_CACHE_BYTES).map_err(|error| error.to_string())?;
        closed.name().map_err(|error| error.to_string())
    };
    let why = match opened() {
        Ok(name) if file_stem(&name) == stem => return true,
        Ok(_) => "it is of another vault".to_owned(),
        Err(why) => why,
    };
    tracing::warn!(file = %path.display(), why, "not a backup of this vault: make it whole, or remove it");
    false
}

/// Returns the beginning of the names of the backups of the vault with that log.
pub(super) fn file_stem(name: &str) -> String {
    name.replace('/', "-")
}

/// Removes all but the newest backups of this vault, and what a killed run left. A new one is verified by now: a file
/// that cannot be removed is a warning, and the others go.
pub(super) fn prune(folder: &Path, stem: &str, keep: usize, now: Timestamp) {
    let warned = |error: io::Error, name: &str| {
        let hint =
            "let this process remove files there, or remove it yourself; new backups are made all the same";
        tracing::warn!(folder = %folder.display(), name, %error, hint, "an older backup cannot be removed");
    };
    let names = backups(folder, stem, now).unwrap_or_else(|error| {
        warned(error, "*");
        Vec::new()
    });
    for name in names.iter().rev().skip(keep) {
        fs::remove_file(folder.join(name)).unwrap_or_else(|error| warned(error, name));
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let unfinished = name.strip_prefix('.').and_then(|name| name.strip_suffix(disk::UNFINISHED));
        let left = unfinished.or_else(|| name.strip_suffix(".lock"));
        if let Some(of) = left.filter(|of| is_backup(of, stem)) {
            disk::sweep(&folder.join(of));
        }
    }
}

/// Returns the names of this vault's backups, oldest first. A time ahead of the clock, and a file that is no vault file
/// or was cut short within a page, are nobody's backup: they must neither postpone the next one nor push a real one out.
pub(super) fn backups(folder: &Path, stem: &str, now: Timestamp) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !is_backup(&name, stem) || !entry.file_type()?.is_file() {
            continue;
        }
        if time_of(&name).is_none_or(|time| time > now) || !has_pages(&entry.path()) {
            tracing::warn!(file = name, "ignored: it is no vault file, or its time is ahead of the clock");
            continue;
        }
        names.push(name);
    }
    names.sort();
    Ok(names)
}

/// Returns whether a file begins as a vault file does and consists of whole pages; one that cannot be read may be one.
fn has_pages(path: &Path) -> bool {
    let looked = || -> io::Result<bool> {
        let mut file = fs::File::open(path)?;
        let bytes = file.metadata()?.len();
        let mut magic = [0; MAGIC.len()];
        if bytes == 0 || !bytes.is_multiple_of(PAGE_BYTES) {
            return Ok(false);
        }
        file.read_exact(&mut magic).map(|()| magic == *MAGIC)
    };
    looked().unwrap_or(true)
}

fn is_backup(name: &str, stem: &str) -> bool {
    name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('-')) && time_of(name).is_some()
}

/// Returns a time as a file's name has it: without the colons, which some file systems forbid.
pub(super) fn compact(time: Timestamp) -> String {
    let text: String = time.to_string().chars().filter(char::is_ascii_alphanumeric).collect();
    // Without the milliseconds.
    format!("{}Z", text.get(..TIME_CHARS - 1).unwrap_or(&text))
}

/// Returns the time in a backup's name.
pub(super) fn time_of(name: &str) -> Option<Timestamp> {
    let stem = name.strip_suffix(".redb")?;
    let time = stem.get(stem.len().checked_sub(TIME_CHARS)?..)?;
    let part = |from: usize, to: usize| time.get(from..to);
    let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
    if date.len() != 8 || clock.len() != 6 {
        return None;
    }
    let text = format!(
        "{}-{}-{}T{}:{}:{}.000Z",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(9, 11)?,
        part(11, 13)?,
        part(13, 15)?
    );
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backups_name_says_its_time_and_no_other_file_is_taken_for_one() {
        let time: Timestamp = "2026-11-24T10:20:30.000Z".parse().unwrap();
        let name = format!("sealroom-x-{}.redb", compact(time));
        assert_eq!(name, "sealroom-x-20261124T102030Z.redb");
        assert!(is_backup(&name, "sealroom-x") && time_of(&name) == Some(time));
        for other in [
            "sealroom-y-20261124T102030Z.redb",
            "sealroom-xx-20261124T102030Z.redb",
            "sealroom-x-mine.redb",
            "sealroom-x.redb",
            "sealroom-x-20261124T102030Z.redb.old",
            "20261124T102030Z.redb",
        ] {
            assert!(!is_backup(other, "sealroom-x"), "{other}");
        }
    }

    fn pages() -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.resize(4096, 0);
        bytes
    }

    #[test]
    fn pruning_removes_no_file_that_is_not_an_older_backup_of_this_vault() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let (kept, gone) = (
            ["sealroom-x-20261126T000000Z.redb", "sealroom-x-20261125T000000Z.redb"],
            "sealroom-x-20261124T000000Z.redb",
        );
        let others = ["sealroom-y-20260101T000000Z.redb", "notes.txt", "sealroom-x-mine.redb", "team.redb"];
        let left =
            [".sealroom-x-20261123T000000Z.redb.sealroom-new", "sealroom-x-20261123T000000Z.redb.lock"];
        for name in kept.iter().chain([&gone]).chain(&others).chain(&left) {
            let content = if name.contains(".redb.lock") { b"4000000\n".to_vec() } else { pages() };
            fs::write(folder.join(name), content).unwrap();
        }
        // None of them pushes a real one out, or is the newest.
        let (ahead, empty) = ("sealroom-x-20300101T000000Z.redb", "sealroom-x-20261127T000000Z.redb");
        fs::write(folder.join(ahead), pages()).unwrap();
        fs::write(folder.join(empty), "").unwrap();
        let no_vaults = ["sealroom-x-20261127T000001Z.redb", "sealroom-x-20261127T000002Z.redb"];
        fs::write(folder.join(no_vaults[0]), "xx").unwrap();
        fs::write(folder.join(no_vaults[1]), &pages()[..4095]).unwrap();
        let now: Timestamp = "2026-11-28T00:00:00.000Z".parse().unwrap();
        prune(folder, "sealroom-x", 2, now);
        assert_eq!(backups(folder, "sealroom-x", now).unwrap().last().unwrap(), kept[0]);
        for name in kept.iter().chain(&others).chain(&[ahead, empty]).chain(&no_vaults) {
            assert!(folder.join(name).exists(), "{name}");
        }
        for name in left.iter().chain([&gone]) {
            assert!(!folder.join(name).exists(), "{name}");
        }
    }
}
