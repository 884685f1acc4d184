//! The server's own backups: a verified copy in a folder at each interval, the newest few kept.

mod folder;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{task::spawn_blocking, time::sleep};

use self::folder::{backups, compact, file_stem, opens, prune, time_of};
use super::{
    hanging::{Apart, Hung, unless_hung},
    read_only,
};
use crate::{
    clock::Clock,
    disk::{Calls, FileError, Locking, NewFile, Watched},
    domain::Timestamp,
    vault::{self, Vault},
};

/// The longest wait between two looks at the clock, which may be set.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// The pause before a failed or locked-out backup is tried again, if the interval is not shorter.
const AGAIN_AFTER: Duration = Duration::from_mins(5);
/// The time after which a folder that answers no call counts as hanging.
const HUNG_AFTER: Duration = Duration::from_mins(1);
/// The remedy for a failure of no known cause.
const OTHERWISE: &str =
    "check the folder and its disk; older backups are kept, and the next try comes by itself";

/// The folder, the interval and the number to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BackupPlan {
    pub(super) folder: PathBuf,
    pub(super) every: Duration,
    pub(super) keep: usize,
    pub(super) locking: Locking,
}

/// The reason why there is no new backup.
#[derive(Debug, thiserror::Error)]
enum NotMade {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{}", with_cause(.0))]
    Vault(#[from] vault::Error),
    #[error("{path}: {source}", path = .path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("the copy needs up to {needed} bytes, and {free} are free")]
    Room { needed: u64, free: u64 },
    #[error("the folder has answered no call for {} seconds: is its share there?", HUNG_AFTER.as_secs())]
    Hung,
    #[error("a task panicked")]
    Panicked,
}

impl NotMade {
    fn hint(&self) -> &'static str {
        let is_denied = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
        match self {
            Self::Folder { source, .. } | Self::File(FileError::Io { source, .. }) if is_denied(source) => {
                "check the folder's mode; one that was replaced or mounted after the start stays closed to the server: start \
                 it again"
            }
            Self::Room { .. } => "free space in that folder, or keep fewer backups",
            Self::Hung => "check the share; the next try comes by itself",
            Self::Folder { source, .. } | Self::File(FileError::Io { source, .. }) => {
                read_only::remedy(source, OTHERWISE)
            }
            Self::File(_) | Self::Vault(_) | Self::Panicked => OTHERWISE,
        }
    }
}

impl From<Hung> for NotMade {
    fn from(Hung: Hung) -> Self {
        Self::Hung
    }
}

