//! Report of `audit verify` about a log without a flaw: what is proven, and what had to be trusted.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{
    args::{Args, Given},
    witnesses::Witnessed,
};
use crate::{
    audit::{
        checkpoint::{Checkpoint, VerifierKey},
        key_ring::KeyRing,
        verify::Good,
    },
    cli::{
        error::CliError,
        terminal::{output::Output, visible::visible},
    },
};

/// Evidence behind a result.
pub(super) struct Basis {
    rests_on: Vec<String>,
    trusted: Vec<String>,
    /// A verified signature, even one by the file's own key, binds the records.
    is_proven: bool,
    /// The key of that signature came from the user.
    is_strict: bool,
    /// The cosigned checkpoint, where a policy asks for one.
    witnessed: Option<Witnessed>,
}

impl Basis {
    /// Weighs the given key and checkpoints, and a vault file's own key.
    pub(super) fn new(
        args: &Args,
        given: Option<&VerifierKey>,
        keys: Option<&KeyRing>,
        own: Option<&VerifierKey>,
        kept: &[Checkpoint],
    ) -> Self {
        let (mut rests_on, mut trusted) = (Vec::new(), Vec::new());
        match (given, own) {
            (Some(key), _) => {
                rests_on.push(format!("the key {key}"));
                let next = keys.filter(|keys| keys.has_successors()).map(KeyRing::newest);
                rests_on.extend(next.map(|next| format!("its handover to the log's newest key {next}")));
            }
            (None, Some(_)) => trusted
                .push("the key inside this file; pass --key with the one that `init` printed".to_owned()),
            (None, None) => trusted
                .push("no signature was checked; pass --key with the one that `init` printed".to_owned()),
        }
        let largest = kept.iter().map(|checkpoint| checkpoint.size).max();
        match (&args.checkpoint, largest) {
            (Some(path), Some(size)) => {
                rests_on.push(format!("the checkpoint of {size} records in {}", path.display()));
            }
            _ if own.is_some() => trusted.push(
                "the checkpoint inside this file: an older copy of the whole file would pass too; pass --checkpoint"
                    .to_owned(),
            ),
            _ => trusted.push(
                "every record: the export is only consistent with itself; pass --checkpoint with one \
                 stored elsewhere"
                    .to_owned(),
            ),
        }
        let is_bound = own.is_some() || largest.is_some();
        let is_proven = own.is_some() || (largest.is_some() && given.is_some());
        Self { rests_on, trusted, is_proven, is_strict: is_bound && given.is_some(), witnessed: None }
    }

    /// Adds the checkpoint that the policy's witnesses cosigned.
    pub(super) fn witnessed(mut self, witnessed: Option<Witnessed>) -> Self {
        self.rests_on.extend(witnessed.as_ref().map(Witnessed::to_text));
        Self { witnessed, ..self }
    }

    /// Adds a further basis of the result.
    pub(super) fn rests(&mut self, on: &str) {
        self.rests_on.push(on.to_owned());
    }
}

/// Prints the result; with `--strict`, one that is not proven fails.
pub(super) fn report(
    args: &Args,
    good: &Good,
    basis: &Basis,
    given: &Given,
    output: &Output,
) -> Result<(), CliError> {
    if args.strict && !basis.is_strict {
        return Err(CliError::failed(
            format!(
                "{}: consistent, not proven; trusted without proof: {}",
                args.file.display(),
                basis.trusted.join("; ")
            ),
            "pass the key that `init` printed, and for an export a checkpoint stored elsewhere",
        ));
    }
    let last = good.first + good.count.saturating_sub(1);
    let root = good.root.map(|root| STANDARD.encode(root));
    let verdict = if basis.is_proven { "ok" } else { "consistent, not proven" };
    let mut lines = vec![format!("{verdict}: {} records, sequences {} to {last}", good.count, good.first)];
    lines.extend(root.as_ref().map(|root| format!("root: {root}")));
    if good.vouched > good.first && good.vouched <= last {
        let newer = if good.vouched == last {
            format!("record {last}")
        } else {
            format!("records {} to {last}", good.vouched)
        };
        lines.push(format!("newer than the checkpoint, so not proven by it: {newer}"));
    }
    let receipts = given.receipts.as_ref().map(Vec::len);
    lines.extend(receipts.map(|count| format!("receipts: {count} found, all in the log")));
    lines.extend(basis.rests_on.iter().map(|line| format!("rests on: {line}")));
    lines.extend(basis.trusted.iter().map(|line| format!("trusted without proof: {line}")));
    let mut value = json!({
        "ok": true,
        "proven": basis.is_strict,
        "file": args.file.display().to_string(),
        "first": good.first,
        "count": good.count,
        "root": root,
        "vouchedBefore": good.vouched,
        "receipts": receipts,
        "restsOn": basis.rests_on,
        "trusted": basis.trusted,
    });
    if let Some(witnessed) = &basis.witnessed {
        value["witnessed"] = witnessed.to_json();
    }
    output.result(&visible(&lines.join("\n")), &value)
}
