//! `sealroom audit explain`: one record in sentences, with the proof that it is in the log.

use serde_json::{json, value::RawValue};

use super::{
    log_proof::{KeyArg, Signed, Trust},
    names::Names,
    remote::Remote,
    sentences,
};
use crate::{
    cli::{error::CliError, terminal::table::local_second},
    client::{Event, ExportFilter},
};

/// The longest line that is read for a record, in bytes: a record has 1 KiB at most.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// `audit explain`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ExplainArgs {
    /// The record's sequence, as `audit list` and receipts show it.
    #[arg(value_name = "SEQUENCE")]
    sequence: u64,
    #[command(flatten)]
    key: KeyArg,
}

pub(super) async fn run(args: ExplainArgs, remote: &Remote) -> Result<(), CliError> {
    let sequence = args.sequence;
    let record = record(sequence, remote).await?;
    let event: Event = serde_json::from_slice(&record).map_err(|_| unknown())?;
    if event.sequence != sequence {
        return Err(unknown());
    }
    let signed = Signed::newest(&args.key, remote).await?;
    let steps = signed.includes(sequence, &record, remote).await?;
    let mut names = Names::new(remote);
    names.learn(&event).await;
    let mut lines = vec![
        format!("Record {sequence} of {}, {}", signed.checkpoint.origin, local_second(event.time)),
        sentences::event(&event, &names),
        sentences::origin(&event),
    ];
    lines.extend(sentences::details(&event));
    let size = signed.checkpoint.size;
    lines.push(format!(
        "Verified: {steps} hashes lead from this record to the root of the checkpoint that signs {size} records. \
         This rests on {}.",
        signed.basis()
    ));
    let raw: Box<RawValue> = serde_json::from_slice(&record).map_err(|_| unknown())?;
    let value = json!({
        "record": raw,
        "sentences": &lines[1..lines.len() - 1],
        "verified": { "size": size, "steps": steps, "key": signed.key.to_string(), "keyGiven": signed.trust == Trust::Given },
    });
    remote.output.result(&lines.join("\n"), &value)
}

/// Requests the log from that record on, and takes its bytes.
async fn record(sequence: u64, remote: &Remote) -> Result<Vec<u8>, CliError> {
    let parameters = vec![("fromSequence", sequence.to_string())];
    let mut records = remote.client.export(&ExportFilter { parameters, follow: false }).await?;
    let mut line = Vec::new();
    while let Some(piece) = records.next().await? {
        line.extend_from_slice(&piece);
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            line.truncate(end);
            return Ok(line);
        }
        if line.len() > LINE_BYTES_MAX {
            return Err(unknown());
        }
    }
    Err(CliError::failed(
        format!("the log has no record {sequence}"),
        "`sealroom audit list --limit 1` shows the newest",
    ))
}

fn unknown() -> CliError {
    CliError::failed("this version of sealroom does not know the kind of the record", "use a newer one")
}
