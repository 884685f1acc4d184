//! `sealroom audit verify`: verifies a log without a passphrase and without a server.

use std::{
    fs::{self, File},
    io::{self, BufRead, Read, Seek},
    path::{Path, PathBuf},
    sync::Arc,
};

mod args;
mod check;
mod failure;
mod given;
mod input;
mod report;
mod source;
mod witnesses;

pub(in crate::cli) use self::args::Args;
use self::{
    args::Given,
    check::check,
    failure::{damaged, failed, flawed},
    given::{harmed, kept_checkpoints, not_ours, open_note, read_key, read_notes, read_receipts, ring},
    input::{Input, is_standard_input},
    report::{Basis, report},
    source::{Export, Log},
    witnesses::{key_of, witnessed},
};
use super::control;
use crate::{
    audit::{
        archive,
        checkpoint::{BadNote, Checkpoint, VerifierKey},
        key_ring::KeyRing,
        salvage::first_damaged,
        transport,
        verify::{BLOCK, Flaw, Verifier},
    },
    cli::{
        error::CliError,
        terminal::{output::Output, progress::Progress},
        witness_policy,
    },
    disk::{self, DataFile, FileError, Medium, ReadAhead},
    storage::{OpenError, Store},
};

/// The magic number of a redb file.
const REDB: &[u8] = b"redb\x1a\n";
/// First bytes of a CSV export.
const CSV: &[u8] = b"sequence,";
/// redb's page cache while a file is read once from start to end.
const CACHE_BYTES: usize = 1 << 20;

pub(in crate::cli) fn run(args: &Args, output: &Output) -> Result<(), CliError> {
    refuse_two_of_standard_input(args)?;
    let policy = args.policy.as_deref().map(witness_policy::read).transpose()?;
    let given = Given {
        receipts: args.receipts.as_deref().map(read_receipts).transpose()?,
        key: key_of(args, args.key.as_deref().map(read_key).transpose()?, policy.as_ref())?,
        policy,
    };
    let input = Input::open(&args.file)?;
    match kind(&input)? {
        Kind::Export => {
            let notes = read_notes(args)?;
            let keys = given.key.clone().map(|key| ring(key, &[], &notes));
            let kept = kept_checkpoints(args, &notes, keys.as_ref(), 0)?;
            let witnessed = witnessed(args, &given, &notes, keys.as_ref())?;
            let progress = progress(&input, output);
            let mut export = Export::of(input);
            let verifier = Verifier::new(kept.clone(), given.receipts.clone().unwrap_or_default());
            let verifier = check(&mut export, verifier, &progress)?;
            let good = verifier.finish().map_err(|flaw| flawed(&flaw))?;
            report(
                args,
                &good,
                &Basis::new(args, given.key.as_ref(), keys.as_ref(), None, &kept).witnessed(witnessed),
                &given,
                output,
            )
        }
        Kind::Archive => verify_archive(args, &given, input, output),
        Kind::Vault if input.bytes().is_none() => {
            verify_vault(args, &given, &Vault::Copy(input.into_copy()?), output)
        }
        Kind::Vault => {
            // No server can start on the file while it is held.
            let file = match DataFile::open_read_only(&args.file) {
                Err(in_use @ FileError::InUse { .. }) => return verify_served(args, &in_use, &given, output),
                other => other?,
            };
            verify_vault(args, &given, &Vault::Named(&file), output)
        }
    }
}

/// Refuses a second read of standard input, which can be read only once.
fn refuse_two_of_standard_input(args: &Args) -> Result<(), CliError> {
    let flags = [
        ("FILE", Some(args.file.as_path())),
        ("--key", args.key.as_deref().map(Path::new)),
        ("--checkpoint", args.checkpoint.as_deref()),
        ("--receipts", args.receipts.as_deref()),
    ];
    let named: Vec<&str> =
        flags.iter().filter(|(_, path)| path.is_some_and(is_standard_input)).map(|(flag, _)| *flag).collect();
    if named.len() < 2 {
        return Ok(());
    }
    Err(CliError::usage(
        format!("standard input can be read only once, but {} name it", named.join(" and ")),
        "pass files for all but one of them",
    ))
}

