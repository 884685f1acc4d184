//! The server's own check of its log: after each unlock and once a day, every record against the sealed head. Between
//! two checks it keeps the index of exposures near the log's end. Before, it reads what a list of due work needs.

use std::{sync::Arc, time::Duration};

use tokio::{task::spawn_blocking, time::sleep};

use super::repeats::ASKED;
use crate::{
    clock::monotonic,
    vault::{Error, Vault},
};

/// The interval between two looks whether a check is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The same while the log grows by more than a record a millisecond: its newest records are then still in memory.
const BUSY_EVERY: Duration = Duration::from_millis(50);

/// Checks the log whenever it is due, for as long as it is polled.
pub(super) async fn keep(vault: &Arc<Vault>) {
    let (mut size, mut pause) = (0, LOOK_EVERY);
    loop {
        if vault.is_log_check_due() {
            let of = Arc::clone(vault);
            // If a row cannot be read, whoever asks for it is told.
            drop(spawn_blocking(move || of.know_dates()).await);
            match check(vault).await {
                Ok(()) | Err(Error::Locked) => {}
                Err(error @ Error::Tampered(_)) => {
                    let cause =
                        std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    tracing::error!(
                        target: ASKED,
                        cause,
                        "the audit log is not the one that was signed: nothing is recorded or disclosed any more; \
                         keep the file, run `sealroom doctor`, and restore a backup"
                    );
                }
                Err(error) => tracing::warn!(%error, "the audit log could not be checked"),
            }
        }
        // Whatever fails here fails a question about an exposure too, which says so.
        drop(index(vault).await);
        let recorded = vault.recorded().unwrap_or(size);
        let is_busy = u128::from(recorded.saturating_sub(size)) > pause.as_millis();
        (size, pause) = (recorded, if is_busy { BUSY_EVERY } else { LOOK_EVERY });
        sleep(pause).await;
    }
}

/// Brings the index of exposures near the end of the log.
async fn index(vault: &Arc<Vault>) -> Result<(), Error> {
    loop {
        let (from, began) = (Arc::clone(vault), monotonic());
        let step = spawn_blocking(move || from.index_exposures()).await;
        if !step.map_err(|_| Error::Internal(crate::vault::InternalError::TaskPanicked))?? {
            return Ok(());
        }
        sleep(monotonic().saturating_sub(began)).await;
    }
}

async fn check(vault: &Arc<Vault>) -> Result<(), Error> {
    let mut next = 0;
    loop {
        let (from, began) = (Arc::clone(vault), monotonic());
        let step = spawn_blocking(move || from.check_log(next)).await;
        match step.map_err(|_| Error::Internal(crate::vault::InternalError::TaskPanicked))?? {
            Some(after) => next = after,
            None => return Ok(()),
        }
        // At most half of one core: the requests come first.
        sleep(monotonic().saturating_sub(began)).await;
    }
}
