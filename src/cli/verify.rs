//! `sealroom audit verify`: the check of a log by whoever has it, without a passphrase and without a server.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

mod check;
mod source;

use serde_json::json;

use self::{
    check::check,
    source::{Export, Log},
};
use super::{control, error::CliError, output::Output, progress::Progress};
use crate::{
    audit::{
        checkpoint::{self, BadNote, Checkpoint, VerifierKey},
        remains::first_damaged,
        verify::{Flaw, Good, Receipt, Verifier, receipts_in},
    },
    disk::{DataFile, FileError},
    storage::{Examined, OpenError, StorageError},
};

/// How a redb file begins.
const REDB: &[u8] = b"redb\x1a\n";
/// A file of receipts or keys is text; a line longer than this is none of ours.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// redb's page cache while a file is read once, from its begin to its end: the way down to a page, and little else.
const CACHE_BYTES: usize = 1 << 20;

/// `audit verify`'s flags.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A vault file, a backup, or an export in NDJSON.
    #[arg(env = "SEALROOM_DATA", default_value = "sealroom.redb", value_name = "FILE")]
    file: PathBuf,
    /// The log's verifier key, as `init` printed it, or a file that holds it.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A checkpoint that was kept elsewhere, or a folder of them.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// A text, such as a build log, whose receipts must all be in the log.
    #[arg(long, value_name = "FILE")]
    receipts: Option<PathBuf>,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<(), CliError> {
    let receipts = args.receipts.as_deref().map(read_receipts).transpose()?;
    let given = args.key.as_deref().map(read_key).transpose()?;
    match kind(&args.file)? {
        Kind::Export => {
            let mut export = Export::open(&args.file)?;
            let kept = kept_checkpoints(args, given.as_ref())?;
            let verifier = Verifier::new(kept.clone(), receipts.clone().unwrap_or_default());
            let verifier = check(&mut export, verifier, &progress(args, output))?;
            let good = verifier.finish().map_err(|flaw| flawed(&flaw))?;
            report(args, &good, &rests_on(args, given.as_ref(), None, &kept), receipts.as_deref(), output)
        }
        Kind::Vault => {
            // No server starts on the file while it is held.
            let file = match DataFile::open_read_only(&args.file) {
                Err(in_use @ FileError::InUse { .. }) => {
                    return verify_served(args, &in_use, given.as_ref(), receipts.as_deref(), output);
                }
                other => other?,
            };
            verify_vault(args, &file, given.as_ref(), receipts.as_deref(), output)
        }
    }
}

/// Reads a vault file's log beside the examination of its pages, and changes no byte of it.
fn verify_vault(
    args: &Args,
    file: &DataFile,
    given: Option<&VerifierKey>,
    receipts: Option<&[Receipt]>,
    output: &Output,
) -> Result<(), CliError> {
    let opened = Examined::begin(file.medium(), CACHE_BYTES);
    let mut log = Log { file: opened.map_err(|error| not_opened(&args.file, &error))?, next: 0 };
    // Strangers' checkpoints in a folder are told by the file's own key, for which its pages must be waited for.
    let early = args.checkpoint.as_ref().filter(|_| given.is_none()).map(|_| log.file.verifier_key());
    let early = early.transpose().or_else(|error| {
        log.file.finish().map_err(|error| not_opened(&args.file, &error))?;
        Err(damaged(error))
    })?;
    let kept = kept_checkpoints(args, given.or(early.as_ref()))?;
    let verifier = Verifier::new(kept.clone(), receipts.unwrap_or_default().to_vec()).awaiting_end();
    let walked = check(&mut log, verifier, &progress(args, output));
    // What is wrong with the pages comes first: nothing that was read from such a file means anything.
    log.file.finish().map_err(|error| not_opened(&args.file, &error))?;
    let own = log.file.verifier_key().map_err(damaged)?;
    let note = log.file.checkpoint().map_err(damaged)?;
    let newest = open_note(&note, Some(given.unwrap_or(&own)))
        .map_err(|error| not_ours("the file's own checkpoint", error))?;
    let good = walked?.finish_at(newest).map_err(|flaw| flawed(&flaw))?;
    report(args, &good, &rests_on(args, given, Some(&own), &kept), receipts, output)
}

