//! The server's own archives: old events leave the vault for verifiable files in a folder, once they have an age.

use std::{path::PathBuf, pin::pin, sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    archiving::{self, NotArchived},
    checkpoints::CheckpointPlan,
    host_actor::host_actor,
};
use crate::{cli::error::CliError, clock::Clock, domain::Timestamp, vault::Vault};

/// The interval between two looks at the log.
const LOOK_EVERY: Duration = Duration::from_hours(1);
/// The interval between two looks at a locked vault: the first look at the log follows its unlock.
const LOCKED_EVERY: Duration = Duration::from_secs(1);
/// The pause before an archive that failed is tried again.
const AGAIN_AFTER: Duration = Duration::from_mins(5);
/// The time after which an archive that goes on is reported, each time again: a share may hang.
const LATE_AFTER: Duration = Duration::from_mins(10);

/// The folder, and the age at which an event leaves the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ArchivePlan {
    pub(super) folder: PathBuf,
    pub(super) keep: Duration,
}

/// Archives old events for as long as it is polled. Reports failures, which stop nothing and lose no event.
pub(super) async fn keep(
    plan: Option<&ArchivePlan>,
    checkpoints: Option<&CheckpointPlan>,
    vault: &Arc<Vault>,
    clock: &Clock,
) {
    let Some(plan) = plan else { return std::future::pending().await };
    loop {
        if vault.is_locked() {
            sleep(LOCKED_EVERY).await;
            continue;
        }
        sleep(archive(plan, checkpoints, vault, clock).await).await;
    }
}

/// Looks at the log once, and archives what is old; returns the time until the next look.
async fn archive(
    plan: &ArchivePlan,
    checkpoints: Option<&CheckpointPlan>,
    vault: &Arc<Vault>,
    clock: &Clock,
) -> Duration {
    let now = clock.now();
    let Ok(key) = vault.verifier_key() else { return AGAIN_AFTER };
    let path = plan.folder.join(format!("{}-{}.archive", key.name().replace('/', "-"), stamp(now)));
    let moving = Arc::default();
    let before = now.minus(plan.keep);
    let mut work = pin!(archiving::archive(vault, clock, host_actor(), before, &path, checkpoints, &moving));
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            () = sleep(LATE_AFTER) => {
                vault.set_archive_failed(true);
                tracing::error!(path = %path.display(), "the archive has not ended yet: does its folder answer?");
            }
        }
    };
    match done {
        Ok(moved) => {
            vault.set_archive_failed(false);
            if let Some((first, last)) = moved {
                tracing::info!(first, last, path = %path.display(), "events archived");
            }
            LOOK_EVERY
        }
        // The operator's own act: it must look like no failure, and the archive goes on as soon as it can.
        Err(NotArchived::Locked(CliError { message, .. })) => {
            tracing::info!(
                cause = message,
                "a lock interrupted the archive: it begins again after the unlock"
            );
            LOCKED_EVERY
        }
        Err(NotArchived::Failed(CliError { message, hint, .. })) => {
            vault.set_archive_failed(true);
            tracing::error!(error = message, hint, "the archive failed");
            AGAIN_AFTER
        }
    }
}

/// Returns a time for a file's name: without the colons, which some file systems forbid.
fn stamp(time: Timestamp) -> String {
    time.to_string().replace(':', "")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        clock::monotonic,
        disk::{DataFile, Locking},
        domain::{Action, Actor, Event, Secret},
        vault::Settings,
    };

    /// The passphrase of the fixture.
    const PASSPHRASE: &str = "correct horse battery staple example";
    /// A month after the events of the fixture.
    const LATER: Timestamp = Timestamp::from_millis(1_798_106_400_000);

    /// A locked vault with more than a block of old events, in a folder with one for archives and one for checkpoints.
    fn vault(home: &Path) -> (Arc<Vault>, ArchivePlan, CheckpointPlan) {
        let path = home.join("v.redb");
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1.redb");
        std::fs::copy(fixture, &path).unwrap();
        let [archives, kept] = ["archives", "kept"].map(|name| home.join(name));
        std::fs::create_dir(&archives).unwrap();
        std::fs::create_dir(&kept).unwrap();
        let file = DataFile::open(&path, Locking::Required).unwrap();
        let vault = Vault::open(file.medium(), Settings::new(Actor::host("test"), monotonic)).unwrap();
        let day = Duration::from_hours(24);
        let plan = ArchivePlan { folder: archives, keep: day };
        (Arc::new(vault), plan, CheckpointPlan { folder: kept, every: day })
    }

    async fn unlock(vault: &Vault) {
        let secret = Secret::new(PASSPHRASE.as_bytes().to_vec());
        vault.unlock(secret, Actor::host("test"), LATER, None).await.unwrap();
    }

    async fn lock(vault: &Vault) {
        let event = Event::new(LATER, Actor::host("test"), Action::VaultLock);
        vault.lock(event).await.map_err(drop).unwrap();
    }

    fn archived(plan: &ArchivePlan) -> usize {
        std::fs::read_dir(&plan.folder).unwrap().count()
    }

    /// The first look of a schedule follows an unlock, and takes as long as the checkpoint's sync: a lock meanwhile was
    /// reported as an archive that failed, with the advice to examine the vault, and the next look came an hour later.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_lock_at_any_moment_looks_like_no_failed_archive_and_only_delays_it() {
        let home = tempfile::tempdir().unwrap();
        let (vault, plan, checkpoints) = vault(home.path());
        let mut interrupted = 0;
        for cycle in 0..60 {
            unlock(&vault).await;
            let (of, plan, checkpoints) = (Arc::clone(&vault), plan.clone(), checkpoints.clone());
            // Each archive has a name of its own.
            let clock = Clock::manual(LATER.plus(Duration::from_secs(cycle)));
            let archiving =
                tokio::spawn(async move { archive(&plan, Some(&checkpoints), &of, &clock).await });
            // Another moment of the archive each time.
            for _ in 0..cycle * cycle {
                tokio::task::yield_now().await;
            }
            lock(&vault).await;
            let next = archiving.await.unwrap();
            assert!(next == LOCKED_EVERY || next == LOOK_EVERY, "cycle {cycle}: {next:?}");
            assert!(!vault.is_archive_failed(), "cycle {cycle}");
            interrupted += usize::from(next == LOCKED_EVERY);
        }
        assert!(interrupted > 0, "no lock came between");
        unlock(&vault).await;
        let clock = Clock::manual(LATER.plus(Duration::from_hours(1)));
        assert_eq!(archive(&plan, Some(&checkpoints), &vault, &clock).await, LOOK_EVERY);
        assert!(vault.first_record().unwrap().0 > 0 && archived(&plan) > 0);
    }

    #[tokio::test]
    async fn an_archive_that_fails_is_told_and_tried_again_before_the_next_hour() {
        let home = tempfile::tempdir().unwrap();
        let (vault, plan, _) = vault(home.path());
        let clock = Clock::manual(LATER);
        std::fs::remove_dir(&plan.folder).unwrap();
        unlock(&vault).await;
        assert_eq!(archive(&plan, None, &vault, &clock).await, AGAIN_AFTER);
        assert!(vault.is_archive_failed());
        std::fs::create_dir(&plan.folder).unwrap();
        assert_eq!(archive(&plan, None, &vault, &clock).await, LOOK_EVERY);
        assert!(!vault.is_archive_failed() && archived(&plan) == 1);
        // Nothing is old enough, which is no failure.
        assert_eq!(archive(&plan, None, &vault, &clock).await, LOOK_EVERY);
        assert!(!vault.is_archive_failed() && archived(&plan) == 1);
    }
}
