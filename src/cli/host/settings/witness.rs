//! `[witness]`: the logs whose checkpoints the server cosigns, and the witnesses of its own.

use std::path::PathBuf;

use super::sources::{Sources, check_path};
use crate::{
    audit::checkpoint::VerifierKey,
    cli::{error::CliError, host::cosigning::CosignPlan, witness_policy},
    outgoing::WitnessTarget,
};

/// Reads the keys, each alone or after the origin of its log.
///
/// # Errors
/// A text is no verifier key, or the key is of another log than the one named before it.
pub(super) fn read(texts: Option<Vec<String>>, sources: &Sources) -> Result<Vec<VerifierKey>, CliError> {
    let source = sources.of("witness_for", "witness.for");
    let hint = "write what `sealroom audit key` prints at the other vault: sealroom/…+…+…, or ORIGIN=KEY";
    let mut keys: Vec<VerifierKey> = Vec::new();
    for text in texts.unwrap_or_default() {
        let text = text.trim();
        let shown = text.escape_debug();
        let (origin, key) = match (text.parse::<VerifierKey>(), text.split_once('=')) {
            (Ok(key), _) => (None, Ok(key)),
            (Err(_), Some((origin, key))) => (Some(origin), key.parse()),
            (Err(invalid), None) => (None, Err(invalid)),
        };
        let key = key.map_err(|invalid| {
            source.refuse(format!("'{shown}' is no {}, {}", invalid.what, invalid.rule), hint)
        })?;
        // A key speaks only for the log of its own name (C2SP tlog-checkpoint).
        if origin.is_some_and(|origin| origin != key.name()) {
            return Err(source.refuse(format!("'{shown}': the key is that of the log {}", key.name()), hint));
        }
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// Reads the policy by which the server asks the witnesses of its own log.
///
/// # Errors
/// The file breaks a rule, no witness has an https URL, or a setting that it needs is missing.
pub(super) fn read_policy(
    path: Option<PathBuf>,
    (has_folder, has_calls): (bool, bool),
    sources: &Sources,
) -> Result<Option<CosignPlan>, CliError> {
    let source = sources.of("witness_policy", "witness.policy");
    check_path(path.as_deref(), &source)?;
    let Some(path) = path else { return Ok(None) };
    if !has_folder {
        return Err(source.refuse(
            "there is no folder for the cosigned checkpoints",
            "set folder in [checkpoint], or omit the policy",
        ));
    }
    if !has_calls {
        let hint = "set enabled = true in [outgoing], and list the witnesses' hosts there";
        return Err(source.refuse("outgoing calls are off", hint));
    }
    let policy = witness_policy::read_as(&path, &source.to_string())?;
    let mut targets = Vec::new();
    for witness in policy.witnesses() {
        let Some(url) = &witness.url else { continue };
        // Not the text itself: it may have a password in it.
        let target: WitnessTarget = url.parse().map_err(|invalid: crate::domain::Invalid| {
            let what = format!("{}: the URL of {} is not {}", path.display(), witness.name, invalid.rule);
            source.refuse(what, "write the submission prefix: https://HOST/witness")
        })?;
        targets.push((witness.clone(), target));
    }
    if targets.is_empty() {
        let what = format!("{}: no witness has a URL", path.display());
        return Err(source.refuse(what, "add it to a witness line: witness NAME KEY https://HOST/witness"));
    }
    Ok(Some(CosignPlan { path, policy, targets }))
}
