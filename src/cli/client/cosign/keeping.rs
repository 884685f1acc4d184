//! The file of the cosigned checkpoint: replaced in one step, and never with an older one.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::super::log_proof::Signed;
use crate::{
    audit::{
        checkpoint::{self, NOTE_BYTES_MAX},
        cosignature::WitnessKey,
    },
    cli::error::CliError,
    domain::Timestamp,
};

/// A file for the cosigned checkpoint, and the one that it holds now.
pub(super) struct Place {
    pub(super) path: PathBuf,
    kept: Option<String>,
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
        let shown = path.display();
        let kept = read(&path).map_err(|error| {
            CliError::failed(format!("{shown}: {error}"), "check the path, its mode and its folder")
        })?;
        if let Some(note) = &kept {
            let there = checkpoint::read_unsigned(note).ok().filter(|there| there.origin == *origin);
            let there = there.ok_or_else(|| {
                let hint = "choose another file, or move that one away";
                CliError::failed(format!("{shown} is no checkpoint of this log and is not overwritten"), hint)
            })?;
            let own = signed.checkpoint.size;
            if there.size > own {
                return Err(CliError::failed(
                    format!("{shown} knows {} records, and the server has {own}", there.size),
                    "an older copy of the vault is served, or the log lost its end: keep the file, and ask the operator",
                ));
            }
        }
        Ok(Self { path, kept })
    }

    /// Returns the size of the kept checkpoint if this witness cosigned it.
    pub(super) fn size_by(&self, key: &WitnessKey, now: Timestamp) -> Option<u64> {
        let note = self.kept.as_ref()?;
        key.cosigned(note, now).ok()??;
        checkpoint::read_unsigned(note).ok().map(|kept| kept.size)
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// The folder or its disk refuses; the file is then the one before.
    pub(super) fn put(&self, note: &str) -> Result<(), CliError> {
        self.replace(note).map_err(|error| {
            CliError::failed(
                format!("{}: {error}", self.path.display()),
                "check that folder, its mode and its space; run it again",
            )
        })
    }

    fn replace(&self, note: &str) -> io::Result<()> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        // A reader of the folder never sees a part, and a verifier passes over this name.
        let mut file = tempfile::Builder::new().prefix(".checkpoint-").tempfile_in(folder)?;
        // For auditors under another user: a checkpoint is public.
        #[cfg(unix)]
        file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        file.write_all(note.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        #[cfg(unix)]
        fs::File::open(folder)?.sync_all()?;
        Ok(())
    }
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
