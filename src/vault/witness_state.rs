//! The state of a witness on the disk: read whole at the start, and replaced before a cosignature leaves.

use std::{
    io,
    path::PathBuf,
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
    kept: Mutex<Option<Kept>>,
    pub(super) turns: Arc<Semaphore>,
}

/// The state, as it is on the disk.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) state: State,
    bytes: Vec<u8>,
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
            None => None,
            Some(bytes) => {
                let damaged = |source| WitnessFileError::Damaged { path: path.clone(), source };
                let state = State::read(&bytes).map_err(damaged)?;
                Some(Kept { state, bytes, failed: None })
            }
        };
        Ok(Self { path, logs, kept: Mutex::new(kept), turns: Arc::new(Semaphore::new(WAITING_MAX)) })
    }

    /// Returns the state, locked: two requests from one old size must not both pass.
    pub(super) fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the next state in the place of the one that is kept.
    pub(super) fn keep(
        &self,
        kept: &mut Option<Kept>,
        next: State,
        key: &LogKey,
    ) -> Result<(), NotWitnessed> {
        let bytes = next.write(key).into_bytes();
        let there = read_private(&self.path, FILE_BYTES_MAX).map_err(|error| self.not_kept(&error))?;
        let is_own = match kept.as_ref() {
            None => there.is_none(),
            Some(kept) => {
                there.is_some_and(|there| there == kept.bytes || Some(&there) == kept.failed.as_ref())
            }
        };
        if !is_own {
            return Err(self.not_kept(&io::Error::other("it was changed or taken away under this server")));
        }
        if let Err(error) = replace_private(&self.path, &bytes) {
            if let Some(kept) = kept {
                kept.failed = Some(bytes);
            }
            return Err(self.not_kept(&error));
        }
        *kept = Some(Kept { state: next, bytes, failed: None });
        Ok(())
    }

    fn not_kept(&self, error: &io::Error) -> NotWitnessed {
        let hint = "check the disk and the folder; nothing is cosigned meanwhile. If another process wrote the file, \
                    stop one of them and start the server again";
        tracing::error!(path = %self.path.display(), %error, hint, "the witness's state cannot be kept");
        NotWitnessed::NotKept
    }
}
