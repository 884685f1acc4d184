//! A file that takes the place of a data file in one step; both are locked meanwhile.
//!
//! ```text
//! write the temporary file, sync → [link FILE as its name aside] → rename the temporary file to FILE, sync the folder
//! ```
//!
//! At each moment FILE is the old file or the new one. A kill between the last two steps leaves the old file with two
//! names; the next open removes the second one. On a file system without links the old file is renamed instead: a kill
//! between the last two steps leaves it under its name aside, and no FILE.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
    path::PathBuf,
};

use super::{
    Medium,
    error::FileError,
    file::{DataFile, NewFile, create_temporary, sync_folder},
    lock::Locking,
    new_name::{is_unsupported, rename_new},
    path::{REPLACED, beside},
};

/// The size of the pieces in which a file is copied.
const PIECE_BYTES: usize = 1 << 20;

/// A data file that is to take the place of another one, which stays open and locked until then.
#[derive(Debug)]
pub struct Replacement(NewFile);

impl Replacement {
    /// Begins the replacement of an open data file, beside it, with its mode and owner.
    ///
    /// # Errors
    /// The folder refuses.
    pub fn begin(old: &DataFile, locking: Locking) -> Result<Self, FileError> {
        let failed = |source| FileError::Io { path: old.path.clone(), source };
        let (file, temporary) = create_temporary(&old.path, &old.path, locking)?;
        let (like, own) = (old.held.file().metadata(), file.metadata());
        let (like, own) = (like.map_err(failed)?, own.map_err(failed)?);
        if (like.uid(), like.gid()) != (own.uid(), own.gid()) {
            fchown(&file, Some(like.uid()), Some(like.gid())).map_err(failed)?;
        }
        file.set_permissions(fs::Permissions::from_mode(like.mode() & 0o777)).map_err(failed)?;
        let file = DataFile::over(old.path.clone(), file, None)?;
        file.held.set_path(&temporary.0);
        Ok(Self(NewFile { file, temporary }))
    }

    /// Returns the new file's medium.
    pub fn medium(&self) -> Medium {
        self.0.medium()
    }

    /// Puts the finished file in the old one's place in one step. Both are locked, so that whoever opens the path finds
    /// it in use, whichever of them it leads to. The new file stays locked.
    ///
    /// # Errors
    /// The path no longer leads to the old file, or the folder refuses. The old file is then in its place still, unless
    /// only the folder's sync failed.
    pub fn publish(self, old: DataFile) -> Result<DataFile, FileError> {
        let NewFile { mut file, temporary } = self.0;
        let failed = |source| FileError::Io { path: old.path.clone(), source };
        file.medium.sync_data().map_err(failed)?;
        old.check().map_err(|displaced| failed(io::Error::other(displaced)))?;
        fs::rename(&temporary.0, &old.path).map_err(failed)?;
        temporary.forget();
        file.held.set_path(&old.path);
        sync_folder(&old.path).map_err(failed)?;
        file.side = old.side;
        Ok(file)
    }

    /// Puts the finished file in its place, and leaves the old one beside it; returns the old one's new name.
    ///
    /// # Errors
    /// The old file is no longer in its place, its new name is taken, or the folder refuses; the old file is then in
    /// its place.
    pub fn publish_aside(self, old: &DataFile, moment: &str) -> Result<PathBuf, FileError> {
        let NewFile { file, temporary } = self.0;
        let path = old.path();
        let failed = |source| FileError::Io { path: path.to_owned(), source };
        file.medium.sync_data().map_err(failed)?;
        old.check().map_err(|displaced| failed(io::Error::other(displaced)))?;
        let aside = beside(path, &format!("{REPLACED}{moment}"));
        let linked = fs::hard_link(path, &aside);
        let has_links = !linked.as_ref().is_err_and(is_unsupported);
        let named = if has_links { linked } else { rename_new(path, &aside) };
        named.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => FileError::Exists(aside.clone()),
            _ => failed(error),
        })?;
        if let Err(error) = fs::rename(&temporary.0, path) {
            drop(if has_links { fs::remove_file(&aside) } else { rename_new(&aside, path) });
            return Err(failed(error));
        }
        temporary.forget();
        file.held.set_path(path);
        sync_folder(path).map_err(failed)?;
        Ok(aside)
    }
}

impl DataFile {
    /// Copies this file's bytes to an empty medium, a piece at a time, and syncs them; `advance` hears of each piece.
    ///
    /// # Errors
    /// The disk refuses, or the file became shorter meanwhile.
    pub fn copy_into(&self, to: &Medium, advance: impl FnMut(u64)) -> io::Result<()> {
        copy(&self.medium, to, advance)
    }
}

/// Copies a medium's bytes to an empty one, a piece at a time, and syncs them; `advance` hears of each piece.
///
/// # Errors
/// A disk refuses, or the source became shorter meanwhile.
pub fn copy(from: &Medium, to: &Medium, mut advance: impl FnMut(u64)) -> io::Result<()> {
    let length = from.len()?;
    to.set_len(length)?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    while at < length {
        let step = (length - at).min(PIECE_BYTES as u64);
        let piece = &mut piece[..usize::try_from(step).expect("at most a piece")];
        from.read(at, piece)?;
        to.write(at, piece)?;
        at += step;
        advance(step);
    }
    to.sync_data()
}
