//! `sealroom compact` and `sealroom rekey`: a fresh file takes the place of the old one.
//!
//! Until the very last step the old file is in its place, unchanged; a killed command leaves only a file that the next
//! one removes. Both files are locked throughout, so no server opens either.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{file_args::FileArgs, host_actor::host_actor, memory, offline, passphrase::PassphraseArgs};
use crate::{
    cli::{
        error::CliError,
        secrets::{self, shown},
        terminal::{confirm::Consent, output::Output, progress::Progress, prompt::Asking},
    },
    clock::Clock,
    config::default,
    disk::{DataFile, Locking, Replacement, beside},
    domain::Secret,
    vault::{Closed, Copied, Offline, OfflineError, Step},
};

/// The new file's bytes beyond the old one's data: pages that a small file has and no data needs.
const MARGIN_BYTES: u64 = 1 << 20;

/// `compact`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CompactArgs {
    #[command(flatten)]
    file: OpenArgs,
}

/// `rekey`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RekeyArgs {
    #[command(flatten)]
    file: OpenArgs,
    /// Write the new recovery key to this new file (mode 0600) instead of stdout.
    #[arg(long, value_name = "FILE")]
    recovery_key_file: Option<PathBuf>,
    #[command(flatten)]
    consent: Consent,
}

/// The file, and what opens it.
#[derive(Debug, clap::Args)]
struct OpenArgs {
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// The old file, locked, and its key.
struct Old {
    file: DataFile,
    vault: Offline,
    clock: Clock,
    locking: Locking,
    bytes: u64,
}

impl OpenArgs {
    /// Locks the file, checks the space, and opens it with the passphrase.
    fn open(self, output: &Output) -> Result<Old, CliError> {
        Old::open(&self.file.data, self.file.locking(), || self.passphrase.read(Asking::Once, output))
    }
}

/// Checks that a second file of this size fits beside the first; returns the size.
fn check_room(file: &DataFile) -> Result<u64, CliError> {
    let looked = file.bytes().and_then(|bytes| Ok((bytes, file.free_bytes()?)));
    let (bytes, free) = looked.map_err(|error| {
        CliError::failed(format!("{}: {error}", file.path().display()), "check the path and its mode")
    })?;
    let needed = bytes.saturating_add(MARGIN_BYTES);
    if free >= needed {
        return Ok(bytes);
    }
    Err(CliError::failed(
        format!(
            "the new file needs up to {needed} bytes beside {}, and {free} are free",
            file.path().display()
        ),
        "free space on that disk, or move the vault file to a larger one; nothing was changed",
    ))
}

impl Old {
    fn open(
        data: &Path,
        locking: Locking,
        secret: impl FnOnce() -> Result<Secret, CliError>,
    ) -> Result<Self, CliError> {
        // Lock before any prompt: a user must not type a passphrase for a file in use.
        let file = DataFile::open(data, locking).map_err(offline::unopened)?;
        let bytes = check_room(&file)?;
        let closed = Closed::open(file.medium(), default::CACHE_BYTES as usize)
            .map_err(|error| CliError::open(data, &error))?;
        let clock = offline::clock_after(closed.newest_time())?;
        let secret = secret()?;
        memory::check_unseal(&closed, &secret).map_err(unchanged)?;
        let vault = closed.unseal(secret).map_err(|error| CliError::unlock(&error))?;
        Ok(Self { file, vault, clock, locking, bytes })
    }

    /// Puts a compacted copy in the file's place; returns the copy and its length.
    fn compact(self, output: &Output) -> Result<(Copied, u64), CliError> {
        let new = self.replacement()?;
        let mut watched = watched(Progress::entries("compacting", output));
        let copied = self.vault.compact(new.medium(), host_actor(), self.clock.now(), &mut watched);
        drop(watched);
        let copied = copied.map_err(|error| failed(&error))?;
        Ok((copied, self.exchange(new)?))
    }

    /// Returns the file under construction, and how to tell of its progress.
    fn replacement(&self) -> Result<Replacement, CliError> {
        Replacement::begin(&self.file, self.locking).map_err(unchanged)
    }

