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
    clock::{Clock, monotonic},
    domain::days,
    outgoing::{Failure, Outgoing, WitnessTarget},
    vault::Vault,
};

/// Time limit for one witness, all its answers together.
const WITNESS_MAX: Duration = Duration::from_secs(10);
/// The time of attempts in vain after which a witness counts as silent.
const SILENT_AFTER: Duration = days(1);
/// The failed attempts that it takes as well.
const SILENT_FAILURES: u32 = 3;

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

/// The standing of a witness, by its answers since the start.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    /// The size that it cosigned last.
    size: u64,
    /// True from a refusal of this log as another one on, until the witness cosigns again.
    is_refusing: bool,
    /// The time of the first failed attempt since it cosigned.
    failing_since: Option<Duration>,
    /// The failed attempts since then: nobody asks while the log does not grow.
    failures: u32,
}

impl Standing {
    const fn cosigned(&mut self, size: u64) {
        *self = Self { size, is_refusing: false, failing_since: None, failures: 0 };
    }

    fn failed(&mut self, error: &NotAsked, now: Duration) {
        if !error.is_no_fault_of_it() {
            self.failing_since.get_or_insert(now);
            self.failures = self.failures.saturating_add(1);
        }
        self.is_refusing |= error.is_alarm();
    }

    fn is_silent(&self, now: Duration) -> bool {
        self.failures >= SILENT_FAILURES
            && self.failing_since.is_some_and(|since| now.saturating_sub(since) >= SILENT_AFTER)
    }
}

impl NotAsked {
    /// Returns whether the vault itself had no proof or no size, as while it locks, or another asker was ahead.
    const fn is_no_fault_of_it(&self) -> bool {
        matches!(
            self,
            Self::NoProof | Self::Unvouched(Unvouched::Overtaken { .. } | Unvouched::Unsettled { .. })
        )
    }

    const fn is_alarm(&self) -> bool {
        matches!(self, Self::Unvouched(error) if error.is_alarm())
    }
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
    // Each witness's standing, and the checkpoint that enough of them cosigned.
    let (mut standings, mut cosigned) = (vec![Standing::default(); plan.targets.len()], 0);
    loop {
        every.tick().await;
        let Some((note, own)) = newest(vault).filter(|(_, own)| *own > cosigned) else { continue };
        if ask_all(plan, checkpoints, outgoing, vault, clock, &mut standings, (&note, own)).await {
            cosigned = own;
        }
        let (now, mut all) = (monotonic(), standings.iter());
        let is_refused = all.clone().any(|standing| standing.is_refusing);
        vault.set_witnesses(is_refused, all.any(|standing| standing.is_silent(now)));
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
    standings: &mut [Standing],
    (note, own): (&str, u64),
) -> bool {
    let mut lines = String::new();
    for ((witness, target), standing) in plan.targets.iter().zip(standings) {
        let asking = ask((&witness.key, target), outgoing, vault, clock, (note, own), standing.size);
        match timeout(WITNESS_MAX, asking).await.unwrap_or(Err(NotAsked::Late)) {
            Ok(line) => {
                lines.push_str(&line);
                standing.cosigned(own);
            }
            Err(error) => {
                let now = monotonic();
                standing.failed(&error, now);
                report(witness, &error, standing.is_silent(now));
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

/// Logs why a witness did not cosign.
fn report(witness: &Witness, error: &NotAsked, is_silent: bool) {
    let witness = &witness.name;
    if error.is_alarm() {
        tracing::error!(
            target: ASKED,
            witness,
            "a witness refuses this log: {error}; keep the file, and compare it with a backup and the checkpoint folder"
        );
    } else if is_silent {
        let hint = "ask its operator, or name another one in the policy";
        tracing::error!(witness, %error, hint, "a witness has cosigned no checkpoint for a day");
    } else {
        tracing::warn!(witness, %error, "a witness did not cosign the checkpoint");
    }
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
        let taken = asking.take(answer.status, &answer.media_type, &answer.text, clock.now());
        let by_now = |error: Unvouched| error.by_now(newest(vault).map(|(_, size)| size));
        if let Some(line) = taken.map_err(by_now)? {
            return Ok(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::minutes;

    /// A witness that refused was a line in the log, and one that was gone for weeks a warning a minute.
    #[test]
    fn no_witness_refuses_or_is_gone_for_a_day_without_counting_so_until_it_cosigns() {
        let start = days(40);
        let refusal = || NotAsked::Unvouched(Unvouched::Ahead { seen: 9, own: 3 });
        let failures: [fn() -> NotAsked; 4] = [
            || NotAsked::Late,
            || NotAsked::Failed(Failure::TimedOut),
            || NotAsked::Unvouched(Unvouched::Unsigned),
            || NotAsked::Unvouched(Unvouched::Other { status: 500, text: String::new() }),
        ];
        for failure in failures {
            let mut standing = Standing::default();
            let mut now = start;
            while now < start + SILENT_AFTER {
                standing.failed(&failure(), now);
                assert!(!standing.is_silent(now) && !standing.is_refusing, "{now:?}");
                now += minutes(1);
            }
            standing.failed(&failure(), now);
            assert!(standing.is_silent(now) && !standing.is_refusing);
            // A refusal is told at once, and being unreachable afterwards takes nothing back.
            standing.failed(&refusal(), now);
            standing.failed(&failure(), now);
            assert!(standing.is_refusing);
            standing.cosigned(12);
            assert!(!standing.is_refusing && !standing.is_silent(now + days(9)) && standing.size == 12);
            standing.failed(&failure(), now + days(9));
            assert!(!standing.is_silent(now + days(9)), "its day begins anew");
        }
        // Friday's last attempt and Monday's first one are no three days of silence.
        let mut weekend = Standing::default();
        for now in [start, start + days(3)] {
            weekend.failed(&NotAsked::Late, now);
            assert!(!weekend.is_silent(now));
        }
        weekend.failed(&NotAsked::Late, start + days(3));
        assert!(weekend.is_silent(start + days(3)));
        let mut locked = Standing::default();
        for day in 0..5 {
            locked.failed(&NotAsked::NoProof, start + days(day));
            locked.failed(&NotAsked::Unvouched(Unvouched::Overtaken { seen: 9 }), start + days(day));
            locked.failed(&NotAsked::Unvouched(Unvouched::Unsettled { seen: 9 }), start + days(day));
        }
        assert!(
            !locked.is_refusing && !locked.is_silent(start + days(9)),
            "a vault without a proof is no fault of its witness"
        );
    }
}
