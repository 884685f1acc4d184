//! The server's own backups: a verified copy in a folder at each interval, the newest few kept.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{task::spawn_blocking, time::sleep};

use super::{
    hanging::{Apart, Hung, unless_hung},
    read_only,
};
use crate::{
    clock::Clock,
    disk::{self, Calls, FileError, Locking, NewFile, Watched},
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
/// The length of a time in a file's name: `20261124T100000Z`.
const TIME_CHARS: usize = 16;

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
        while clock.now() < due {
            sleep(due.since(clock.now()).min(LOOK_EVERY)).await;
        }
        let now = clock.now();
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

/// The time since which a backup waits for another copy to end, or for fewer requests.
#[derive(Debug, Default)]
struct Waiting(Option<Timestamp>);

impl Waiting {
    /// Returns whether it may wait on: it becomes a failure if it waits for minutes.
    fn goes_on(&mut self, now: Timestamp) -> bool {
        now.since(*self.0.get_or_insert(now)) < AGAIN_AFTER
    }
}

/// Returns when the next backup is due, by the newest one in the folder.
async fn first_due(
    plan: &BackupPlan,
    vault: &Arc<Vault>,
    now: Timestamp,
    calls: &Arc<Calls>,
) -> Option<Timestamp> {
    let (folder, stem, calls) = (plan.folder.clone(), stem(vault)?, Arc::clone(calls));
    let names = spawn_blocking(move || calls.during(|| backups(&folder, &stem, now))).await.ok()?.ok()?;
    let newest = time_of(names.last()?)?;
    vault.set_backed_up(newest);
    Some(newest.plus(plan.every))
}

/// Makes a backup, unless the folder hangs: then the copy is given up, and the failure recorded.
async fn attempt(
    plan: &BackupPlan,
    vault: &Arc<Vault>,
    now: Timestamp,
    calls: &Arc<Calls>,
) -> Result<PathBuf, NotMade> {
    let made = unless_hung(calls, HUNG_AFTER, Box::pin(make(plan, vault, now, calls))).await;
    if matches!(made, Err(Hung)) {
        vault.record_lost_backup(now).await;
    }
    made?
}

async fn make(
    plan: &BackupPlan,
    vault: &Arc<Vault>,
    now: Timestamp,
    calls: &Arc<Calls>,
) -> Result<PathBuf, NotMade> {
    let stem = stem(vault).ok_or(vault::Error::Locked)?;
    let path = plan.folder.join(format!("{stem}-{}.redb", compact(now)));
    let (begun, locking, needed) = (path.clone(), plan.locking, vault.file_bytes().unwrap_or(0));
    let counted = Arc::clone(calls);
    // A share that hangs must not hang the server too.
    let new = spawn_blocking(move || counted.during(|| begin(&begun, locking, needed))).await;
    let new = Apart::new(new.map_err(|_| NotMade::Panicked)??);
    vault.back_up(Watched::over(new.medium(), calls), now).await?;
    let (folder, keep, counted) = (plan.folder.clone(), plan.keep, Arc::clone(calls));
    let done = spawn_blocking(move || {
        let finish = || {
            new.into_inner().map(NewFile::publish).transpose()?;
            prune(&folder, &stem, keep, now).map_err(|source| NotMade::Folder { path: folder, source })
        };
        counted.during(finish)
    });
    done.await.map_err(|_| NotMade::Panicked)??;
    Ok(path)
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
    Some(vault.verifier_key().ok()?.name().replace('/', "-"))
}

/// Removes all but the newest backups of this vault, and what a killed run left. A new one is verified by now.
fn prune(folder: &Path, stem: &str, keep: usize, now: Timestamp) -> io::Result<()> {
    let names = backups(folder, stem, now)?;
    for name in names.iter().rev().skip(keep) {
        fs::remove_file(folder.join(name))?;
    }
    for entry in fs::read_dir(folder)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        let unfinished = name.strip_prefix('.').and_then(|name| name.strip_suffix(disk::UNFINISHED));
        let left = unfinished.or_else(|| name.strip_suffix(".lock"));
        if let Some(of) = left.filter(|of| is_backup(of, stem)) {
            disk::sweep(&folder.join(of));
        }
    }
    Ok(())
}

/// Returns the names of this vault's backups, oldest first. A time ahead of the clock, and a file without a byte, are
/// nobody's backup: they must neither postpone the next one nor push the newest one out.
fn backups(folder: &Path, stem: &str, now: Timestamp) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !is_backup(&name, stem) || !entry.file_type()?.is_file() {
            continue;
        }
        if time_of(&name).is_none_or(|time| time > now) || entry.metadata()?.len() == 0 {
            tracing::warn!(file = name, "ignored: it is empty, or its time is ahead of the clock");
            continue;
        }
        names.push(name);
    }
    names.sort();
    Ok(names)
}

