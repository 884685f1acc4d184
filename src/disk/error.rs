//! Errors of opening and creating a data file.

use std::{io, path::PathBuf};

/// An error while a data file is opened or created.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Another process holds the lock.
    #[error("{path} is in use by process {holder}", path = .path.display())]
    InUse {
        /// The data file.
        path: PathBuf,
        /// The holder's process id; `?` if neither the system nor the lock file names it.
        holder: String,
    },
    /// The file system has no locks.
    #[error("{path} cannot be locked: {source}", path = .path.display())]
    NoLocks {
        /// The data file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file has more than one name: a hard link is neither a backup nor another vault.
    #[error("{path} has {links} names (hard links)", path = .path.display())]
    Linked {
        /// The data file.
        path: PathBuf,
        /// The number of names.
        links: u64,
    },
    /// The file does not exist.
    #[error("{path} does not exist", path = .0.display())]
    Missing(PathBuf),
    /// The file already exists.
    #[error("{path} already exists", path = .0.display())]
    Exists(PathBuf),
    /// The folder of the file does not exist.
    #[error("the folder of {path} does not exist", path = .0.display())]
    NoFolder(PathBuf),
    /// The operating system refuses.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The path of the failed operation.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}