fn with_cause(error: &vault::Error) -> String {
    if matches!(error, vault::Error::Overloaded) {
        return "another copy is being made, or requests come faster than the vault can be copied".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if cause.to_string() == error.to_string() { error.to_string() } else { format!("{error}: {cause}") }
}

/// Makes a backup at each interval, for as long as it is polled. Reports failures, which stop nothing.
pub(super) async fn keep(plan: Option<&BackupPlan>, vault: &Arc<Vault>, clock: &Clock) {
    let Some(plan) = plan else { return std::future::pending().await };
    // A call that hangs keeps its thread; the next backup waits until it has returned.
    let mut calls = Arc::new(Calls::default());
    let first = first_due(plan, vault, clock.now(), &calls);
    let first = unless_hung(&calls, HUNG_AFTER, first).await.unwrap_or_default();
    let mut due = first.unwrap_or_else(|| clock.now());
    let mut waiting = Waiting::default();
    loop {
        let now = until(&mut due, plan.every, clock).await;
        // A locked vault has no key to verify a copy with: wait until somebody unlocks it.
        let made = if vault.is_locked() {
            Err(vault::Error::Locked.into())
        } else if calls.under_way().is_some() {
            Err(NotMade::Hung)
        } else {
            calls = Arc::default();
            attempt(plan, vault, now, &calls).await
        };
        due = match made {
            Ok(path) => {
                waiting = Waiting::default();
                vault.set_backup_failed(false);
                tracing::info!(path = %path.display(), "backup written and verified");
                now.plus(plan.every)
            }
            Err(NotMade::Vault(vault::Error::Locked)) => now.plus(plan.every.min(LOOK_EVERY)),
            // A client's own copy and requests go first, for a while.
            Err(NotMade::Vault(error @ vault::Error::Overloaded)) if waiting.goes_on(now) => {
                tracing::info!(cause = with_cause(&error), "the backup is postponed");
                now.plus(plan.every.min(LOOK_EVERY))
            }
            Err(error) => {
                waiting = Waiting::default();
                vault.set_backup_failed(true);
                let hint = error.hint();
                tracing::error!(%error, hint, folder = %plan.folder.display(), "the backup failed");
                now.plus(plan.every.min(AGAIN_AFTER))
            }
        };
    }
}

/// Waits until the next backup is due, and returns the time. A clock that was ahead and came back leaves a time that is
/// more than one interval away: the next one comes after an interval all the same.
async fn until(due: &mut Timestamp, every: Duration, clock: &Clock) -> Timestamp {
    loop {
        let now = clock.now();
        *due = (*due).min(now.plus(every));
        if *due <= now {
            return now;
        }
        sleep(due.since(now).min(LOOK_EVERY)).await;
    }
}

/// The time since which a backup waits for another copy to end, or for fewer requests.
#[derive(Debug, Default)]
struct Waiting(Option<Timestamp>);

impl Waiting {
    /// Returns whether it may wait on: it becomes a failure if it waits for minutes.
    fn goes_on(&mut self, now: Timestamp) -> bool {
        // A clock that came back leaves a time to come.
        let since = self.0.insert(self.0.map_or(now, |since| since.min(now)));
        now.since(*since) < AGAIN_AFTER
    }
}

/// Returns when the next backup is due, by the newest one in the folder that opens and is of this vault.
async fn first_due(
    plan: &BackupPlan,
    vault: &Arc<Vault>,
    now: Timestamp,
    calls: &Arc<Calls>,
) -> Option<Timestamp> {
    let (folder, stem, calls) = (plan.folder.clone(), stem(vault)?, Arc::clone(calls));
    let newest = spawn_blocking(move || {
        let names = calls.during(|| backups(&folder, &stem, now)).ok()?;
        names
            .iter()
            .rev()
            .find(|name| opens(&folder.join(name), &stem, &calls))
            .and_then(|name| time_of(name))
    });
    let newest = newest.await.ok()??;
    vault.set_backed_up(newest, now);
    Some(newest.plus(plan.every))
}

/// Makes a backup, unless the folder hangs: then the copy is given up, and the failure recorded.
async fn attempt(
    plan: &BackupPlan,
    vault: &Arc<Vault>,
    now: Timestamp,
    calls: &Arc<Calls>,
) -> Result<PathBuf, NotMade> {
    let stem = stem(vault).ok_or(vault::Error::Locked)?;
    let path = plan.folder.join(format!("{stem}-{}.redb", compact(now)));
    let begun = unless_hung(calls, HUNG_AFTER, begun(plan, &path, vault, calls)).await;
    if matches!(begun, Err(Hung)) {
        vault.record_lost_backup(now).await;
    }
    let new = begun??;
    unless_hung(calls, HUNG_AFTER, Box::pin(make(new, vault, now, calls))).await??;
    // The backup is made, whatever becomes of the older ones.
    let (folder, keep, counted) = (plan.folder.clone(), plan.keep, Arc::clone(calls));
    let pruned = spawn_blocking(move || counted.during(|| prune(&folder, &stem, keep, now)));
    if unless_hung(calls, HUNG_AFTER, pruned).await.is_err() {
        tracing::warn!(folder = %plan.folder.display(), "the folder hangs: older backups are not removed");
    }
    Ok(path)
}

/// Begins the file of a copy on a thread of its own: a share that hangs must not hang the server too.
async fn begun(
    plan: &BackupPlan,
    path: &Path,
    vault: &Arc<Vault>,
    calls: &Arc<Calls>,
) -> Result<Apart<NewFile>, NotMade> {
    let (path, locking, needed) = (path.to_owned(), plan.locking, vault.file_bytes().unwrap_or(0));
    let counted = Arc::clone(calls);
    let new = spawn_blocking(move || counted.during(|| begin(&path, locking, needed))).await;
    Ok(Apart::new(new.map_err(|_| NotMade::Panicked)??))
}

/// Makes the copy and puts it in its place; only then it counts.
async fn make(
    new: Apart<NewFile>,
    vault: &Arc<Vault>,
    now: Timestamp,
    calls: &Arc<Calls>,
) -> Result<(), NotMade> {
    let (_, backup) = vault.back_up(Watched::over(new.medium(), calls), now).await?;
    let counted = Arc::clone(calls);
    let published = spawn_blocking(move || {
        counted.during(|| new.into_inner().map(NewFile::publish).transpose().map(drop))
    });
    published.await.map_err(|_| NotMade::Panicked)??;
    backup.arrived(vault, now);
    Ok(())
}

/// Begins the file of a copy, once the folder has room for it.
fn begin(path: &Path, locking: Locking, needed: u64) -> Result<NewFile, NotMade> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let stat = rustix::fs::statvfs(folder)
        .map_err(|error| NotMade::Folder { path: folder.to_owned(), source: error.into() })?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if free < needed {
        return Err(NotMade::Room { needed, free });
    }
    Ok(NewFile::begin_with(path, locking)?)
}

