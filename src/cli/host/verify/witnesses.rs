//! The witnesses that vouch for a checkpoint, by a policy (C2SP `tlog-policy`).

use serde_json::{Value, json};

use super::{
    args::{Args, Given},
    failure::failed,
    given::Note,
};
use crate::{
    audit::{
        checkpoint::VerifierKey,
        key_ring::KeyRing,
        witness_policy::{Policy, Vouched},
    },
    cli::{error::CliError, witness_policy::check_log},
    clock::Clock,
};

/// A checkpoint that enough witnesses cosigned.
pub(super) struct Witnessed {
    size: u64,
    vouched: Vouched,
}

impl Witnessed {
    pub(super) fn to_text(&self) -> String {
        let by = self.vouched.by.iter().map(|(name, at)| format!("{name} at {at}"));
        let by: Vec<String> = by.collect();
        match by.as_slice() {
            [] => "no witness: the policy needs none".to_owned(),
            by => format!("the witnesses of its first {} records: {}", self.size, by.join(", ")),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let by = self.vouched.by.iter().map(|(name, at)| json!({ "witness": name, "at": at.to_string() }));
        json!({ "size": self.size, "by": by.collect::<Vec<_>>(), "missing": self.vouched.missing })
    }
}

/// Returns the log's key: the given one, or that of the only log in the policy.
///
/// # Errors
/// The policy names logs, and not the one with the given key.
pub(super) fn key_of(
    args: &Args,
    given: Option<VerifierKey>,
    policy: Option<&Policy>,
) -> Result<Option<VerifierKey>, CliError> {
    match (given, policy, args.policy.as_deref()) {
        (Some(key), Some(policy), Some(path)) => check_log(policy, &key, path).map(|()| Some(key)),
        (None, Some(policy), _) => Ok(match policy.logs() {
            [key] => Some(key.clone()),
            _ => None,
        }),
        (given, _, _) => Ok(given),
    }
}

/// Finds the largest of the checkpoints that satisfies the policy; none without a policy.
///
/// # Errors
/// There is no such checkpoint, a line of a witness does not hold, or no key says which checkpoints are the log's.
pub(super) fn witnessed(
    args: &Args,
    given: &Given,
    notes: &[Note],
    keys: Option<&KeyRing>,
) -> Result<Option<Witnessed>, CliError> {
    let (Some(policy), Some(path)) = (&given.policy, &args.checkpoint) else { return Ok(None) };
    let Some(keys) = keys.filter(|_| given.key.is_some()) else {
        return Err(CliError::usage(
            "--policy: without the log's key anybody could have made the log that the witnesses saw",
            "pass --key with the one that `init` printed, or add a log line to the policy",
        ));
    };
    let now = Clock::system().now();
    let (mut found, mut best): (Option<Witnessed>, Option<Witnessed>) = (None, None);
    for text in notes.iter().filter_map(Note::text) {
        // A checkpoint of another vault, or between two keys: the checks of the checkpoints judge it.
        let Ok(kept) = keys.open(text) else { continue };
        let vouched = policy.vouched(text, now).map_err(|_| {
            let size = kept.size;
            let message = format!("a witness's signature on the checkpoint of {size} records does not hold");
            failed(path, &message, "keep it as evidence, and take another copy of the cosigned checkpoint")
        })?;
        let of = Witnessed { size: kept.size, vouched };
        let place = if of.vouched.is_enough { &mut found } else { &mut best };
        if place.as_ref().is_none_or(|other| other.rank(&of)) {
            *place = Some(of);
        }
    }
    if found.is_some() {
        return Ok(found);
    }
    Err(failed(
        path,
        &too_few(best.as_ref()),
        "ask them with `sealroom audit cosign`, and pass the file that it writes",
    ))
}

impl Witnessed {
    /// Returns whether the other one says more: it has more witnesses, or as many and more records.
    fn rank(&self, other: &Self) -> bool {
        let key = |one: &Self| (if one.vouched.is_enough { 0 } else { one.vouched.by.len() }, one.size);
        key(self) < key(other)
    }
}

fn too_few(best: Option<&Witnessed>) -> String {
    let Some(Witnessed { size, vouched }) = best else {
        return "no checkpoint of this log, so that no witness vouches for it".to_owned();
    };
    let by: Vec<&str> = vouched.by.iter().map(|(name, _)| name.as_str()).collect();
    let by =
        if by.is_empty() { "no witness of the policy".to_owned() } else { format!("only {}", by.join(", ")) };
    let missing = vouched.missing.join(", ");
    format!(
        "{by} vouches for the checkpoint of {size} records, fewer than the policy needs; missing: {missing}"
    )
}