    /// Puts the new file in the old one's place; returns its length.
    fn exchange(self, new: Replacement) -> Result<u64, CliError> {
        let Self { file, vault, .. } = self;
        // The engine closes the old file before it is replaced.
        drop(vault);
        let file = new.publish(file)?;
        file.bytes().map_err(|error| CliError::failed(error.to_string(), "check the file"))
    }
}

fn watched(progress: Progress) -> impl FnMut(Step) -> ControlFlow<()> + Send {
    move |step: Step| {
        progress.reach(step.done, step.total);
        ControlFlow::Continue(())
    }
}

fn unchanged(error: impl Into<CliError>) -> CliError {
    let error = error.into();
    CliError { hint: format!("{}; the vault file was not changed", error.hint), ..error }
}

fn failed(error: &OfflineError) -> CliError {
    let hint = match error {
        OfflineError::Copy(_) => "check the disk's space; the vault file was not changed",
        OfflineError::Storage(_) => "restore a backup; the vault file was not changed",
        OfflineError::Memory(_) => "free memory, or run on a larger host; the vault file was not changed",
        OfflineError::Random(_) => {
            "let this process use getrandom(2) or /dev/urandom; the vault file was not changed"
        }
    };
    let mut message = error.to_string();
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if !message.contains(&cause.to_string()) {
        message = format!("{message}: {cause}");
    }
    CliError::failed(message, hint)
}

pub(super) fn compact(args: CompactArgs, output: &Output) -> Result<(), CliError> {
    let old = args.file.open(output)?;
    let (before, data) = (old.bytes, old.file.path().display().to_string());
    let (copied, after) = old.compact(output)?;
    output.result(
        &format!(
            "compacted {data}: {before} bytes before, {after} now, {} records, verified",
            copied.records
        ),
        &json!({ "data": data, "bytesBefore": before, "bytes": after, "records": copied.records }),
    )
}

/// Compacts a file whose slots have changed, so that an old slot leaves its free pages.
pub(super) fn compact_after_slot(
    data: &Path,
    locking: Locking,
    secret: Secret,
    output: &Output,
) -> Result<(), CliError> {
    Old::open(data, locking, || Ok(secret))?.compact(output).map(drop)
}

pub(super) fn rekey(args: RekeyArgs, output: &Output) -> Result<(), CliError> {
    // Before any prompt: a user must not type a passphrase in vain.
    args.consent.check()?;
    let recovery = args.recovery_key_file.as_deref();
    recovery.map(secrets::NewFile::begin).transpose().map(drop)?;
    let old = args.file.open(output)?;
    let dropped = dropped(&old.vault);
    let loss = format!(
        "a new vault key seals every row again. {}; every copy of the file made before still opens with its own.",
        if dropped.is_empty() {
            "The slot of this secret stays".to_owned()
        } else {
            format!("The slot of this secret stays; these go: {}", dropped.join(", "))
        }
    );
    args.consent.obtain(&loss, "Replace the vault key?", *output)?;
    let (before, new) = (old.bytes, old.replacement()?);
    let rekeyed = {
        let mut watched = watched(Progress::entries("sealing anew", output));
        let rekeyed = old.vault.rekey(new.medium(), host_actor(), old.clock.now(), &mut watched);
        rekeyed.map_err(|error| failed(&error))?
    };
    // Show the key before it is the file's: a vault whose recovery key nobody has is one slip from lost.
    if let Some(path) = recovery {
        secrets::NewFile::begin(path)?.write(rekeyed.recovery_key.expose())?;
    }
    let data = old.file.path().display().to_string();
    let text = shown(&rekeyed.recovery_key);
    if let Err(error) = report(&data, &rekeyed.copied, before, &dropped, recovery, &text, output) {
        if let Some(path) = recovery {
            // Best effort: the key opens nothing.
            drop(std::fs::remove_file(path));
        }
        return Err(error);
    }
    // From here on the new key may be the file's, whatever fails: it is kept.
    old.exchange(new).map_err(|error| CliError {
        hint: format!(
            "{}; keep both recovery keys: `sealroom doctor` tells which one opens the file",
            error.hint
        ),
        ..error
    })?;
    output.note(&format!(
        "{data} has its new key; the log has a new key too, see `sealroom audit key`; make a backup now"
    ));
    let witness = beside(Path::new(&data), ".witness");
    if witness.exists() {
        output.warning(&format!(
            "{} has a key that no longer opens: move the file away before the next start, and give the new key to those who \
             rely on this witness",
            witness.display()
        ));
    }
    Ok(())
}

/// Names the slots that go.
fn dropped(vault: &Offline) -> Vec<String> {
    vault.dropped().map(|slot| format!("slot {} ({})", slot.id, slot.kind.name())).collect()
}

fn report(
    data: &str,
    copied: &Copied,
    before: u64,
    dropped: &[String],
    recovery: Option<&Path>,
    text: &str,
    output: &Output,
) -> Result<(), CliError> {
    let mut lines = vec![match recovery {
        Some(path) => format!("recovery key  in {}", path.display()),
        None => format!("recovery key  {text}"),
    }];
    lines.push(format!(
        "dropped       {}",
        if dropped.is_empty() { "nothing".to_owned() } else { dropped.join(", ") }
    ));
    lines.push(format!("records       {}, verified", copied.records));
    let mut value =
        json!({ "data": data, "bytesBefore": before, "records": copied.records, "dropped": dropped });
    if recovery.is_none() {
        value["recovery_key"] = json!(text);
    }
    output.once("the new recovery key", &lines.join("\n"), &value).map_err(|lost| {
        CliError::failed(
            lost.to_string(),
            "the vault file was not changed; run it again where standard output can be written and is read",
        )
    })
}