/// A vault file with random access.
enum Vault<'a> {
    /// Locked against writers.
    Named(&'a DataFile),
    /// The copy of a stream; it has no name.
    Copy(File),
}

impl Vault<'_> {
    fn medium(&self) -> Result<Medium, FileError> {
        match self {
            Self::Named(file) => Ok(file.medium()),
            Self::Copy(_) => disk::unnamed(self.open()?).map_err(failed_to_read),
        }
    }

    fn open(&self) -> Result<File, FileError> {
        match self {
            Self::Named(file) => File::open(file.path())
                .map_err(|source| FileError::Io { path: file.path().to_owned(), source }),
            Self::Copy(file) => Self::rewound(file).map_err(failed_to_read),
        }
    }

    fn rewound(file: &File) -> io::Result<File> {
        let mut file = file.try_clone()?;
        file.rewind().map(|()| file)
    }
}

fn failed_to_read(source: io::Error) -> FileError {
    FileError::Io { path: PathBuf::from("-"), source }
}

/// Checks a vault file's pages, then its log, and changes no byte of it.
fn verify_vault(args: &Args, given: &Given, vault: &Vault<'_>, output: &Output) -> Result<(), CliError> {
    let (log, own) = open_log(args, vault)?;
    let notes = read_notes(args)?;
    let key = given.key.as_ref();
    let keys = ring(key.unwrap_or(&own.first).clone(), &own.handovers, &notes);
    let kept = kept_checkpoints(args, &notes, Some(&keys), log.first)?;
    let witnessed = witnessed(args, given, &notes, Some(&keys))?;
    let verifier = Verifier::new(kept.clone(), given.receipts.clone().unwrap_or_default());
    let note = log.file.checkpoint().map_err(damaged)?;
    let newest =
        open_note(&note, Some(&keys)).map_err(|error| not_ours("the file's own checkpoint", error))?;
    let handovers = own.checkpoints(&keys, log.first)?;
    let walked = walk(log, verifier.with(handovers), vault, output)?;
    let good = walked.finish_at(newest).map_err(|flaw| flawed(&flaw))?;
    let basis = Basis::new(args, key, Some(&keys), Some(&own.newest), &kept).witnessed(witnessed);
    report(args, &good, &basis, given, output)
}

/// Checks every page of a copy and its log against its own checkpoint; returns the number of records.
pub(in crate::cli) fn copy(path: &Path, output: &Output) -> Result<u64, CliError> {
    whole(path, &DataFile::open_read_only(path)?, output)
}

/// Checks every page of an open file and its log against its own checkpoint; returns the number of records.
pub(in crate::cli) fn whole(path: &Path, file: &DataFile, output: &Output) -> Result<u64, CliError> {
    let args = Args {
        file: path.to_owned(),
        key: None,
        checkpoint: None,
        policy: None,
        receipts: None,
        strict: false,
    };
    let vault = Vault::Named(file);
    let (log, own) = open_log(&args, &vault)?;
    let keys = ring(own.first.clone(), &own.handovers, &[]);
    let newest = open_note(&log.file.checkpoint().map_err(damaged)?, Some(&keys))
        .map_err(|error| not_ours("the copy's own checkpoint", error))?;
    let verifier = Verifier::new(own.checkpoints(&keys, log.first)?, Vec::new());
    let walked = walk(log, verifier, &vault, output)?;
    Ok(walked.finish_at(newest).map_err(|flaw| flawed(&flaw))?.count)
}

/// The keys that a file or its server states for itself.
struct Own {
    first: VerifierKey,
    newest: VerifierKey,
    handovers: Vec<String>,
}

impl Own {
    /// Returns the handovers as checkpoints that the log must hold; those among archived records prove nothing here.
    fn checkpoints(&self, keys: &KeyRing, first: u64) -> Result<Vec<Checkpoint>, CliError> {
        let mut found = Vec::new();
        for note in &self.handovers {
            match keys.open(note) {
                Ok(handover) if handover.size < first => {}
                Ok(handover) => found.push(handover),
                // A handover between two keys before the one that was given.
                Err(BadNote::Unknown) => {}
                Err(error) => return Err(not_ours("a handover in the file", error)),
            }
        }
        Ok(found)
    }
}