/// Examines every page of a copy and its log against its own checkpoint; returns how many records it has.
pub(super) fn copy(path: &Path, output: &Output) -> Result<u64, CliError> {
    let args = Args { file: path.to_owned(), key: None, checkpoint: None, receipts: None };
    let file = DataFile::open_read_only(path)?;
    let opened = Examined::begin(file.medium(), CACHE_BYTES);
    let mut log = Log { file: opened.map_err(|error| not_opened(path, &error))?, next: 0 };
    let walked =
        check(&mut log, Verifier::new(Vec::new(), Vec::new()).awaiting_end(), &progress(&args, output));
    log.file.finish().map_err(|error| not_opened(path, &error))?;
    let own = log.file.verifier_key().map_err(damaged)?;
    let newest = open_note(&log.file.checkpoint().map_err(damaged)?, Some(&own))
        .map_err(|error| not_ours("the copy's own checkpoint", error))?;
    Ok(walked?.finish_at(newest).map_err(|flaw| flawed(&flaw))?.count)
}

/// Reads the log of a file that a server has open from that server, over its local socket.
fn verify_served(
    args: &Args,
    in_use: &FileError,
    given: Option<&VerifierKey>,
    receipts: Option<&[Receipt]>,
    output: &Output,
) -> Result<(), CliError> {
    let served = control::log(&args.file, in_use)?;
    let own = &served.key;
    let kept = kept_checkpoints(args, given.or(Some(own)))?;
    let verifier = Verifier::new(kept.clone(), receipts.unwrap_or_default().to_vec()).awaiting_end();
    let mut export = Export::served(&args.file, served.records);
    let walked = check(&mut export, verifier, &progress(args, output))?;
    let newest = open_note(&served.checkpoint, Some(given.unwrap_or(own)))
        .map_err(|error| not_ours("the server's checkpoint", error))?;
    // A log that lacks its end is told by the server; that there is no more of it says nothing of the log.
    if walked.next() < newest.size {
        return Err(failed(&args.file, "the server broke off before the end of its log", "try again"));
    }
    let good = walked.finish_at(newest).map_err(|flaw| flawed(&flaw))?;
    let mut rests = rests_on(args, given, Some(own), &kept);
    rests.push("the server that has the file open: its pages are examined once it has stopped".to_owned());
    report(args, &good, &rests, receipts, output)
}

fn progress(args: &Args, output: &Output) -> Progress {
    let length = fs::metadata(&args.file).map_or(0, |metadata| metadata.len());
    Progress::bytes("verifying", length, output)
}

enum Kind {
    Vault,
    Export,
}

fn kind(path: &Path) -> Result<Kind, CliError> {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(64).read_to_end(&mut start));
    read.map_err(|error| failed(path, &error.to_string(), "name a vault file or an export"))?;
    if start.starts_with(REDB) {
        Ok(Kind::Vault)
    } else if start.starts_with(b"{") {
        Ok(Kind::Export)
    } else if start.is_empty() {
        Err(failed(path, "the file is empty", "an export has at least the event of its own making"))
    } else if start.starts_with(b"sequence,") {
        Err(failed(path, "a CSV cannot be verified", "export again with format=ndjson"))
    } else {
        Err(failed(path, "neither a vault file nor an export", "an export is one JSON record a line"))
    }
}

/// What is wrong with a file whose pages do not hold together: a record, if one can be named.
fn not_opened(path: &Path, error: &OpenError) -> CliError {
    if !matches!(error, OpenError::Damaged(_)) {
        return CliError::open(path, error);
    }
    let message = "the file's pages do not hold together; none of its records is seen to be damaged";
    let sequence = File::open(path).and_then(first_damaged).ok().flatten();
    sequence.map_or_else(
        || failed(path, message, "restore a backup"),
        |sequence| flawed(&Flaw::Changed { sequence }),
    )
}

fn read_key(text: &str) -> Result<VerifierKey, CliError> {
    let path = Path::new(text);
    let from_file = path.is_file().then(|| fs::read_to_string(path).unwrap_or_default());
    let key = from_file.as_deref().unwrap_or(text).trim();
    key.parse().map_err(|_| {
        CliError::usage(
            "--key is no verifier key",
            "pass what `init` printed, like sealroom/…+…+…, or its file",
        )
    })
}

