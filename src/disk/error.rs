//! Why a data file cannot be opened or made.

use std::{io, path::PathBuf};

/// Why a file cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Another process holds it.
    #[error("{path} is in use by process {holder}", path = .path.display())]
    InUse {
        /// The data file.
        path: PathBuf,
        /// Its id; `?` where neither the system nor the lock file says it.
        holder: String,
    },
    /// Its file system has no locks.
    #[error("{path} cannot be locked: {source}", path = .path.display())]
    NoLocks {
        /// The data file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It has more than one name: a hard link is neither a backup nor another vault.
    #[error("{path} has {links} names (hard links)", path = .path.display())]
    Linked {
        /// The data file.
        path: PathBuf,
        /// How many names it has.
        links: u64,
    },
    /// There is no such file.
    #[error("{path} does not exist", path = .0.display())]
    Missing(PathBuf),
    /// There is one already.
    #[error("{path} exists already", path = .0.display())]
    Exists(PathBuf),
    /// The folder that it lies in, or should, does not exist.
    #[error("the folder of {path} does not exist", path = .0.display())]
    NoFolder(PathBuf),
    /// The operating system refuses.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}
