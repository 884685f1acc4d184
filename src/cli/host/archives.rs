//! The server's own archives: old events leave the vault for verifiable files in a folder, once they have an age.

use std::{path::PathBuf, pin::pin, sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{archiving, checkpoints::CheckpointPlan, host_actor::host_actor};
use crate::{clock::Clock, domain::Timestamp, vault::Vault};

/// The interval between two looks at the log.
const LOOK_EVERY: Duration = Duration::from_hours(1);
/// The interval between two looks at a locked vault: the first look at the log follows its unlock.
const LOCKED_EVERY: Duration = Duration::from_secs(1);

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
        archive(plan, checkpoints, vault, clock).await;
        sleep(LOOK_EVERY).await;
    }
}

async fn archive(
    plan: &ArchivePlan,
    checkpoints: Option<&CheckpointPlan>,
    vault: &Arc<Vault>,
    clock: &Clock,
) {
    let now = clock.now();
    let Ok(key) = vault.verifier_key() else { return };
    let path = plan.folder.join(format!("{}-{}.archive", key.name().replace('/', "-"), stamp(now)));
    let moving = Arc::default();
    let before = now.minus(plan.keep);
    let mut work = pin!(archiving::archive(vault, clock, host_actor(), before, &path, checkpoints, &moving));
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            () = sleep(LATE_AFTER) => {
                tracing::error!(path = %path.display(), "the archive has not ended yet: does its folder answer?");
            }
        }
    };
    match done {
        Ok(Some((first, last))) => tracing::info!(first, last, path = %path.display(), "events archived"),
        Ok(None) => {}
        Err(error) => tracing::error!(error = error.message, hint = error.hint, "the archive failed"),
    }
}

/// Returns a time for a file's name: without the colons, which some file systems forbid.
fn stamp(time: Timestamp) -> String {
    time.to_string().replace(':', "")
}
