//! A vault file that a command of the host opens itself, while no server runs.

use std::{path::Path, time::Duration};

use super::{host_actor::host_actor, memory};
use crate::{
    cli::{error::CliError, runtime::block_on},
    clock::{self, Clock, far_ahead},
    disk::{DataFile, FileError, Locking},
    domain::{Action, Detail, DetailKey, Event, Secret, Timestamp, days},
    vault::{self, Settings, UnlockError, Vault},
};

/// Maximum lag of the clock behind the newest event; a larger lag needs `--accept-clock`.
pub(super) const CLOCK_SLACK: Duration = Duration::from_mins(5);
/// Maximum time without a record that needs no warning: a vault that is served has records each day.
const IDLE_MAX: Duration = days(366);

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
            "this command opens the file itself: stop the server, run the command again, then start the server; \
             if another command has the file, wait for its end",
        ),
        error => error.into(),
    }
}

/// Returns a clock that continues after the newest event.
///
/// # Errors
/// The newest event cannot be read, or the clock is decades ahead: the next start would refuse one that is right.
pub(super) fn clock(vault: &Vault) -> Result<Clock, CliError> {
    clock_after(vault.newest_time())
}

/// Returns a clock that continues after this event.
///
/// # Errors
/// As of [`clock()`].
pub(super) fn clock_after<E: ToString>(newest: Result<Option<Timestamp>, E>) -> Result<Clock, CliError> {
    let newest = newest.map_err(unreadable)?;
    let now = Clock::system().now();
    match far_ahead(now) {
        Some(why) => Err(CliError::failed(format!("the clock says {now}, {why}"), "set the clock")),
        None => Ok(newest.map_or_else(Clock::system, Clock::system_after)),
    }
}

fn unreadable(error: impl ToString) -> CliError {
    CliError::failed(error.to_string(), "restore a backup")
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
    /// True if the clock cannot be right and `--accept-clock` accepts it.
    is_accepted: bool,
}

impl RunClock {
    /// Checks the system's clock.
    ///
    /// # Errors
    /// The clock is far behind the newest event or decades ahead, and `--accept-clock` is absent; or the newest event
    /// cannot be read.
    pub(super) fn check(vault: &Vault, accept_clock: bool) -> Result<Self, CliError> {
        let newest = vault.newest_time().map_err(unreadable)?;
        let now = Clock::system().now();
        let wrong = wrong(now, newest);
        if let Some(why) = &wrong
            && !accept_clock
        {
            return Err(CliError::failed(
                format!("the clock says {now}, {why}"),
                "set the clock, or accept it with --accept-clock; for a server under systemd, its unit says how at SERVE_FLAGS",
            ));
        }
        if let Some(newest) = newest.filter(|newest| now.since(*newest) > IDLE_MAX) {
            let idle = now.since(newest).as_secs() / 86_400;
            tracing::warn!("the clock says {now}, and the newest record is {idle} days old: check the clock");
        }
        // An accepted clock is taken as it is; one that is slightly behind continues after the newest event.
        let clock = match newest {
            Some(newest) if wrong.is_none() => Clock::system_after(newest),
            _ => Clock::system(),
        };
        Ok(Self { clock, is_accepted: wrong.is_some() })
    }

    /// Returns an event of the host, which says so if the clock was accepted.
    pub(super) fn event(&self, action: Action) -> Event {
        let detail = Detail::NONE;
        let detail = if self.is_accepted { detail.truth(DetailKey::ClockAccepted, true) } else { detail };
        Event { detail, ..Event::new(self.clock.now(), host_actor(), action) }
    }
}

/// Returns the reason why a clock that says `now` is wrong for a vault with this newest record.
fn wrong(now: Timestamp, newest: Option<Timestamp>) -> Option<String> {
    let newest = newest.filter(|newest| newest.since(now) > CLOCK_SLACK);
    let behind = newest.map(|newest| format!("but the newest record is from {newest}"));
    behind.or_else(|| far_ahead(now).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_of_another_age_at_boot_never_starts_a_server_unasked() {
        let newest = Timestamp::from_millis(1_796_083_200_000);
        let at = |now| wrong(now, Some(newest));
        for right in [newest, newest.minus(CLOCK_SLACK), newest.plus(days(1)), newest.plus(days(4_000))] {
            assert_eq!(at(right), None, "{right}");
        }
        let behind = [Timestamp::from_millis(0), newest.minus(days(1)), newest.minus(CLOCK_SLACK * 2)];
        for early in behind {
            assert_eq!(at(early).unwrap(), format!("but the newest record is from {newest}"));
        }
        // The real-time clock of a board without a battery, and one with a bit that flipped.
        for late in [Timestamp::from_millis(4_102_444_800_000), newest.plus(days(30_000))] {
            assert!(at(late).unwrap().contains("decades after"), "{late}");
            assert!(wrong(late, None).is_some() && wrong(late, Some(late)).is_some());
        }
    }
}
