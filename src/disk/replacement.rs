//! A file that takes the place of a data file, which keeps its content under another name.
//!
//! ```text
//! write .FILE.sealroom-new, sync → link FILE as the other name → rename .FILE.sealroom-new to FILE, sync the folder
//! ```
//!
//! At each moment FILE is the old file or the new one, both locked by this process. A kill between the last two steps
//! leaves the old file with two names; the next open removes the second one.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use super::{
    Medium,
    error::FileError,
    file::{DataFile, Temporary, in_the_making, sync_folder},
    lock::{Locking, Mode, lock},
    path::{REPLACED, beside, leads_to, temporary_name},
};

/// The size of the pieces in which a file is copied.
const PIECE_BYTES: usize = 1 << 20;

/// A file under construction that will take the place of an open one.
#[derive(Debug)]
pub struct Replacement<'a> {
    old: &'a DataFile,
    file: DataFile,
    temporary: Temporary,
}

impl DataFile {
    /// Begins a file that takes this one's place.
    ///
    /// # Errors
    /// The folder refuses.
    pub fn begin_replacement(&self, locking: Locking) -> Result<Replacement<'_>, FileError> {
        let name = temporary_name(self.path());
        let failed = |source| FileError::Io { path: name.clone(), source };
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(&name).map_err(failed)?;
        let locked = lock(&file, self.path(), Mode::Exclusive, locking);
        if !leads_to(&name, &file) {
            return Err(in_the_making(self.path()));
        }
        let temporary = Temporary(name);
        locked?;
        let file = Self::over(self.path().to_owned(), file, None)?;
        file.held.set_path(&temporary.0);
        Ok(Replacement { old: self, file, temporary })
    }
}

impl DataFile {
    /// Copies this file's bytes to an empty medium, a piece at a time, and syncs them; `advance` hears of each piece.
    ///
    /// # Errors
    /// The disk refuses, or the file became shorter meanwhile.
    pub fn copy_into(&self, to: &Medium, mut advance: impl FnMut(u64)) -> io::Result<()> {
        let length = self.bytes()?;
        to.set_len(length)?;
        let mut piece = vec![0; PIECE_BYTES];
        let mut at = 0;
        while at < length {
            let read = self.read_at(at, &mut piece)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            to.write(at, &piece[..read])?;
            at += read as u64;
            advance(read as u64);
        }
        to.sync_data()
    }
}

impl Replacement<'_> {
    /// Returns the new file's medium.
    pub fn medium(&self) -> Medium {
        self.file.medium()
    }

    /// Puts the finished file in place, and leaves the old one beside it; returns the old one's new name.
    ///
    /// # Errors
    /// The old file is no longer in its place, its new name is taken, or the folder refuses; the old file is then in
    /// its place.
    pub fn put_in_place(self, moment: &str) -> Result<PathBuf, FileError> {
        let path = self.old.path();
        let failed = |source| FileError::Io { path: path.to_owned(), source };
        self.file.medium().sync_data().map_err(failed)?;
        self.old.check().map_err(|displaced| failed(io::Error::other(displaced)))?;
        let aside = beside(path, &format!("{REPLACED}{moment}"));
        fs::hard_link(path, &aside).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => FileError::Exists(aside.clone()),
            _ => failed(error),
        })?;
        if let Err(error) = fs::rename(&self.temporary.0, path) {
            drop(fs::remove_file(&aside));
            return Err(failed(error));
        }
        self.file.held.set_path(path);
        sync_folder(path).map_err(failed)?;
        Ok(aside)
    }
}
