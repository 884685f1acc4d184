//! An open, locked file as the engine's backend, which notices when it is no longer the file that its path leads to.

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

/// The engine's header, whose every commit writes to it: magic number and two commit slots of 128 bytes each
/// (redb, `docs/design.md`, "Database header").
const HEADER_BYTES: usize = 320;

/// A file that is no longer safe to write: what is acknowledged into it could be lost.
#[derive(Debug, thiserror::Error)]
pub enum Displaced {
    /// It has no name any more.
    #[error("{} was removed", .0.display())]
    Removed(PathBuf),
    /// It has another name.
    #[error("{} was moved{}", path.display(), now.as_ref().map_or_else(String::new, |now| format!(" to {}", now.display())))]
    Moved {
        /// Where it was.
        path: PathBuf,
        /// Where it is, where the system says so.
        now: Option<PathBuf>,
    },
    /// Something is mounted over its folder.
    #[error("{} is hidden: something was mounted over its folder", .0.display())]
    Hidden(PathBuf),
    /// Its path leads to another file.
    #[error("another file has taken the place of {}", .0.display())]
    Replaced(PathBuf),
    /// Its path cannot be followed.
    #[error("{} cannot be reached: {source}", path.display())]
    Unreachable {
        /// Where it was.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process changed its length.
    #[error("{} has {found} bytes and not {expected}: another process changed its length", path.display())]
    Resized {
        /// Where it is.
        path: PathBuf,
        /// The length that this process gave it.
        expected: u64,
        /// Its length.
        found: u64,
    },
    /// Another process wrote to it.
    #[error("another process wrote to {}", .0.display())]
    Overwritten(PathBuf),
}

impl Displaced {
    /// Whether the open file still holds what this process wrote.
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

/// A file that holds its lock for as long as it is open, and refuses writes once it is [`Displaced`].
#[derive(Debug)]
pub struct HeldFile {
    backend: FileBackend,
    /// A duplicate of the backend's descriptor: both carry the one lock.
    file: File,
    state: Mutex<State>,
    /// Set while the last check holds: the first write after a sync checks anew, so that no byte of a commit goes
    /// into a file that somebody else has put there or cut.
    in_place: AtomicBool,
}

/// What this process last made of the file.
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

    /// Notes the path that the file was linked to.
    pub(super) fn set_path(&self, path: &Path) {
        path.clone_into(&mut self.state().path);
    }

    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    /// Checks that the path still leads to this file, and that nobody else wrote to it. Until a later check finds it
    /// in its place again, nothing is written.
    ///
    /// # Errors
    /// It does not.
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

/// The first bytes of a file; what it does not have reads as zeros.
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

    /// Syncs, then looks: what a commit acknowledges is in the file that the path leads to.
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

    /// Keeps the lock: the file stays open while the engine closes it and opens it again.
    fn close(&self) -> Result<(), io::Error> {
        Ok(())
    }

    // The lock that this descriptor holds stands for every range of the file, from before the engine's first read.

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
