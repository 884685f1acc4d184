//! `sealroom doctor`: examines a vault file or a backup, and changes no byte of it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

mod causes;
mod file;

use self::file::file_checks;
use super::{
    archive_file::{self, ArchiveFile},
    check_report::{Subject, report},
    checkpoint_check::{CHECKPOINT, check_folder},
    control,
    host_actor::host_actor,
    memory,
    passphrase::PassphraseArgs,
    surroundings::surroundings,
};
use crate::{
    audit::salvage::first_damaged,
    cli::{
        config,
        error::CliError,
        source::Given,
        terminal::{output::Output, progress::Progress, prompt::Asking},
    },
    clock,
    config::default,
    disk::{DataFile, FileError, ReadAhead},
    domain::Secret,
    storage::{Archived, Check, OpenError, Status},
    vault::{Settings, Vault},
};

/// The checks behind the pages, in the report's order: a file that does not open has none of them.
const BEHIND_PAGES: [&str; 17] = [
    "passphrase",
    "head",
    "rows",
    "credentials",
    "indexes",
    "state",
    "log",
    "replay",
    "clock",
    "backup",
    "recovery",
    "kdf",
    "owners",
    "tokens",
    "expiry",
    "urls",
    "scopes",
];

/// `doctor`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    given: Given,
    /// A vault file or a backup; its server may be running.
    #[arg(env = "SEALROOM_DATA", default_value = default::DATA, value_name = "FILE")]
    file: PathBuf,
    /// An archive of old events, so that the replay covers them; one flag for each archive.
    #[arg(long, value_name = "FILE")]
    archive: Vec<PathBuf>,
    /// The folder of the vault's checkpoints, which must not know later records; a running server knows its own.
    #[arg(long, env = "SEALROOM_CHECKPOINT_FOLDER", value_name = "FOLDER")]
    checkpoint_folder: Option<PathBuf>,
    /// Configuration file, for the checkpoint folder; flags and environment variables override it.
    #[arg(long, env = "SEALROOM_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Run only the checks that need no passphrase.
    #[arg(long, conflicts_with_all = ["passphrase_file", "passphrase_stdin"])]
    without_passphrase: bool,
    /// Exit with 1 on a warning too.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<(), CliError> {
    let config = config::read(args.config.as_deref(), &args.given)?;
    let folder = args.checkpoint_folder.as_deref().or(config.checkpoint.folder.as_deref());
    let mut checks = file_checks(&args.file);
    let mut unopened = None;
    let archives = archive_file::open_all(&args.archive)?;
    match DataFile::open_read_only(&args.file) {
        Ok(file) => {
            // Lock before any prompt: a user must not type a passphrase for a file in use.
            let secret = passphrase(args, output)?;
            match open(&file) {
                Ok(vault) => {
                    checks.extend(examine(&vault, &file, &archives, secret.as_ref(), output)?);
                    checks.extend(folder.map(|folder| check_folder(folder, &vault)));
                }
                Err(error) => {
                    checks.extend(checks_of_unopened(&args.file, &error, folder));
                    unopened = Some(error);
                }
            }
        }
        Err(in_use @ FileError::InUse { .. }) if !archives.is_empty() => {
            let hint = "stop that process, or examine a backup: `sealroom backup FILE` makes one meanwhile";
            return Err(CliError::failed(format!("--archive: {in_use}"), hint));
        }
        Err(in_use @ FileError::InUse { .. }) => {
            let message = "a server has the file open: it examined its pages when it started";
            checks.push(Check::skipped("pages", message));
            checks.extend(control::examine(&args.file, &in_use, output)?);
            if folder.is_some() && checks.iter().all(|check| check.name != CHECKPOINT) {
                let message = "the server that has the file open has no checkpoint folder";
                checks.push(Check::skipped(CHECKPOINT, message));
            }
        }
        Err(error @ FileError::Missing(_)) => {
            return Err(CliError::failed(error.to_string(), "pass the path of a vault file or of a backup"));
        }
        Err(error) => return Err(error.into()),
    }
    let subject = Subject {
        kind: "file",
        name: args.file.display().to_string(),
        hint: "keep this file unchanged, and compare it with a backup: `sealroom doctor BACKUP`",
    };
    let cause = unopened.and_then(|error| causes::not_damaged(&args.file, &error));
    let cause = cause.or_else(|| causes::sole_cause(&args.file, &checks));
    report(&subject, &checks, args.strict, cause, output)
}

