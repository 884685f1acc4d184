//! `sealroom audit cosign`: the newest checkpoint with the signatures of witnesses (C2SP `tlog-witness`).
//!
//! A file that is kept always satisfies the policy: one that would not is not written. A witness that answers otherwise
//! than by the protocol is passed over, as one that is gone: the policy says how many may.

mod asking;
mod keeping;

use std::{path::PathBuf, sync::Arc};

use serde_json::json;
use tokio::task::JoinSet;

use self::{
    asking::Asking,
    keeping::{Kept, Place},
};
use super::{
    log_proof::{KeyArg, Signed},
    remote::{Need, ServerArgs},
};
use crate::{
    audit::{
        checkpoint,
        witness_policy::{Policy, Vouched},
    },
    cli::{
        error::CliError,
        terminal::{output::Output, visible::for_reader},
        witness_policy::{self, PolicyArg},
    },
    client::WitnessUrl,
    clock::Clock,
    domain::Timestamp,
};

/// `audit cosign`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CosignArgs {
    #[command(flatten)]
    policy: PolicyArg,
    #[command(flatten)]
    key: KeyArg,
    /// Replace this file with the cosigned checkpoint, or the file of this log in this folder, instead of printing it.
    #[arg(long, value_name = "FILE|FOLDER")]
    to: Option<PathBuf>,
}

/// A witness without a cosignature, and the reason.
struct Failed {
    name: String,
    reason: String,
}

pub(super) async fn run(args: CosignArgs, server: &ServerArgs, output: Output) -> Result<(), CliError> {
    let path = &args.policy.policy;
    let policy = witness_policy::read(path)?;
    let urls = urls(&policy, path)?;
    let remote = Arc::new(server.connect(Need::Token, output)?);
    let signed = Arc::new(Signed::newest(&args.key, &remote).await?);
    witness_policy::check_log(&policy, &signed.key, path)?;
    let place = args.to.map(|to| Place::find(to, &signed)).transpose()?;
    let now = Clock::system().now();
    let mut asked = JoinSet::new();
    for (at, (witness, url)) in policy.witnesses().iter().zip(urls).enumerate() {
        let Some(url) = url else { continue };
        let kept = place.as_ref().and_then(|place| place.size_by(&witness.key, now));
        let asking = Asking {
            witness: witness.clone(),
            client: server.other(url.endpoint, output)?,
            prefix: url.prefix,
            signed: Arc::clone(&signed),
            remote: Arc::clone(&remote),
            now,
        };
        asked.spawn(async move { (at, asking.ask(kept.unwrap_or(0)).await) });
    }
    let (mut lines, mut failed) = (vec![None; policy.witnesses().len()], Vec::new());
    while let Some(joined) = asked.join_next().await {
        let (at, outcome) =
            joined.map_err(|error| CliError::failed(format!("a task failed: {error}"), "report this bug"))?;
        match outcome {
            Ok(line) => lines[at] = Some(line),
            Err(reason) => failed.push(Failed { name: policy.witnesses()[at].name.clone(), reason }),
        }
    }
    // Answers come in any order; the same answers make the same note.
    let note = signed.note.clone() + &lines.into_iter().flatten().collect::<String>();
    finish(&policy, &note, &failed, place, now, output)
}

/// Parses the URL of each witness that has one.
fn urls(policy: &Policy, path: &std::path::Path) -> Result<Vec<Option<WitnessUrl>>, CliError> {
    let parsed = policy.witnesses().iter().map(|witness| {
        let Some(text) = &witness.url else { return Ok(None) };
        // Not the text itself: it may have a password in it.
        let wrong = |error| {
            CliError::failed(
                format!("{}: the URL of the witness {}: {error}", path.display(), witness.name),
                "write the submission prefix: https://HOST/witness",
            )
        };
        text.parse().map(Some).map_err(wrong)
    });
    let parsed: Vec<Option<WitnessUrl>> = parsed.collect::<Result<_, _>>()?;
    if parsed.iter().all(Option::is_none) {
        return Err(CliError::failed(
            format!("{}: no witness has a URL", path.display()),
            "add it to a witness line: witness NAME KEY https://HOST/witness",
        ));
    }
    Ok(parsed)
}

fn finish(
    policy: &Policy,
    note: &str,
    failed: &[Failed],
    place: Option<Place>,
    now: Timestamp,
    output: Output,
) -> Result<(), CliError> {
    let vouched = policy
        .vouched(note, now)
        .map_err(|error| CliError::failed(format!("the cosigned checkpoint: {error}"), "report this bug"))?;
    for Failed { name, reason } in failed {
        output.warning(&format!("the witness {name}: {reason}"));
    }
    let names: Vec<&str> = vouched.by.iter().map(|(name, _)| name.as_str()).collect();
    let by = if names.is_empty() { "no witness".to_owned() } else { names.join(", ") };
    if !vouched.is_enough {
        let missing = vouched.missing.join(", ");
        return Err(CliError::failed(
            format!("fewer witnesses than the policy needs: cosigned by {by}; not by {missing}"),
            "the warnings above say why; nothing was stored",
        ));
    }
    let size = checkpoint::read_unsigned(note).map_or(0, |checkpoint| checkpoint.size);
    let value = value(note, size, &vouched, failed);
    let line = format!("{size} records, cosigned by {by}");
    let Some(place) = place else {
        output.note(&line);
        return output.result(&for_reader(note), &value);
    };
    let kept = place.put(note)?;
    let file = place.path.display().to_string();
    let mut value = value;
    value["file"] = json!(file);
    value["written"] = json!(matches!(kept, Kept::Own));
    let line = match kept {
        Kept::Own => format!("wrote {file}: {line}"),
        Kept::Newer(there) => {
            format!("{file} has a newer checkpoint of {there} records, and was not replaced: {line}")
        }
    };
    output.result(&line, &value)
}

fn value(note: &str, size: u64, vouched: &Vouched, failed: &[Failed]) -> serde_json::Value {
    let by = vouched.by.iter().map(|(name, at)| json!({ "witness": name, "at": at.to_string() }));
    let failed = failed.iter().map(|Failed { name, reason }| json!({ "witness": name, "reason": reason }));
    json!({
        "checkpoint": note,
        "size": size,
        "cosigned": by.collect::<Vec<_>>(),
        "failed": failed.collect::<Vec<_>>(),
    })
}