/// Opens a vault file, which checks every page of it, and returns its log with the file's own keys.
fn open_log(args: &Args, vault: &Vault<'_>) -> Result<(Log, Own), CliError> {
    let failed = |error: &OpenError| not_opened(args, vault, error);
    let medium = ReadAhead::new(vault.medium()?).map_err(|error| failed(&OpenError::Io(error)))?;
    let file = Store::open(Arc::new(medium), CACHE_BYTES).map_err(|error| failed(&error))?;
    let keys = file.verifier_keys().map_err(damaged)?;
    let first = keys.first().map(|(key, _)| key.clone()).expect("a file without keys does not decode");
    let own = Own {
        first,
        newest: file.verifier_key().map_err(damaged)?,
        handovers: file.handovers().map_err(damaged)?,
    };
    let first = file.first_sequence().map_err(damaged)?;
    Ok((Log { file, first, next: first }, own))
}

fn walk(mut log: Log, verifier: Verifier, vault: &Vault<'_>, output: &Output) -> Result<Verifier, CliError> {
    let length = vault.open()?.metadata().map_or(0, |metadata| metadata.len());
    // A log that does not begin at the bound of a subtree lost records: the walk names the first.
    let verifier = match log.first {
        first if first.is_multiple_of(BLOCK) => {
            verifier.starting_at(log.file.frontier(first).map_err(damaged)?).accounted()
        }
        _ => verifier,
    };
    check(&mut log, verifier.awaiting_end(), &Progress::bytes("verifying", length, output))
}

/// Checks an archive: its records, with the hashes of its header, make the root of a signed checkpoint.
fn verify_archive(args: &Args, given: &Given, input: Input, output: &Output) -> Result<(), CliError> {
    let progress = progress(&input, output);
    let name = input.name().to_owned();
    let mut reader = input.into_reader();
    let mut line = Vec::new();
    let bad = || {
        let hint = "take it again as `audit archive` wrote it";
        CliError::failed(format!("{name}: this is not the header of an archive"), hint)
    };
    (&mut reader).take(archive::HEADER_BYTES_MAX).read_until(b'\n', &mut line).map_err(|_| bad())?;
    let header = archive::Header::read(&line).map_err(|_| bad())?;
    let key = given.key.as_ref();
    let notes = read_notes(args)?;
    let keys = ring(key.unwrap_or(&header.key).clone(), &[], &notes);
    let kept = kept_checkpoints(args, &notes, Some(&keys), header.first)?;
    let witnessed = witnessed(args, given, &notes, Some(&keys))?;
    let own = open_note(&header.checkpoint, Some(&keys))
        .map_err(|error| not_ours("the archive's own checkpoint", error))?;
    let verifier = Verifier::new(kept.clone(), given.receipts.clone().unwrap_or_default());
    let verifier = verifier.starting_at(header.frontier.clone()).awaiting_end();
    let mut records = Export::after_header(&name, reader);
    let verifier = check(&mut records, verifier, &progress)?;
    if verifier.next() != header.end {
        let (last, next) = (header.end - 1, verifier.next());
        let message = format!("the archive has the records up to {last}, but its last one is before {next}");
        return Err(failed(&args.file, &message, "export it again: the copy was interrupted"));
    }
    let good = verifier.finish_within(&own, &header.rest).map_err(|flaw| flawed(&flaw))?;
    let basis = Basis::new(args, key, Some(&keys), Some(&header.key), &kept).witnessed(witnessed);
    report(args, &good, &basis, given, output)
}

