//! The state of a witness on the disk: read whole at the start, and replaced before a cosignature leaves.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Semaphore;

use super::error::Error;
use crate::{
    audit::{
        checkpoint::VerifierKey,
        witness::Refusal,
        witness_file::{Damaged, State},
    },
    crypto::sign::LogKey,
    disk::{read_private, replace_private},
};

/// The most logs of one witness.
const LOGS_MAX: usize = 64;
/// The longest state: a checkpoint of the longest body for each log, and the head.
const FILE_BYTES_MAX: u64 = (LOGS_MAX as u64 + 1) * 64 * 1024;
/// The most checkpoints that wait for the disk; a log sends one a minute.
const WAITING_MAX: usize = 16;

/// The logs that a vault is a witness of, and its state as one.
#[derive(Debug)]
pub struct Witness {
    pub(super) path: PathBuf,
    pub(super) logs: Vec<VerifierKey>,
    kept: Mutex<Kept>,
    pub(super) turns: Arc<Semaphore>,
}

/// The state, and what may be on the disk.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The state of all that was answered; none before the first key.
    pub(super) state: Option<State>,
    /// The file as it was read or replaced last; none if there was none.
    bytes: Option<Vec<u8>>,
    /// A replacement that failed: it may be on the disk all the same, and nothing of it was answered.
    failed: Option<Vec<u8>>,
}

/// An error of a witness's file at a start.
#[derive(Debug, thiserror::Error)]
pub enum WitnessFileError {
    /// It cannot be read.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It is not whole.
    #[error("{}: {source}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Damaged,
    },
    /// It belongs to another vault.
    #[error("{}: this is the state of {key}, and this vault is {own}", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The name of its key.
        key: String,
        /// The name that this vault's key has.
        own: String,
    },
    /// It would vouch for itself.
    #[error("{own} is this vault's own log, and no host is a witness of itself")]
    Itself {
        /// The log.
        own: String,
    },
    /// There are more logs than one witness takes.
    #[error("more than {LOGS_MAX} logs to witness")]
    TooMany,
}

/// The reason why a checkpoint was not cosigned.
#[derive(Debug, thiserror::Error)]
pub enum NotWitnessed {
    /// This vault is no witness.
    #[error("this vault is no witness")]
    NoWitness,
    /// The checkpoint is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The vault is locked, or too busy for this client.
    #[error(transparent)]
    Vault(#[from] Error),
    /// The state cannot be kept, or its key cannot be opened; the log has the cause.
    #[error("the witness cannot keep its state")]
    NotKept,
}

impl Witness {
    /// Reads the state of a witness of these logs, if there is one yet.
    ///
    /// # Errors
    /// The file cannot be read, or is not whole: to begin anew would let a second history pass.
    pub fn open(path: PathBuf, logs: Vec<VerifierKey>) -> Result<Self, WitnessFileError> {
        let mut origins: Vec<&str> = logs.iter().map(VerifierKey::name).collect();
        origins.sort_unstable();
        origins.dedup();
        if origins.len() > LOGS_MAX {
            return Err(WitnessFileError::TooMany);
        }
        let bytes = read_private(&path, FILE_BYTES_MAX);
        let kept = match bytes.map_err(|source| WitnessFileError::Io { path: path.clone(), source })? {
            None => Kept::default(),
            Some(bytes) => {
                let damaged = |source| WitnessFileError::Damaged { path: path.clone(), source };
                let state = State::read(&bytes).map_err(damaged)?;
                Kept { state: Some(state), bytes: Some(bytes), failed: None }
            }
        };
        Ok(Self { path, logs, kept: Mutex::new(kept), turns: Arc::new(Semaphore::new(WAITING_MAX)) })
    }

