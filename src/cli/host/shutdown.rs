//! The shutdown of a server: its signals and its last record.

use tokio::signal::unix::{SignalKind, signal};

use super::host_actor::host_actor;
use crate::{
    cli::error::CliError,
    clock::Clock,
    domain::{Action, Event},
    vault::Vault,
};

/// Records the stop and locks the vault; the file is then in the state of a clean shutdown.
pub(super) async fn shut(vault: &Vault, clock: &Clock) {
    if !vault.is_locked()
        && let Err(error) = vault.lock(Event::new(clock.now(), host_actor(), Action::ServerStop)).await
    {
        tracing::error!(%error, "the stop of the server could not be recorded");
    }
}

pub(super) fn stop_signal() -> Result<impl Future<Output = ()>, CliError> {
    let failed = |error| CliError::failed(format!("no signals: {error}"), "try again");
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