/// Reads the log of a file that a server has open from that server, over its local socket.
fn verify_served(args: &Args, in_use: &FileError, given: &Given, output: &Output) -> Result<(), CliError> {
    let served = control::log(&args.file, in_use)?;
    let own = Own { first: served.first_key, newest: served.key, handovers: served.handovers };
    let key = given.key.as_ref();
    let notes = read_notes(args)?;
    let keys = ring(key.unwrap_or(&own.first).clone(), &own.handovers, &notes);
    let kept = kept_checkpoints(args, &notes, Some(&keys), served.frontier.size())?;
    let witnessed = witnessed(args, given, &notes, Some(&keys))?;
    let verifier = Verifier::new(kept.clone(), given.receipts.clone().unwrap_or_default());
    let verifier = verifier.with(own.checkpoints(&keys, served.frontier.size())?);
    let verifier = verifier.starting_at(served.frontier.clone()).accounted().awaiting_end();
    let mut export = Export::served(&args.file, served.records);
    let length = fs::metadata(&args.file).map_or(0, |metadata| metadata.len());
    let walked = check(&mut export, verifier, &Progress::bytes("verifying", length, output))?;
    let newest = open_note(&served.checkpoint, Some(&keys))
        .map_err(|error| not_ours("the server's checkpoint", error))?;
    // The server reports a log that lacks its end. A stream that merely stops is a failed transfer, and says nothing
    // about the log.
    if walked.next() < newest.size {
        return Err(failed(
            &args.file,
            "the server closed the connection before the end of its log",
            "try again",
        ));
    }
    let good = walked.finish_at(newest).map_err(|flaw| flawed(&flaw))?;
    let basis = Basis::new(args, key, Some(&keys), Some(&own.newest), &kept);
    let mut basis = basis.witnessed(witnessed);
    basis.rests("the server that has the file open: its pages are examined once it has stopped");
    report(args, &good, &basis, given, output)
}

fn progress(input: &Input, output: &Output) -> Progress {
    Progress::bytes("verifying", input.bytes().unwrap_or(0), output)
}

enum Kind {
    Vault,
    Archive,
    Export,
}

fn kind(input: &Input) -> Result<Kind, CliError> {
    let (start, name) = (input.start(), input.name());
    let failed = |message: &str, hint: &str| Err(CliError::failed(format!("{name}: {message}"), hint));
    if start.starts_with(REDB) {
        Ok(Kind::Vault)
    } else if start.starts_with(archive::START) {
        Ok(Kind::Archive)
    } else if start.is_empty() && input.bytes().is_none() {
        failed("the stream is empty", "check the command that writes into it; a stream is read once")
    } else if start.is_empty() {
        failed("the file is empty", "export again, without --from and --to: the whole log is never empty")
    } else if start.starts_with(CSV) || start.get(3..).is_some_and(|rest| rest.starts_with(CSV)) {
        failed("a CSV cannot be verified", "export again with --format ndjson")
    } else if let Some(damage) = transport::of_export(start) {
        Err(harmed(name, damage))
    } else if start.starts_with(b"{") && !is_other_json(start) {
        Ok(Kind::Export)
    } else {
        failed("neither a vault file nor an export", "an export has one JSON record per line")
    }
}

/// Returns whether JSON begins unlike any record, even one with a wrong byte: such a file has no records, rather than
/// damaged ones.
fn is_other_json(start: &[u8]) -> bool {
    let has = |part: &[u8]| start.windows(part.len()).any(|bytes| bytes == part);
    start.starts_with(b"{\"") && !start.starts_with(br#"{"v":1,"#) && !has(br#""sequence":"#)
}

/// Returns the error of a file whose pages are inconsistent; it names a damaged record if it can.
fn not_opened(args: &Args, vault: &Vault<'_>, error: &OpenError) -> CliError {
    if !matches!(error, OpenError::Damaged(_)) {
        return CliError::open(&args.file, error);
    }
    if let Vault::Copy(_) = vault {
        // A stream of a file that a server is writing to is not a consistent snapshot.
        let message = "the pages of this stream are inconsistent";
        let hint = "pass the vault file instead of a stream: a copy taken during a write is torn";
        return failed(&args.file, message, hint);
    }
    let message = "the file's pages are inconsistent; no damaged record was found";
    let sequence = vault.open().ok().and_then(|file| first_damaged(file).ok()).flatten();
    sequence.map_or_else(
        || failed(&args.file, message, "restore a backup"),
        |sequence| flawed(&Flaw::Changed { sequence }),
    )
}
