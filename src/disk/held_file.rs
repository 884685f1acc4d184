//! An open, locked file as the engine's backend, which detects that its path no longer leads to it.

use std::{
    fs::{self, File},
    io,
    ops::Bound,
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, MetadataExt},
    },
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use redb::{BackendError, StorageBackend, backends::FileBackend};

use super::HEADER_BYTES;

/// A data file that is no longer safe to write: acknowledged writes could be lost.
#[derive(Debug, thiserror::Error)]
pub enum Displaced {
    /// The file has no name any more.
    #[error("{} was removed", .0.display())]
    Removed(PathBuf),
    /// The file has another name.
    #[error("{} was moved{}", path.display(), now.as_ref().map_or_else(String::new, |now| format!(" to {}", now.display())))]
    Moved {
        /// The path at which it was opened.
        path: PathBuf,
        /// The path at which it is now, if the system says so.
        now: Option<PathBuf>,
    },
    /// Something is mounted over its folder.
    #[error("{} is hidden: something was mounted over its folder", .0.display())]
    Hidden(PathBuf),
    /// The path leads to another file.
    #[error("another file has taken the place of {}", .0.display())]
    Replaced(PathBuf),
    /// The path cannot be followed.
    #[error("{} cannot be reached: {source}", path.display())]
    Unreachable {
        /// The path at which it was opened.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Another process changed the file's length.
    #[error("{} has {found} bytes and not {expected}: another process changed its length", path.display())]
    Resized {
        /// The file's path.
        path: PathBuf,
        /// The length that this process gave it.
        expected: u64,
        /// The length found.
        found: u64,
    },
    /// Another process wrote to the file.
    #[error("another process wrote to {}", .0.display())]
    Overwritten(PathBuf),
}

impl Displaced {
    /// Returns whether the open file still holds everything that this process wrote.
    pub const fn is_intact(&self) -> bool {
        match self {
            Self::Removed(_)
            | Self::Moved { .. }
            | Self::Hidden(_)
            | Self::Replaced(_)
            | Self::Unreachable { .. } => true,
            Self::Resized { .. } | Self::Overwritten(_) => false,
        }
    }
}

/// A file that stays locked for as long as it is open, and refuses writes once it is [`Displaced`].
#[derive(Debug)]
pub struct HeldFile {
    backend: FileBackend,
    /// A duplicate of the backend's descriptor: both carry the same lock.
    file: File,
    state: Mutex<State>,
    /// Set while the last check holds. The first write after a sync checks again, so that no byte of a commit goes into
    /// a file that another process replaced or truncated.
    in_place: AtomicBool,
}

/// The file's path, length and header as this process last left them.
#[derive(Debug)]
struct State {
    path: PathBuf,
    len: u64,
    header: [u8; HEADER_BYTES],
}

impl HeldFile {
    pub(super) fn new(file: File, path: &Path) -> io::Result<Self> {
        let backend = FileBackend::new(file.try_clone()?).map_err(io::Error::other)?;
        let len = file.metadata()?.len();
        let state = State { path: path.to_owned(), len, header: header(&file)? };
        Ok(Self { backend, file, state: Mutex::new(state), in_place: AtomicBool::new(false) })
    }

    /// Sets the path to which the file was linked.
    pub(super) fn set_path(&self, path: &Path) {
        path.clone_into(&mut self.state().path);
    }

    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    /// Checks that the path still leads to this file, and that no other process wrote to it. If the check fails, the
    /// file refuses writes until a later check succeeds.
    ///
    /// # Errors
    /// The path leads elsewhere, or another process wrote to the file.
    pub fn check(&self) -> Result<(), Displaced> {
        let found = self.find();
        if found.is_err() {
            self.in_place.store(false, Ordering::Release);
        }
        found
    }

    fn find(&self) -> Result<(), Displaced> {
        let state = self.state();
        let path = || state.path.clone();
        let unreachable = |source| Displaced::Unreachable { path: path(), source };
        let own = self.file.metadata().map_err(unreachable)?;
        match fs::metadata(&state.path) {
            Ok(there) if (there.dev(), there.ino()) != (own.dev(), own.ino()) => {
                return Err(Displaced::Replaced(path()));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && own.nlink() == 0 => {
                return Err(Displaced::Removed(path()));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let now = fs::read_link(format!("/proc/self/fd/{}", self.file.as_raw_fd())).ok();
                if now.as_ref() == Some(&state.path) {
                    return Err(Displaced::Hidden(path()));
                }
                return Err(Displaced::Moved { path: path(), now });
            }
            Err(error) => return Err(unreachable(error)),
        }
        if own.len() != state.len {
            return Err(Displaced::Resized { path: path(), expected: state.len, found: own.len() });
        }
        if header(&self.file).map_err(unreachable)? == state.header {
            Ok(())
        } else {
            Err(Displaced::Overwritten(path()))
        }
    }

    fn check_before_write(&self) -> io::Result<()> {
        if self.in_place.load(Ordering::Acquire) {
            return Ok(());
        }
        self.check().map_err(io::Error::other)?;
        self.in_place.store(true, Ordering::Release);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the first bytes of a file; bytes past its end read as zeros.
fn header(file: &File) -> io::Result<[u8; HEADER_BYTES]> {
    let mut bytes = [0; HEADER_BYTES];
    let mut at = 0;
    while at < HEADER_BYTES {
        match file.read_at(&mut bytes[at..], at as u64)? {
            0 => break,
            read => at += read,
        }
    }
    Ok(bytes)
}

impl StorageBackend for HeldFile {
    fn len(&self) -> Result<u64, io::Error> {
        self.backend.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.backend.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.check().map_err(io::Error::other)?;
        let mut state = self.state();
        self.backend.set_len(len)?;
        state.len = len;
        let kept = usize::try_from(len).unwrap_or(HEADER_BYTES).min(HEADER_BYTES);
        state.header[kept..].fill(0);
        Ok(())
    }

    /// Syncs, then checks that the synced file is still the one that the path leads to.
    fn sync_data(&self) -> Result<(), io::Error> {
        self.backend.sync_data()?;
        self.in_place.store(false, Ordering::Release);
        self.check().map_err(io::Error::other)
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.check_before_write()?;
        let Some(start) = usize::try_from(offset).ok().filter(|start| *start < HEADER_BYTES) else {
            return self.backend.write(offset, data);
        };
        let mut state = self.state();
        self.backend.write(offset, data)?;
        let end = HEADER_BYTES.min(start.saturating_add(data.len()));
        state.header[start..end].copy_from_slice(&data[..end - start]);
        Ok(())
    }

    /// Keeps the lock: the file stays open while the engine closes and reopens it.
    fn close(&self) -> Result<(), io::Error> {
        Ok(())
    }

    // This descriptor's lock covers every range of the file, from before the engine's first read.

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}
