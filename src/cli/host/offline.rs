//! A vault file that a command of the host opens itself, while no server runs.

use std::{path::Path, time::Duration};

use super::{host_actor::host_actor, memory};
use crate::{
    cli::{error::CliError, runtime::block_on},
    clock::{self, Clock},
    disk::{DataFile, FileError, Locking},
    domain::{Action, Detail, DetailKey, Event, Secret},
    vault::{self, Settings, UnlockError, Vault},
};

/// Maximum lag of the clock behind the newest event; a larger lag needs `--accept-clock`.
const CLOCK_SLACK: Duration = Duration::from_mins(5);

/// Locks and opens the file of a stopped server. The vault stays locked, and the file unchanged.
///
/// # Errors
/// A server or another command uses the file, or it is not a vault.
pub(super) fn open(data: &Path, locking: Locking) -> Result<(DataFile, Vault), CliError> {
    let file = DataFile::open(data, locking).map_err(unopened)?;
    let vault = Vault::open(file.medium(), Settings::new(host_actor(), clock::monotonic))
        .map_err(|error| CliError::open(data, &error))?;
    Ok((file, vault))
}

/// Returns the error of a file that this command does not get.
pub(super) fn unopened(error: FileError) -> CliError {
    match error {
        FileError::InUse { .. } => CliError::failed(
            error.to_string(),
            "this command opens the file itself: stop the server, run the command again, then start the server",
        ),
        error => error.into(),
    }
}

/// Returns a clock that continues after the newest event.
///
/// # Errors
/// The newest event cannot be read.
pub(super) fn clock(vault: &Vault) -> Result<Clock, CliError> {
    let newest =
        vault.newest_time().map_err(|error| CliError::failed(error.to_string(), "restore a backup"))?;
    Ok(newest.map_or_else(Clock::system, Clock::system_after))
}

/// Unlocks the vault, does the work and locks it again; returns the work's result, and whether the lock is recorded.
/// `refused` words the error of a secret that opens no slot.
///
/// # Errors
/// There is not enough memory, the secret opens no slot, or the work fails.
pub(super) fn unlocked<T>(
    vault: &Vault,
    clock: &Clock,
    secret: Secret,
    refused: impl FnOnce(&UnlockError) -> CliError,
    work: impl AsyncFnOnce() -> Result<T, CliError>,
) -> Result<(T, Result<(), vault::Error>), CliError> {
    memory::check_unlock(vault, &secret)?;
    block_on(async {
        let unlocked = vault.unlock(secret, host_actor(), clock.now(), None).await;
        unlocked.map_err(|error| refused(&error))?;
        let done = work().await;
        let locked = vault.lock(Event::new(clock.now(), host_actor(), Action::VaultLock)).await;
        Ok((done?, locked.map(drop)))
    })
}

/// The clock of a run, checked against the newest event.
pub(super) struct RunClock {
    pub(super) clock: Clock,
    /// True if the clock is far behind and `--accept-clock` accepts it.
    is_accepted: bool,
}

impl RunClock {
    /// Checks the system's clock.
    ///
    /// # Errors
    /// The clock is far behind the newest event, and `--accept-clock` is absent; or the newest event cannot be read.
    pub(super) fn check(vault: &Vault, accept_clock: bool) -> Result<Self, CliError> {
        let newest =
            vault.newest_time().map_err(|error| CliError::failed(error.to_string(), "restore a backup"))?;
        let now = Clock::system().now();
        let late = newest.filter(|newest| newest.since(now) > CLOCK_SLACK);
        if let Some(newest) = late
            && !accept_clock
        {
            return Err(CliError::failed(
                format!("the clock says {now}, but the newest record is from {newest}"),
                "set the clock, or accept it with --accept-clock",
            ));
        }
        // An accepted clock is taken as it is; one that is slightly behind continues after the newest event.
        let clock = match newest {
            Some(newest) if late.is_none() => Clock::system_after(newest),
            _ => Clock::system(),
        };
        Ok(Self { clock, is_accepted: late.is_some() })
    }

    /// Returns an event of the host, which says so if the clock was accepted.
    pub(super) fn event(&self, action: Action) -> Event {
        let detail = Detail::NONE;
        let detail = if self.is_accepted { detail.truth(DetailKey::ClockAccepted, true) } else { detail };
        Event { detail, ..Event::new(self.clock.now(), host_actor(), action) }
    }
}
