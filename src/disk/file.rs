//! The data file: opening, locking and creating it without ever replacing another file.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::backends::FileBackend;

use super::{
    Medium,
    error::FileError,
    held_file::{Displaced, HeldFile},
    lock::{Locking, Mode, SideLock, lock},
    new_name::rename_new,
    path::{canonical, canonical_new, folder_of, leads_to, remove_unfinished_asides, temporary_name},
    preallocated::Preallocated,
};

/// The most attempts at opening a file that is replaced in the meantime.
const OPEN_TRIES: usize = 16;

/// The free space in bytes below which nothing is preallocated.
const ROOM_BYTES: u64 = 64 << 20;

/// A data file that this process has open and locked.
#[derive(Debug)]
pub struct DataFile {
    pub(super) path: PathBuf,
    pub(super) held: Arc<HeldFile>,
    pub(super) medium: Medium,
    pub(super) side: Option<SideLock>,
}

impl DataFile {
    /// Opens an existing data file to serve it, and locks out every other process before its first byte is read.
    ///
    /// # Errors
    /// The file does not exist, is no regular file, has several names, is in use, or may not be read and written.
    pub fn open(data: &Path, locking: Locking) -> Result<Self, FileError> {
        let path = canonical(data)?;
        let side = SideLock::take(&path)?;
        remove_abandoned(&path);
        let file = open_locked(&path, Mode::Exclusive, locking)?;
        remove_unfinished_asides(&path, &file);
        let links = file.metadata().map_err(|source| FileError::Io { path: path.clone(), source })?.nlink();
        if links > 1 {
            return Err(FileError::Linked { path, links });
        }
        Self::over(path, file, Some(side))
    }

    /// Opens an existing data file for reading, and locks out writers.
    ///
    /// # Errors
    /// The file does not exist, is no regular file, is in use by a writer, or may not be read.
    pub fn open_read_only(data: &Path) -> Result<Self, FileError> {
        let path = canonical(data)?;
        let file = open_locked(&path, Mode::Shared, Locking::Waived)?;
        let failed = |source| FileError::Io { path: path.clone(), source };
        let held = Arc::new(HeldFile::new(file, &path).map_err(failed)?);
        Ok(Self { medium: held.clone(), held, path, side: None })
    }

    pub(super) fn over(path: PathBuf, file: File, side: Option<SideLock>) -> Result<Self, FileError> {
        let failed = |source| FileError::Io { path: path.clone(), source };
        let held = Arc::new(HeldFile::new(file, &path).map_err(failed)?);
        let medium = preallocated(&held).map_err(failed)?;
        Ok(Self { path, held, medium, side })
    }

    /// Returns the file's path without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the engine's medium. The lock lasts as long as the medium does.
    pub fn medium(&self) -> Medium {
        self.medium.clone()
    }

    /// Checks that the path still leads to this file, and that no other process wrote to it.
    ///
    /// # Errors
    /// The check fails: writes from now on could be lost.
    pub fn check(&self) -> Result<(), Displaced> {
        self.held.check()
    }

    /// Returns the free space on the file's disk, in bytes.
    ///
    /// # Errors
    /// The system refuses.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(self.held.file())?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Returns the open file's length in bytes, whatever its path leads to.
    ///
    /// # Errors
    /// The system refuses.
    pub fn bytes(&self) -> io::Result<u64> {
        Ok(self.held.file().metadata()?.len())
    }

    /// Reads from the open file, whatever its path leads to. Returns fewer bytes than asked for only at its end.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.held.file().read_at(out, offset)
    }
}

/// A data file under construction: under a temporary name, with mode 0600 and locked, until [`NewFile::publish`].
#[derive(Debug)]
pub struct NewFile {
    pub(super) file: DataFile,
    pub(super) temporary: Temporary,
}

/// The temporary name; removed on drop.
#[derive(Debug)]
pub(super) struct Temporary(pub(super) PathBuf);

impl Temporary {
    /// Keeps what the name led to: it has another name now.
    pub(super) fn forget(mut self) {
        self.0 = PathBuf::new();
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Best effort: the next run removes the file as well.
        if !self.0.as_os_str().is_empty() {
            drop(fs::remove_file(&self.0));
        }
    }
}

impl NewFile {
    /// Begins a new data file.
    ///
    /// # Errors
    /// A file of that name already exists, another process is creating it, or the folder refuses.
    pub fn begin(data: &Path) -> Result<Self, FileError> {
        Self::begin_with(data, Locking::Required)
    }

    /// Begins a new data file as [`NewFile::begin`] does, on a file system that may have no locks.
    pub fn begin_with(data: &Path, locking: Locking) -> Result<Self, FileError> {
        if fs::symlink_metadata(data).is_ok() {
            return Err(FileError::Exists(data.to_owned()));
        }
        let path = canonical_new(data)?;
        let side = SideLock::take(&path)?;
        remove_abandoned(&path);
        let (file, temporary) = create_temporary(&path, data, locking)?;
        let file = DataFile::over(path, file, Some(side))?;
        file.held.set_path(&temporary.0);
        Ok(Self { file, temporary })
    }

    /// Returns the new file's medium.
    pub fn medium(&self) -> Medium {
        self.file.medium()
    }

