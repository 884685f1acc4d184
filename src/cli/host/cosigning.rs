//! The server's own requests to witnesses: the checkpoint folder gets the newest checkpoint that enough of them cosigned.
//!
//! No key and no row is involved: a witness gets a signed size and hash, and a proof of hashes.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{
    checkpoints::{self, CheckpointPlan},
    repeats::ASKED,
};
use crate::{
    audit::{
        checkpoint,
        cosignature::WitnessKey,
        witness_asking::{Asking, Unvouched},
        witness_policy::{Policy, Witness},
    },
    cli::error::CliError,
    clock::Clock,
    outgoing::{Failure, Outgoing, WitnessTarget},
    vault::Vault,
};

/// Time limit for one witness, all its answers together.
const WITNESS_MAX: Duration = Duration::from_secs(10);

/// The witnesses, and how many of them are needed.
#[derive(Debug, Clone)]
pub(super) struct CosignPlan {
    /// The file of the policy.
    pub(super) path: PathBuf,
    pub(super) policy: Policy,
    /// Those that have a URL.
    pub(super) targets: Vec<(Witness, WitnessTarget)>,
}

/// A witness that did not cosign, and the reason.
#[derive(Debug, thiserror::Error)]
enum NotAsked {
    #[error("it did not answer within {} seconds", WITNESS_MAX.as_secs())]
    Late,
    #[error("{0}")]
    Failed(Failure),
    #[error(transparent)]
    Unvouched(#[from] Unvouched),
    #[error("the vault has no proof for it now")]
    NoProof,
}

/// Checks that every witness's host may be called.
///
/// # Errors
/// One is not listed.
pub(super) fn check(plan: Option<&CosignPlan>, outgoing: Option<&Outgoing>) -> Result<(), CliError> {
    let (Some(plan), Some(outgoing)) = (plan, outgoing) else { return Ok(()) };
    match plan.targets.iter().find(|(_, target)| !outgoing.allows_witness(target)) {
        None => Ok(()),
        Some((witness, target)) => {
            let (path, host) = (plan.path.display(), target.host());
            let message =
                format!("{path}: the host {host} of {} is not in hosts of [outgoing]", witness.name);
            Err(CliError::failed(message, format!("add \"{host}\" there")))
        }
    }
}

/// Asks the witnesses at each interval of the checkpoints, for as long as it is polled. Reports failures, which stop
/// nothing.
pub(super) async fn keep(
    plan: Option<&CosignPlan>,
    checkpoints: Option<&CheckpointPlan>,
    outgoing: Option<&Arc<Outgoing>>,
    vault: &Arc<Vault>,
    clock: &Clock,
) {
    let (Some(plan), Some(checkpoints), Some(outgoing)) = (plan, checkpoints, outgoing) else {
        return std::future::pending().await;
    };
    let mut every = interval(checkpoints.every);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The size that each witness cosigned last, and the checkpoint that enough of them did.
    let (mut sizes, mut cosigned) = (vec![0; plan.targets.len()], 0);
    loop {
        every.tick().await;
        let Some((note, own)) = newest(vault).filter(|(_, own)| *own > cosigned) else { continue };
        if ask_all(plan, checkpoints, outgoing, vault, clock, &mut sizes, (&note, own)).await {
            cosigned = own;
        }
    }
}

/// Returns the newest checkpoint and its size; none while the vault is locked, since no proof can be made.
fn newest(vault: &Vault) -> Option<(String, u64)> {
    let note = vault.checkpoint().ok().filter(|_| !vault.is_locked())?;
    let size = checkpoint::read_unsigned(&note).ok()?.size;
    Some((note, size))
}

/// Asks all witnesses, one after the other, and keeps the note if enough of them cosigned it; returns whether it did.
async fn ask_all(
    plan: &CosignPlan,
    checkpoints: &CheckpointPlan,
    outgoing: &Outgoing,
    vault: &Arc<Vault>,
    clock: &Clock,
    sizes: &mut [u64],
    (note, own): (&str, u64),
) -> bool {
    let mut lines = String::new();
    for ((witness, target), size) in plan.targets.iter().zip(sizes) {
        let asking = ask((&witness.key, target), outgoing, vault, clock, (note, own), *size);
        match timeout(WITNESS_MAX, asking).await.unwrap_or(Err(NotAsked::Late)) {
            Ok(line) => {
                lines.push_str(&line);
                *size = own;
            }
            Err(NotAsked::Unvouched(error)) if error.is_alarm() => tracing::error!(
                target: ASKED,
                witness = witness.name,
                "a witness refuses this log: {error}; keep the file, and compare it with a backup and the checkpoint folder"
            ),
            Err(error) => {
                tracing::warn!(witness = witness.name, %error, "a witness did not cosign the checkpoint");
            }
        }
    }
    let note = [note, &lines].concat();
    let vouched = match plan.policy.vouched(&note, clock.now()) {
        Ok(vouched) => vouched,
        Err(error) => {
            tracing::error!(%error, "the cosigned checkpoint does not verify");
            return false;
        }
    };
    if !vouched.is_enough {
        tracing::warn!(
            size = own,
            missing = vouched.missing.join(", "),
            "fewer witnesses than the policy needs"
        );
        return false;
    }
    checkpoints::write_cosigned(checkpoints, vault, note).await
}

async fn ask(
    (key, target): (&WitnessKey, &WitnessTarget),
    outgoing: &Outgoing,
    vault: &Vault,
    clock: &Clock,
    (note, own): (&str, u64),
    old: u64,
) -> Result<String, NotAsked> {
    let log = vault.verifier_key().map_err(|_| NotAsked::NoProof)?;
    let mut asking = Asking::new(key, &log, note, own, old);
    loop {
        let proof = match asking.proven() {
            Some((from, to)) => vault.consistency(from, to).map_err(|_| NotAsked::NoProof)?,
            None => Vec::new(),
        };
        let answer = outgoing.add_checkpoint(target, asking.body(proof)).await.map_err(NotAsked::Failed)?;
        if let Some(line) = asking.take(answer.status, &answer.media_type, &answer.text, clock.now())? {
            return Ok(line);
        }
    }
}