fn open(file: &DataFile) -> Result<Vault, OpenError> {
    let medium = ReadAhead::new(file.medium()).map_err(OpenError::Io)?;
    Vault::open(Arc::new(medium), Settings::new(host_actor(), clock::monotonic))
}

/// Reads the passphrase; `None` if there is no source of one, which is no error here.
fn passphrase(args: &Args, output: &Output) -> Result<Option<Secret>, CliError> {
    if args.without_passphrase || !args.passphrase.has_source() {
        return Ok(None);
    }
    args.passphrase.read(Asking::Once, output).map(Some)
}

/// Examines a file that no server has open.
fn examine(
    vault: &Vault,
    file: &DataFile,
    archives: &[ArchiveFile],
    secret: Option<&Secret>,
    output: &Output,
) -> Result<Vec<Check>, CliError> {
    let length = file.bytes().unwrap_or(0);
    let mut checks =
        vec![Check::new("pages", Status::Ok, format!("{length} bytes, every page holds together"))];
    checks.extend(check_archives(vault, archives)?);
    let progress = Progress::bytes("examining", length, output);
    let read = |bytes| {
        progress.advance(bytes);
        true
    };
    let all = |visit: &mut dyn FnMut(u64, &[u8])| each_archived(archives, visit);
    let archived = (!archives.is_empty()).then_some(&all as &Archived<'_>);
    // A derivation that does not fit would get this process killed; the checks that need no key fit.
    let lack = secret.and_then(|secret| memory::check_unlock(vault, secret).err());
    let secret = secret.filter(|_| lack.is_none());
    let mut examined = vault.examine(secret, surroundings(), archived, &read);
    if let (Some(CliError { message, hint, .. }), Some(check)) = (lack, examined.first_mut()) {
        *check = Check { detail: vec![hint], ..Check::skipped("passphrase", &message) };
    }
    checks.extend(examined);
    Ok(checks)
}

/// Compares the archives with the file's own hashes; nothing of one that does not fit is believed.
fn check_archives(vault: &Vault, archives: &[ArchiveFile]) -> Result<Option<Check>, CliError> {
    if archives.is_empty() {
        return Ok(None);
    }
    let unread =
        |error: crate::storage::StorageError| CliError::failed(error.to_string(), "restore a backup");
    let (first, origin) = vault.first_record().map_err(unread)?;
    archive_file::check(archives, &origin, first, |size| vault.tree_of(size))?;
    let count = archives.len();
    let message = format!("{first} records in {count} archive{}, whole", if count == 1 { "" } else { "s" });
    Ok(Some(Check::new("archive", Status::Ok, message)))
}

/// Passes each record of verified archives on, once.
fn each_archived(archives: &[ArchiveFile], visit: &mut dyn FnMut(u64, &[u8])) {
    let mut next = 0;
    for archive in archives {
        // A file that was whole a moment ago: what it lacks now is a row that no event explains.
        drop(archive.records(&mut |sequence, record| {
            if sequence == next {
                visit(sequence, record);
                next += 1;
            }
            Ok(())
        }));
    }
}

/// Returns the report of a file whose pages do not hold together, or that is no vault.
fn checks_of_unopened(path: &Path, error: &OpenError, folder: Option<&Path>) -> Vec<Check> {
    let CliError { hint, .. } = CliError::open(path, error);
    let mut pages = Check::new("pages", Status::Failed, error.to_string());
    if let OpenError::Damaged(_) = error {
        let found = std::fs::File::open(path).and_then(first_damaged).ok().flatten();
        pages.detail.push(found.map_or_else(
            || "no damaged record was found among its bytes".to_owned(),
            |sequence| format!("the first damaged record is {sequence}"),
        ));
    }
    pages.detail.push(hint);
    let rest = BEHIND_PAGES.into_iter().chain(folder.map(|_| CHECKPOINT));
    let rest = rest.map(|name| Check::skipped(name, "the file does not open"));
    std::iter::once(pages).chain(rest).collect()
}