    /// Returns the state, locked: two requests from one old size must not both pass.
    pub(super) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the next state in the place of the one that is kept.
    pub(super) fn keep(&self, kept: &mut Kept, next: State, key: &LogKey) -> Result<(), NotWitnessed> {
        let bytes = next.write(key).into_bytes();
        kept.replace(&self.path, bytes, replace_private).map_err(|error| self.not_kept(&error))?;
        kept.state = Some(next);
        Ok(())
    }

    fn not_kept(&self, error: &io::Error) -> NotWitnessed {
        let hint = "check the disk and the folder; nothing is cosigned meanwhile. If another process wrote the file, \
                    stop one of them and start the server again";
        tracing::error!(path = %self.path.display(), %error, hint, "the witness's state cannot be kept");
        NotWitnessed::NotKept
    }
}

impl Kept {
    /// Replaces the file, if it is one that this process left there.
    fn replace(
        &mut self,
        path: &Path,
        bytes: Vec<u8>,
        replace: impl FnOnce(&Path, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let there = read_private(path, FILE_BYTES_MAX)?;
        let is_failed = there.is_some() && there == self.failed;
        if there != self.bytes && !is_failed {
            return Err(io::Error::other("it was changed or taken away under this server"));
        }
        let replaced = replace(path, &bytes);
        (self.bytes, self.failed) = match &replaced {
            Ok(()) => (Some(bytes), None),
            // One of the two is on the disk now.
            Err(_) => (there, Some(bytes)),
        };
        replaced
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The fate of one replacement.
    #[derive(Debug, Clone, Copy)]
    enum Disk {
        Works,
        /// It fails before the file has its new name.
        Refuses,
        /// It fails when the folder is synced: the file is the new one.
        FailsLate,
    }

    impl Disk {
        const ALL: [Self; 3] = [Self::Works, Self::Refuses, Self::FailsLate];

        fn replace(self, path: &Path, bytes: &[u8]) -> io::Result<()> {
            match self {
                Self::Works => fs::write(path, bytes),
                Self::Refuses => Err(io::ErrorKind::StorageFull.into()),
                Self::FailsLate => fs::write(path, bytes).and(Err(io::ErrorKind::Other.into())),
            }
        }
    }

    /// After a replacement that failed late and a second failure, the witness took its own file for a foreign one until
    /// its restart.
    #[test]
    fn no_failures_of_a_disk_make_a_witness_take_its_own_file_for_a_foreign_one() {
        for number in 0..3_usize.pow(5) {
            for had_file in [false, true] {
                let fates = [1, 3, 9, 27, 81].map(|place| Disk::ALL[number / place % 3]);
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("v.witness");
                let mut kept = Kept::default();
                if had_file {
                    fs::write(&path, "first").unwrap();
                    kept.bytes = Some(b"first".to_vec());
                }
                for (at, fate) in fates.into_iter().enumerate() {
                    let replaced = kept.replace(&path, format!("state {at}").into(), |path, bytes| {
                        fate.replace(path, bytes)
                    });
                    assert_eq!(
                        replaced.is_ok(),
                        matches!(fate, Disk::Works),
                        "{at} of {fates:?}, {had_file}"
                    );
                }
                // A stranger's file is refused in each of these states, and so is none where there was one; what this
                // process left is accepted again.
                let own = fs::read(&path).ok();
                let had_one = kept.bytes.is_some();
                let mut last = || kept.replace(&path, b"last".to_vec(), |path, bytes| fs::write(path, bytes));
                if had_one {
                    fs::remove_file(&path).unwrap();
                    assert!(last().is_err() && !path.exists(), "{fates:?}");
                }
                fs::write(&path, "foreign").unwrap();
                assert!(last().is_err(), "{fates:?}");
                assert_eq!(fs::read(&path).unwrap(), b"foreign", "{fates:?}");
                match own {
                    Some(own) => fs::write(&path, own).unwrap(),
                    None => fs::remove_file(&path).unwrap(),
                }
                last().unwrap();
                assert_eq!(fs::read(&path).unwrap(), b"last", "{fates:?}");
            }
        }
    }
}
