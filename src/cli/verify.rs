//! `sealroom audit verify`: the check of a log by whoever has it, without a passphrase and without a server.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    sync::mpsc::sync_channel,
    thread,
};

mod source;

use serde_json::json;

use self::source::{Batch, Export, Log, Source, records};
use super::{error::CliError, output::Output, progress::Progress};
use crate::{
    audit::{
        checkpoint::{self, BadNote, Checkpoint, VerifierKey},
        tree::{Frontier, Hash, leaf_hash},
        verify::{Flaw, Good, Receipt, Verifier, first_damaged, receipts_in},
    },
    storage::{
        OpenError, StorageError, Store,
        file::{self, FileLock},
    },
};

/// Batches that may wait for the next thread.
const WAITING: usize = 4;
/// How a redb file begins.
const REDB: &[u8] = b"redb\x1a\n";
/// A file of receipts or keys is text; a line longer than this is none of ours.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// The page cache while a file is read once, from its begin to its end.
const CACHE_BYTES: usize = 16 << 20;

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
            let export = Export::open(&args.file)?;
            let length = fs::metadata(&args.file).map_or(0, |metadata| metadata.len());
            let kept = kept_checkpoints(args, given.as_ref())?;
            let verifier = Verifier::new(kept.clone(), receipts.clone().unwrap_or_default());
            let good = check(export, verifier, length, output)?;
            report(args, &good, &rests_on(args, given.as_ref(), None, &kept), receipts.as_deref(), output)
        }
        Kind::Vault => {
            let (_lock, store) = open(&args.file)?;
            let own = store.verifier_key().map_err(damaged)?;
            let key = given.clone().unwrap_or_else(|| own.clone());
            let mut kept = kept_checkpoints(args, Some(&key))?;
            let rests = rests_on(args, given.as_ref(), Some(&own), &kept);
            let note = store.checkpoint().map_err(damaged)?;
            let newest =
                open_note(&note, Some(&key)).map_err(|error| not_ours("the file's own checkpoint", error))?;
            let end = newest.size;
            kept.push(newest);
            let log = Log { store, next: 0 };
            let length = fs::metadata(&args.file).map_or(0, |metadata| metadata.len());
            let verifier = Verifier::new(kept, receipts.clone().unwrap_or_default()).ending_at(end);
            let good = check(log, verifier, length, output)?;
            report(args, &good, &rests, receipts.as_deref(), output)
        }
    }
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

/// Opens a vault file without changing a byte of it; no server starts on it while the lock is held.
fn open(path: &Path) -> Result<(Option<FileLock>, Store), CliError> {
    let lock = FileLock::probe(path)?;
    let opened = Store::open(file::read_only(path)?, CACHE_BYTES);
    if let Err(OpenError::Damaged(_)) = opened {
        let message = "the file's pages do not hold together; none of its records is damaged";
        let sequence = fs::read(path).ok().and_then(|bytes| first_damaged(&bytes));
        return Err(sequence.map_or_else(
            || failed(path, message, "restore a backup"),
            |sequence| flawed(&Flaw::Changed { sequence }),
        ));
    }
    opened.map(|store| (lock, store)).map_err(|error| CliError::open(path, &error))
}

/// Reads, hashes and judges, each on a thread of its own.
fn check(
    mut source: impl Source,
    mut verifier: Verifier,
    length: u64,
    output: &Output,
) -> Result<Good, CliError> {
    let progress = Progress::bytes("verifying", length, output);
    thread::scope(|scope| {
        let (read, to_hash) = sync_channel::<Result<Batch, CliError>>(WAITING);
        let (hashed, to_judge) = sync_channel::<Result<(Batch, Vec<Hash>), CliError>>(WAITING);
        // A channel that nobody reads any more ends its writer.
        let reader = &mut source;
        scope.spawn(move || {
            while let Some(batch) = reader.next().transpose() {
                let broken = batch.is_err();
                if read.send(batch).is_err() || broken {
                    break;
                }
            }
        });
        scope.spawn(move || {
            for batch in to_hash {
                let done = batch.map(|batch| {
                    let leaves = records(&batch).map(leaf_hash).collect();
                    (batch, leaves)
                });
                if hashed.send(done).is_err() {
                    break;
                }
            }
        });
        let mut blocks = Blocks { frontier: Frontier::EMPTY, stored: Vec::new() };
        for batch in to_judge {
            let (batch, leaves) = batch?;
            for ((bytes, leaf), at) in records(&batch).zip(leaves).zip(0..) {
                let sequence = verifier.next();
                if batch.checks.get(at).is_some_and(|check| leaf[..8] != *check) {
                    return Err(flawed(&Flaw::Changed { sequence }));
                }
                // Where it has no place in the log, its form says more.
                verifier
                    .push(bytes, leaf)
                    .map_err(|flaw| flawed(&Verifier::check_form(sequence, bytes).err().unwrap_or(flaw)))?;
                blocks.push(leaf);
            }
            progress.advance(batch.data.len() as u64 + 32 * batch.ends.len() as u64);
        }
        Ok(blocks)
    })
    .and_then(|blocks: Blocks| {
        for (index, hash) in (0..).zip(&blocks.stored) {
            if source.stored(index)?.is_some_and(|stored| stored != *hash) {
                return Err(flawed(&Flaw::Subtree { first: index << 8, last: (index << 8) + 255 }));
            }
        }
        verifier.finish().map_err(|flaw| flawed(&flaw))
    })
}

/// The hashes of each 256 records, to be held against those that the file stored.
struct Blocks {
    frontier: Frontier,
    stored: Vec<Hash>,
}

impl Blocks {
    fn push(&mut self, leaf: Hash) {
        drop(self.frontier.push(leaf));
        if self.frontier.size() == 256 {
            self.stored.push(std::mem::replace(&mut self.frontier, Frontier::EMPTY).root());
        }
    }
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