    /// Returns the free space on the new file's disk, in bytes.
    ///
    /// # Errors
    /// The system refuses.
    pub fn free_bytes(&self) -> io::Result<u64> {
        self.file.free_bytes()
    }

    /// Gives the file to the owner of its folder, if root makes it there for somebody else; returns that owner.
    ///
    /// # Errors
    /// The file system refuses, and the file stays root's.
    pub fn give_to_owner_of_folder(&self) -> Result<Option<u32>, FileError> {
        let failed = |source| FileError::Io { path: self.file.path.clone(), source };
        let folder = fs::metadata(folder_of(&self.file.path)).map_err(failed)?;
        if !rustix::process::geteuid().is_root() || folder.uid() == 0 {
            return Ok(None);
        }
        fchown(self.file.held.file(), Some(folder.uid()), Some(folder.gid())).map_err(failed)?;
        Ok(Some(folder.uid()))
    }

    /// Gives the finished file its name, without ever replacing another; it stays locked.
    ///
    /// # Errors
    /// A file of that name was created in the meantime, or the folder refuses.
    pub fn publish(self) -> Result<DataFile, FileError> {
        let Self { file, temporary } = self;
        let failed = |source| FileError::Io { path: file.path.clone(), source };
        file.medium.sync_data().map_err(failed)?;
        rename_new(&temporary.0, &file.path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => FileError::Exists(file.path.clone()),
            _ => failed(error),
        })?;
        file.held.set_path(&file.path);
        temporary.forget();
        sync_folder(&file.path).map_err(failed)?;
        Ok(file)
    }
}

/// Creates and locks the temporary file of a data file under construction.
pub(super) fn create_temporary(
    path: &Path,
    data: &Path,
    locking: Locking,
) -> Result<(File, Temporary), FileError> {
    let name = temporary_name(path);
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).mode(0o600).open(&name);
    let file = file.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => in_the_making(data),
        _ => FileError::Io { path: data.to_owned(), source: error },
    })?;
    // Only the holder of its lock removes a temporary file: no other process takes this one for an abandoned one.
    let locked = lock(&file, path, Mode::Exclusive, locking);
    if !leads_to(&name, &file) {
        return Err(in_the_making(data));
    }
    let temporary = Temporary(name);
    locked?;
    Ok((file, temporary))
}

pub(super) fn in_the_making(data: &Path) -> FileError {
    FileError::InUse { path: data.to_owned(), holder: "?".to_owned() }
}

/// Opens and locks the file that the path leads to. If the path was replaced before the lock was taken, tries again.
fn open_locked(path: &Path, mode: Mode, locking: Locking) -> Result<File, FileError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => FileError::Missing(path.to_owned()),
        _ => FileError::Io { path: path.to_owned(), source },
    };
    for _ in 0..OPEN_TRIES {
        let file = OpenOptions::new().read(true).write(mode == Mode::Exclusive).open(path).map_err(failed)?;
        lock(&file, path, mode, locking)?;
        if leads_to(path, &file) {
            return Ok(file);
        }
    }
    Err(failed(io::Error::other("it is being replaced all the time")))
}

/// Wraps a file that has no name of its own, such as a private copy.
pub fn unnamed(file: File) -> io::Result<Medium> {
    Ok(Arc::new(FileBackend::new(file).map_err(io::Error::other)?))
}

/// Creates a file without a name, which is gone with this process, and its medium.
///
/// # Errors
/// The folder refuses; without one it is the system's for temporary files.
pub fn scratch(folder: Option<&Path>) -> io::Result<(File, Medium)> {
    let file = folder.map_or_else(tempfile::tempfile, tempfile::tempfile_in)?;
    let medium = unnamed(file.try_clone()?)?;
    Ok((file, medium))
}

/// Removes what a killed process left beside a data file that it had begun; a running process's own stays.
pub fn sweep(data: &Path) {
    if let Ok(path) = canonical_new(data)
        && let Ok(side) = SideLock::take(&path)
    {
        remove_abandoned(&path);
        drop(side);
    }
}

/// Removes the temporary file of a killed process, which never got its name or is a second name of the data file. A locked one belongs to a running process and stays.
fn remove_abandoned(path: &Path) {
    let name = temporary_name(path);
    let is_file = fs::symlink_metadata(&name).is_ok_and(|metadata| metadata.is_file());
    if is_file
        && let Ok(file) = File::open(&name)
        && lock(&file, path, Mode::Exclusive, Locking::Waived).is_ok()
        && leads_to(&name, &file)
    {
        // Best effort: if the file cannot be removed, creating the new file fails on it.
        drop(fs::remove_file(&name));
    }
}

/// Syncs the folder: without it, a power cut can lose the name of a file whose content is safe.
pub(super) fn sync_folder(data: &Path) -> io::Result<()> {
    File::open(folder_of(data))?.sync_all()
}

fn preallocated(held: &Arc<HeldFile>) -> io::Result<Medium> {
    let disk = held.file().try_clone()?;
    let has_room = move || {
        let stat = rustix::fs::fstatvfs(&disk);
        stat.is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) >= ROOM_BYTES)
    };
    let medium: Medium = held.clone();
    Ok(Arc::new(Preallocated::new(medium, Preallocated::PIECE_BYTES, has_room)?))
}