fn read_receipts(path: &Path) -> Result<Vec<Receipt>, CliError> {
    let failed = |error: std::io::Error| failed(path, &error.to_string(), "name a readable text");
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    let (mut found, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        if (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(failed)? == 0 {
            if found.is_empty() {
                let hint = "a receipt is `audit-receipt: <sequence>:<hash>`; was the right file named?";
                return Err(self::failed(path, "there is no receipt in it", hint));
            }
            return Ok(found);
        }
        found.extend(receipts_in(&String::from_utf8_lossy(&line)));
    }
}

fn kept_checkpoints(args: &Args, key: Option<&VerifierKey>) -> Result<Vec<Checkpoint>, CliError> {
    let Some(path) = &args.checkpoint else { return Ok(Vec::new()) };
    let failed =
        |error: std::io::Error| failed(path, &error.to_string(), "name a checkpoint or a folder of them");
    let mut paths = vec![path.clone()];
    if path.is_dir() {
        let entries = fs::read_dir(path).map_err(failed)?;
        paths = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file()).collect();
        // What the server is just writing, and what else lies there, is no checkpoint.
        let is_ours = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "checkpoint");
        paths.retain(is_ours);
        if paths.is_empty() {
            let hint = "is the share mounted? a checkpoint's name ends with .checkpoint";
            return Err(self::failed(path, "there is no checkpoint in this folder", hint));
        }
    }
    let is_folder = path.is_dir();
    let mut found = Vec::new();
    for path in &paths {
        let note = fs::read_to_string(path).map_err(failed)?;
        // A folder may hold the checkpoints of several vaults: those of others say nothing of this one.
        let stranger = |key: &VerifierKey| {
            checkpoint::read_unsigned(&note).is_ok_and(|checkpoint| checkpoint.origin != key.name())
        };
        if is_folder && key.is_some_and(stranger) {
            continue;
        }
        found.push(open_note(&note, key).map_err(|error| not_ours(&path.display().to_string(), error))?);
    }
    if found.is_empty() {
        let hint = "name the folder that this vault's checkpoints go to";
        return Err(self::failed(path, "none of the checkpoints in this folder is of this log", hint));
    }
    Ok(found)
}

fn open_note(note: &str, key: Option<&VerifierKey>) -> Result<Checkpoint, BadNote> {
    match key {
        Some(key) => checkpoint::open(note, std::slice::from_ref(key)),
        None => checkpoint::read_unsigned(note),
    }
}

fn rests_on(
    args: &Args,
    given: Option<&VerifierKey>,
    own: Option<&VerifierKey>,
    kept: &[Checkpoint],
) -> Vec<String> {
    let mut lines = vec![match (given, own) {
        (Some(key), _) => format!("the key {key}"),
        (None, Some(_)) => "the key that the file itself names: pass --key, since whoever forges a file can \
                            forge its key too"
            .to_owned(),
        (None, None) => "no key: nobody's signature was checked".to_owned(),
    }];
    let largest = kept.iter().map(|checkpoint| checkpoint.size).max();
    lines.push(match (&args.checkpoint, largest) {
        (Some(path), Some(size)) => format!("the checkpoint of {size} records in {}", path.display()),
        _ if own.is_some() => {
            "the checkpoint in the file itself: an older copy of the whole file would pass too; pass --checkpoint"
                .to_owned()
        }
        _ => "no checkpoint: the export agrees with itself, and that is all".to_owned(),
    });
    lines
}

fn report(
    args: &Args,
    good: &Good,
    rests: &[String],
    receipts: Option<&[Receipt]>,
    output: &Output,
) -> Result<(), CliError> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let last = good.first + good.count.saturating_sub(1);
    let root = good.root.map(|root| STANDARD.encode(root));
    let mut lines = vec![format!("ok: {} records, sequences {} to {last}", good.count, good.first)];
    lines.extend(root.as_ref().map(|root| format!("root: {root}")));
    if good.vouched > good.first && good.vouched <= last {
        lines.push(format!(
            "not vouched for: sequences {} to {last}, which are after the checkpoint",
            good.vouched
        ));
    }
    lines.extend(receipts.map(|receipts| format!("receipts: {} found, all in the log", receipts.len())));
    lines.extend(rests.iter().map(|line| format!("rests on: {line}")));
    let value = json!({
        "ok": true,
        "file": args.file.display().to_string(),
        "first": good.first,
        "count": good.count,
        "root": root,
        "vouched_before": good.vouched,
        "receipts": receipts.map(<[Receipt]>::len),
        "rests_on": rests,
    });
    output.result(&lines.join("\n"), &value)
}

fn failed(path: &Path, message: &str, hint: &str) -> CliError {
    CliError::failed(format!("{}: {message}", path.display()), hint)
}

fn flawed(flaw: &Flaw) -> CliError {
    CliError::failed(
        flaw.to_string(),
        "keep this file as it is, and hold it against a backup or another export",
    )
}

fn not_ours(what: &str, error: BadNote) -> CliError {
    CliError::failed(format!("{what}: {error}"), "check --key and --checkpoint: they belong to one vault")
}

fn damaged(error: StorageError) -> CliError {
    CliError::failed(error.to_string(), "keep this file as it is, and hold it against a backup")
}
