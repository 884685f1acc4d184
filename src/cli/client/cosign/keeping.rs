//! The file of the cosigned checkpoint: replaced in one step, and never with an older one.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::super::log_proof::Signed;
use crate::{
    audit::{
        checkpoint::{self, Checkpoint, NOTE_BYTES_MAX},
        cosignature::WitnessKey,
    },
    cli::error::CliError,
    disk::take_turn,
    domain::Timestamp,
};

/// A file for the cosigned checkpoint, and the one that it holds now.
pub(super) struct Place {
    pub(super) path: PathBuf,
    kept: Option<String>,
}

/// The checkpoint that lies at the place once another one was to go there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// The one that was put.
    Own,
    /// One of more records, which another process put there meanwhile.
    Newer(u64),
}

impl Place {
    /// Finds the file, in a folder by the name of the log, and checks that nothing is lost with the checkpoint in it.
    ///
    /// # Errors
    /// It holds something else, or a checkpoint of more records than the server has.
    pub(super) fn find(to: PathBuf, signed: &Signed) -> Result<Self, CliError> {
        let origin = &signed.checkpoint.origin;
        let path = if to.is_dir() {
            to.join(format!("{}.cosigned.checkpoint", origin.replace('/', "-")))
        } else {
            to
        };
        let kept = held(&path, &signed.checkpoint)?;
        let own = signed.checkpoint.size;
        if let Some((there, _)) = kept.as_ref().filter(|(there, _)| there.size > own) {
            return Err(CliError::failed(
                format!("{} knows {} records, and the server has {own}", path.display(), there.size),
                "an older copy of the vault is served, or the log lost its end: keep the file, and ask the operator",
            ));
        }
        Ok(Self { path, kept: kept.map(|(_, note)| note) })
    }

    /// Returns the size of the kept checkpoint if this witness cosigned it.
    pub(super) fn size_by(&self, key: &WitnessKey, now: Timestamp) -> Option<u64> {
        let note = self.kept.as_ref()?;
        key.cosigned(note, now).ok()??;
        checkpoint::read_unsigned(note).ok().map(|kept| kept.size)
    }

    /// Replaces the file, unless another process put a newer checkpoint of the log there meanwhile.
    ///
    /// # Errors
    /// The folder or its disk refuses, or the file is none that may be replaced; it is then the one before.
    pub(super) fn put(&self, note: &str) -> Result<Kept, CliError> {
        let failed = |error: io::Error| {
            CliError::failed(
                format!("{}: {error}", self.path.display()),
                "check that folder, its mode and its space; run it again",
            )
        };
        let own = checkpoint::read_unsigned(note).map_err(|error| {
            CliError::failed(format!("the cosigned checkpoint: {error}"), "report this bug")
        })?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        // Another command, or the server, writes before the look or after the rename.
        let _turn = take_turn(folder).map_err(failed)?;
        match held(&self.path, &own)? {
            Some((there, _)) if there.size > own.size => Ok(Kept::Newer(there.size)),
            Some(_) | None => replace(folder, &self.path, note).map(|()| Kept::Own).map_err(failed),
        }
    }
}

fn replace(folder: &Path, path: &Path, note: &str) -> io::Result<()> {
    // A reader of the folder never sees a part, and a verifier passes over this name.
    let mut file = tempfile::Builder::new().prefix(".checkpoint-").tempfile_in(folder)?;
    // For auditors under another user: a checkpoint is public.
    #[cfg(unix)]
    file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    file.write_all(note.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    #[cfg(unix)]
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// Returns the checkpoint of the log that lies there, with its note; none if there is no file.
///
/// # Errors
/// It is something else, or another history than `own`.
fn held(path: &Path, own: &Checkpoint) -> Result<Option<(Checkpoint, String)>, CliError> {
    let shown = path.display();
    let unread =
        |error| CliError::failed(format!("{shown}: {error}"), "check the path, its mode and its folder");
    let Some(note) = read(path).map_err(unread)? else { return Ok(None) };
    let there = checkpoint::read_unsigned(&note).ok().filter(|there| there.origin == own.origin);
    let there = there.ok_or_else(|| {
        let hint = "choose another file, or move that one away";
        CliError::failed(format!("{shown} is no checkpoint of this log and is not overwritten"), hint)
    })?;
    if there.size == own.size && there.root != own.root {
        return Err(CliError::failed(
            format!("{shown} has other records than the server, as many: it is not overwritten"),
            "the log has two histories: keep the file, and ask the operator",
        ));
    }
    Ok(Some((there, note)))
}

/// Reads a file of a checkpoint's size; none if there is none.
fn read(path: &Path) -> io::Result<Option<String>> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut text = String::new();
    fs::File::open(path)?.take(NOTE_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::{super::super::log_proof::Trust, *};
    use crate::{audit::checkpoint::VerifierKey, crypto::sign::LogKey};

    const ORIGIN: &str = "example.com/log";

    fn signed(key: &LogKey, size: u64, root: u8) -> Signed {
        let note = checkpoint::note(ORIGIN, size, &[root; 32], &[], &[key]);
        let checkpoint = checkpoint::read_unsigned(&note).unwrap();
        Signed { note, checkpoint, key: VerifierKey::new(ORIGIN, key.public()), trust: Trust::Given }
    }

    fn size(path: &Path) -> u64 {
        checkpoint::read_unsigned(&fs::read_to_string(path).unwrap()).unwrap().size
    }

    /// Witnesses take seconds to answer: what another command put there meanwhile was replaced by something older.
    #[test]
    fn no_checkpoint_ever_takes_the_place_of_a_newer_one() {
        let (folder, key) = (tempfile::tempdir().unwrap(), LogKey::generate().unwrap());
        let path = folder.path().join("kept.checkpoint");
        let one = |size, root| signed(&key, size, root);
        let place = Place::find(path.clone(), &one(10, 1)).unwrap();
        // Nothing was there, then a newer one, an older one, one of as many records, and what is no checkpoint.
        fs::write(&path, one(11, 2).note).unwrap();
        assert_eq!(place.put(&one(10, 1).note).unwrap(), Kept::Newer(11));
        assert_eq!(size(&path), 11);
        fs::write(&path, one(9, 3).note).unwrap();
        assert_eq!(place.put(&one(10, 1).note).unwrap(), Kept::Own);
        assert_eq!(place.put(&one(10, 1).note).unwrap(), Kept::Own, "cosigned anew");
        for foreign in [one(10, 4).note, "x".to_owned(), checkpoint::note("a/b", 3, &[0; 32], &[], &[&key])] {
            fs::write(&path, &foreign).unwrap();
            assert!(place.put(&one(10, 1).note).is_err());
            assert!(Place::find(path.clone(), &one(10, 1)).is_err());
            assert_eq!(fs::read_to_string(&path).unwrap(), foreign);
        }
        fs::remove_file(&path).unwrap();
        // Many at a time, in any order.
        thread::scope(|scope| {
            for number in 0..24 {
                let (path, note) = (path.clone(), one(1 + number * 7 % 24, 5).note);
                scope.spawn(move || Place { path, kept: None }.put(&note).unwrap());
            }
        });
        assert_eq!(size(&path), 24);
        let names = fs::read_dir(folder.path()).unwrap();
        assert_eq!(names.count(), 1, "nothing is left beside it");
    }
}
