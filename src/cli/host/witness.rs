//! The server as a witness of other vaults' logs: its state at the start.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::time::sleep;

use super::repeats::ASKED;
use crate::{
    audit::checkpoint::VerifierKey,
    cli::error::CliError,
    disk::beside,
    vault::{Error, NotWitnessed, Vault, Witness, WitnessFileError},
};

/// The interval between two looks whether the vault is unlocked.
const LOCKED_EVERY: Duration = Duration::from_secs(1);

/// Opens the state of a witness of these logs, beside the vault file; none if there are no logs.
///
/// # Errors
/// The file is not whole, or cannot be read.
pub(super) fn open(data: &Path, logs: Vec<VerifierKey>) -> Result<Option<Arc<Witness>>, CliError> {
    if logs.is_empty() {
        return Ok(None);
    }
    let witness = Witness::open(beside(data, ".witness"), logs).map_err(|error| failed(&error))?;
    Ok(Some(Arc::new(witness)))
}

pub(super) fn failed(error: &WitnessFileError) -> CliError {
    let hint = match error {
        WitnessFileError::Io { .. } => "check the path, its owner and its mode; it must be a regular file",
        WitnessFileError::Damaged { .. } => {
            "put a whole copy of it back; or move it away, which ends this witness: the next start generates another \
             key, and those who rely on the old one must decide"
        }
        WitnessFileError::Foreign { .. } => {
            "put the file of this vault back, or move that one to its own vault"
        }
        WitnessFileError::Itself { .. } => "name the log of another vault, on another host",
        WitnessFileError::TooMany => "give the others to another witness",
    };
    CliError::failed(format!("the witness: {error}"), hint)
}

/// Logs the key of this witness, at the start of a locked vault again once it is unlocked: only then it shows if the key
/// still opens.
pub(super) async fn keep(vault: &Arc<Vault>) {
    let was_locked = vault.is_locked();
    tell(vault).await;
    if was_locked && vault.witnessed_logs() > 0 {
        while vault.is_locked() {
            sleep(LOCKED_EVERY).await;
        }
        tell(vault).await;
    }
    std::future::pending::<()>().await;
}

/// Logs the key; without one yet, a locked vault generates it after the unlock.
async fn tell(vault: &Arc<Vault>) {
    let logs = vault.witnessed_logs();
    match vault.witness_key().await {
        Ok(key) if vault.is_locked() => {
            tracing::info!(target: ASKED, logs, %key, "this server is a witness if its key opens at the unlock");
        }
        Ok(key) => tracing::info!(target: ASKED, logs, %key, "this server is a witness"),
        Err(NotWitnessed::NoWitness) => {}
        Err(NotWitnessed::Vault(Error::Locked)) => {
            tracing::info!(target: ASKED, logs, "this server is a witness, and has no key before the vault is unlocked");
        }
        Err(error) => tracing::error!(target: ASKED, logs, %error, "this witness cosigns nothing"),
    }
}