fn is_backup(name: &str, stem: &str) -> bool {
    name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('-')) && time_of(name).is_some()
}

/// Returns a time as a file's name has it: without the colons, which some file systems forbid.
fn compact(time: Timestamp) -> String {
    let text: String = time.to_string().chars().filter(char::is_ascii_alphanumeric).collect();
    // Without the milliseconds.
    format!("{}Z", text.get(..TIME_CHARS - 1).unwrap_or(&text))
}

/// Returns the time in a backup's name.
fn time_of(name: &str) -> Option<Timestamp> {
    let stem = name.strip_suffix(".redb")?;
    let time = stem.get(stem.len().checked_sub(TIME_CHARS)?..)?;
    let part = |from: usize, to: usize| time.get(from..to);
    let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
    if date.len() != 8 || clock.len() != 6 {
        return None;
    }
    let text = format!(
        "{}-{}-{}T{}:{}:{}.000Z",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(9, 11)?,
        part(11, 13)?,
        part(13, 15)?
    );
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backups_name_says_its_time_and_no_other_file_is_taken_for_one() {
        let time: Timestamp = "2026-11-24T10:20:30.000Z".parse().unwrap();
        let name = format!("sealroom-x-{}.redb", compact(time));
        assert_eq!(name, "sealroom-x-20261124T102030Z.redb");
        assert!(is_backup(&name, "sealroom-x") && time_of(&name) == Some(time));
        for other in [
            "sealroom-y-20261124T102030Z.redb",
            "sealroom-xx-20261124T102030Z.redb",
            "sealroom-x-mine.redb",
            "sealroom-x.redb",
            "sealroom-x-20261124T102030Z.redb.old",
            "20261124T102030Z.redb",
        ] {
            assert!(!is_backup(other, "sealroom-x"), "{other}");
        }
    }

    /// A client's own backup made the schedule's one a failure: an alarm and a notice for nothing.
    #[test]
    fn a_backup_that_another_copy_keeps_waiting_fails_only_if_it_waits_for_minutes() {
        let start: Timestamp = "2026-11-24T10:20:30.000Z".parse().unwrap();
        let mut waiting = Waiting::default();
        assert!(waiting.goes_on(start) && waiting.goes_on(start.plus(AGAIN_AFTER / 2)));
        assert!(!waiting.goes_on(start.plus(AGAIN_AFTER)));
        let told = NotMade::from(vault::Error::Overloaded).to_string();
        assert!(told.contains("another copy is being made"), "{told}");
    }

    #[test]
    fn a_copy_that_does_not_fit_is_refused_before_a_byte_of_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealroom-x-20261124T102030Z.redb");
        let refused = begin(&path, Locking::Required, u64::MAX).map(drop).unwrap_err();
        assert!(refused.to_string().starts_with("the copy needs up to "), "{refused}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(begin(&path, Locking::Required, 1).is_ok());
        let gone = begin(&folder.path().join("gone/x.redb"), Locking::Required, 1).map(drop).unwrap_err();
        assert!(gone.to_string().contains("gone: No such file"), "{gone}");
    }

    #[test]
    fn pruning_removes_no_file_that_is_not_an_older_backup_of_this_vault() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let (kept, gone) = (
            ["sealroom-x-20261126T000000Z.redb", "sealroom-x-20261125T000000Z.redb"],
            "sealroom-x-20261124T000000Z.redb",
        );
        let others = ["sealroom-y-20260101T000000Z.redb", "notes.txt", "sealroom-x-mine.redb", "team.redb"];
        let left =
            [".sealroom-x-20261123T000000Z.redb.sealroom-new", "sealroom-x-20261123T000000Z.redb.lock"];
        for name in kept.iter().chain([&gone]).chain(&others).chain(&left) {
            fs::write(folder.join(name), if name.contains(".redb.lock") { "4000000\n" } else { "x" })
                .unwrap();
        }
        // Neither pushes a real one out, nor is the newest.
        let (ahead, empty) = ("sealroom-x-20300101T000000Z.redb", "sealroom-x-20261127T000000Z.redb");
        fs::write(folder.join(ahead), "x").unwrap();
        fs::write(folder.join(empty), "").unwrap();
        let now: Timestamp = "2026-11-28T00:00:00.000Z".parse().unwrap();
        prune(folder, "sealroom-x", 2, now).unwrap();
        assert_eq!(backups(folder, "sealroom-x", now).unwrap().last().unwrap(), kept[0]);
        for name in kept.iter().chain(&others).chain(&[ahead, empty]) {
            assert!(folder.join(name).exists(), "{name}");
        }
        for name in left.iter().chain([&gone]) {
            assert!(!folder.join(name).exists(), "{name}");
        }
    }
}
