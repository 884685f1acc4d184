//! The file on the disk: who holds it, how it comes into being, and how it is never replaced by accident.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    ops::Range,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::backends::FileBackend;

use super::{backend::Medium, ground::Ground};

/// With less free space than this no block is taken before it is needed.
const ROOM_BYTES: u64 = 64 << 20;
/// The most holes of a file that are worth knowing of.
const HOLES_MAX: usize = 10_000;

/// Why a file cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Another process holds it.
    #[error("{path} is in use by process {holder}", path = .path.display())]
    InUse {
        /// The data file.
        path: PathBuf,
        /// What the lock file says of the process; `?` where it says nothing.
        holder: String,
    },
    /// There is no such file.
    #[error("{path} does not exist", path = .0.display())]
    Missing(PathBuf),
    /// There is one already.
    #[error("{path} exists already", path = .0.display())]
    Exists(PathBuf),
    /// The operating system refuses.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// `FILE.lock`, held for the whole life of whoever has `FILE` open. It is never replaced or removed: the lock is on
/// its inode, and two processes must never lock two.
#[derive(Debug)]
pub struct FileLock {
    _lock: File,
}

impl FileLock {
    /// Takes the lock of a file that is only looked at, if it ever had one: nothing is made or written.
    ///
    /// # Errors
    /// Another process has it.
    pub fn probe(data: &Path) -> Result<Option<Self>, FileError> {
        let Ok(file) = File::open(beside(data, ".lock")) else { return Ok(None) };
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _lock: file })),
            Err(_) => Err(in_use(data, file)),
        }
    }

    /// Takes the lock and writes this process's id into it.
    ///
    /// # Errors
    /// Another process has it, or the folder refuses.
    pub fn take(data: &Path) -> Result<Self, FileError> {
        let path = beside(data, ".lock");
        let failed = |source| FileError::Io { path: path.clone(), source };
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(in_use(data, file));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(failed)?;
        // What a killed `init` left under the other name is worth nothing: it was never linked into place.
        match fs::remove_file(beside(data, ".new")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(Self { _lock: file }),
        }
    }
}

fn in_use(data: &Path, lock: File) -> FileError {
    let mut holder = String::new();
    let read = lock.take(20).read_to_string(&mut holder);
    let digits = holder.trim().to_owned();
    let known = read.is_ok() && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    FileError::InUse { path: data.to_owned(), holder: if known { digits } else { "?".to_owned() } }
}

/// Opens an existing data file.
///
/// # Errors
/// It does not exist, is no regular file, or may not be read and written.
pub fn open(data: &Path) -> Result<Medium, FileError> {
    let failed = |source| FileError::Io { path: data.to_owned(), source };
    let file = OpenOptions::new().read(true).write(true).open(data).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => FileError::Missing(data.to_owned()),
        _ => failed(error),
    })?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    medium(file).map_err(failed)
}

/// Opens an existing data file to be looked at.
///
/// # Errors
/// It does not exist, is no regular file, or may not be read.
pub fn read_only(data: &Path) -> Result<Medium, FileError> {
    let failed = |source| FileError::Io { path: data.to_owned(), source };
    let file = File::open(data).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => FileError::Missing(data.to_owned()),
        _ => failed(error),
    })?;
    Ok(Arc::new(FileBackend::new(file).map_err(io::Error::other).map_err(failed)?))
}

/// A file that has no name of its own, such as a private copy.
///
/// # Errors
/// The operating system refuses.
pub fn unnamed(file: File) -> io::Result<Medium> {
    Ok(Arc::new(FileBackend::new(file).map_err(io::Error::other)?))
}

/// A data file in the making: under another name, mode 0600, until [`NewFile::publish`].
#[derive(Debug)]
pub struct NewFile {
    data: PathBuf,
    temporary: PathBuf,
    medium: Medium,
    published: bool,
}

impl NewFile {
    /// Begins a new data file; the lock must be held.
    ///
    /// # Errors
    /// There is a file of that name already, whatever it holds, or the folder refuses.
    pub fn begin(data: &Path, _lock: &FileLock) -> Result<Self, FileError> {
        if fs::symlink_metadata(data).is_ok() {
            return Err(FileError::Exists(data.to_owned()));
        }
        let temporary = beside(data, ".new");
        let failed = |source| FileError::Io { path: temporary.clone(), source };
        let mut options = OpenOptions::new();
        let file =
            options.read(true).write(true).create_new(true).mode(0o600).open(&temporary).map_err(failed)?;
        let medium = medium(file).map_err(failed)?;
        Ok(Self { data: data.to_owned(), temporary, medium, published: false })
    }

    /// What to write it through.
    pub fn medium(&self) -> Medium {
        self.medium.clone()
    }

    /// Links the finished file into place, without ever replacing another.
    ///
    /// # Errors
    /// A file of that name has come into being meanwhile, or the folder refuses.
    pub fn publish(mut self) -> Result<Medium, FileError> {
        let failed = |source| FileError::Io { path: self.data.clone(), source };
        self.medium.sync_data().map_err(failed)?;
        fs::hard_link(&self.temporary, &self.data).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => FileError::Exists(self.data.clone()),
            _ => failed(error),
        })?;
        fs::remove_file(&self.temporary).map_err(failed)?;
        sync_folder(&self.data).map_err(failed)?;
        self.published = true;
        Ok(self.medium.clone())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.published {
            // Best effort: the next run removes it as well.
            drop(fs::remove_file(&self.temporary));
        }
    }
}

/// `FILE` with a suffix to its whole name.
pub fn beside(data: &Path, suffix: &str) -> PathBuf {
    let mut name = data.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Without it a power cut can forget the name of a file whose content is safe.
fn sync_folder(data: &Path) -> io::Result<()> {
    let folder = data.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn medium(file: File) -> io::Result<Medium> {
    let (holes, disk) = (holes(&file), file.try_clone()?);
    let has_room = move || {
        let stat = rustix::fs::fstatvfs(&disk);
        stat.is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) >= ROOM_BYTES)
    };
    let backend = FileBackend::new(file).map_err(io::Error::other)?;
    Ok(Arc::new(Ground::new(Arc::new(backend), &holes, Ground::PIECE_BYTES, has_room)?))
}

/// What the file system says was never written; nothing where it does not say.
#[cfg(any(target_os = "linux", target_os = "macos"))]
fn holes(file: &File) -> Vec<Range<u64>> {
    use rustix::fs::{SeekFrom, seek};

    let (len, mut holes) = (file.metadata().map_or(0, |metadata| metadata.len()), Vec::new());
    let mut at = 0;
    while holes.len() < HOLES_MAX
        && let Ok(hole) = seek(file, SeekFrom::Hole(at))
        && hole < len
    {
        // No data after it: it goes on to the end.
        at = seek(file, SeekFrom::Data(hole)).unwrap_or(len);
        holes.push(hole..at);
    }
    holes
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
const fn holes(_: &File) -> Vec<Range<u64>> {
    Vec::new()
}