/// Returns the beginning of the names of this vault's backups.
fn stem(vault: &Vault) -> Option<String> {
    Some(file_stem(vault.verifier_key().ok()?.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{days, minutes};

    /// A client's own backup made the schedule's one a failure: an alarm and a notice for nothing.
    #[test]
    fn a_backup_that_another_copy_keeps_waiting_fails_only_if_it_waits_for_minutes() {
        let start: Timestamp = "2026-11-24T10:20:30.000Z".parse().unwrap();
        let mut waiting = Waiting::default();
        assert!(waiting.goes_on(start) && waiting.goes_on(start.plus(AGAIN_AFTER / 2)));
        assert!(!waiting.goes_on(start.plus(AGAIN_AFTER)));
        let mut ahead = Waiting::default();
        assert!(ahead.goes_on(start.plus(days(365))) && ahead.goes_on(start));
        assert!(!ahead.goes_on(start.plus(AGAIN_AFTER)), "a clock that came back");
        let told = NotMade::from(vault::Error::Overloaded).to_string();
        assert!(told.contains("another copy is being made"), "{told}");
    }

    /// A clock that was a year ahead for one backup ended the schedule for that year, in silence.
    #[tokio::test(start_paused = true)]
    async fn a_clock_that_was_ahead_never_keeps_the_next_backup_away_for_longer_than_an_interval() {
        let start: Timestamp = "2026-11-24T10:20:30.000Z".parse().unwrap();
        let every = Duration::from_hours(1);
        for ahead in [every, days(1), days(365), days(36_500)] {
            let clock = Clock::manual(start.plus(ahead));
            let mut due = clock.now().plus(every);
            clock.set(start);
            let moved = clock.clone();
            let (now, ()) = tokio::join!(until(&mut due, every, &clock), async move {
                for minute in 1..=61 {
                    sleep(LOOK_EVERY).await;
                    moved.set(start.plus(minutes(minute)));
                }
            });
            assert!(now >= start.plus(every) && now <= start.plus(every + minutes(2)), "{ahead:?}: {now}");
        }
    }

    #[test]
    fn a_copy_that_does_not_fit_is_refused_before_a_byte_of_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealroom-x-20261124T102030Z.redb");
        let refused = begin(&path, Locking::Required, u64::MAX).map(drop).unwrap_err();
        assert!(refused.to_string().starts_with("the copy needs up to "), "{refused}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(begin(&path, Locking::Required, 1).is_ok());
        let gone = begin(&folder.path().join("gone/x.redb"), Locking::Required, 1).map(drop).unwrap_err();
        assert!(gone.to_string().contains("gone: No such file"), "{gone}");
    }
}
