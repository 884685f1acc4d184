//! The flags of a command that opens the vault file itself.

use std::path::PathBuf;

use crate::{config::default, disk::Locking};

/// The vault file, and the lock on it.
#[derive(Debug, clap::Args)]
pub(super) struct FileArgs {
    /// The vault file.
    #[arg(long, env = "SEALROOM_DATA", default_value = default::DATA, value_name = "FILE")]
    pub(super) data: PathBuf,
    #[command(flatten)]
    lock: LockArgs,
}

/// The lock on a vault file.
#[derive(Debug, clap::Args)]
pub(super) struct LockArgs {
    /// Open the vault on a file system that has no locks; no other process may open the file.
    #[arg(long, env = "SEALROOM_WITHOUT_FILE_LOCK", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    without_file_lock: Option<bool>,
}

impl FileArgs {
    pub(super) const fn locking(&self) -> Locking {
        self.lock.locking()
    }
}

impl LockArgs {
    pub(super) const fn locking(&self) -> Locking {
        if matches!(self.without_file_lock, Some(true)) { Locking::Waived } else { Locking::Required }
    }
}
