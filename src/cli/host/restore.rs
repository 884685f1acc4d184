//! `sealroom restore`: a backup takes the place of the vault file, and what was taken away after it stays away.

mod comparison;
mod later;
mod sources;

use std::path::{Path, PathBuf};

use serde_json::json;

use self::comparison::{Comparison, Given, compare};
use super::{
    checkpoints,
    file_args::LockArgs,
    host_actor::{actor_of_uid, host_actor},
    keeping, offline,
    passphrase::PassphraseArgs,
    verify,
};
use crate::{
    cli::{
        error::CliError,
        terminal::{output::Output, progress::Progress, prompt::Asking, visible::visible},
    },
    clock,
    config::default,
    disk::{DataFile, FileError, Medium, NewFile, Replacement},
    domain::Timestamp,
    vault::{RestorePlan, Restored, Settings, UnlockError, Vault},
};

/// The restored file's bytes beyond the backup's: the records of the restore.
const MARGIN_BYTES: u64 = 1 << 20;
/// Maximum number of names in a list.
const NAMED_MAX: usize = 20;

/// `restore`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The backup.
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// The vault file to make or to replace.
    #[arg(long, env = "SEALROOM_DATA", default_value = default::DATA, value_name = "FILE")]
    data: PathBuf,
    /// Replace an existing file; it stays beside the new one under another name.
    #[arg(long)]
    force: bool,
    /// An export or archive of the lost vault's log, which shows what was taken away after the backup; one flag each.
    #[arg(long, value_name = "FILE", conflicts_with = "revive")]
    since: Vec<PathBuf>,
    /// Let live again what was revoked, removed or narrowed after the backup.
    #[arg(long)]
    revive: bool,
    /// The folder of the vault's checkpoints: they prove what --since says; those of the replaced history are put aside.
    #[arg(long, env = "SEALROOM_CHECKPOINT_FOLDER", value_name = "FOLDER")]
    checkpoint_folder: Option<PathBuf>,
    #[command(flatten)]
    lock: LockArgs,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<(), CliError> {
    let locking = args.lock.locking();
    // Before anything else: a file in use is never replaced, and a user types no passphrase for it in vain.
    let replaced = match DataFile::open(&args.data, locking) {
        Ok(file) => Some(file),
        Err(FileError::Missing(_)) => None,
        Err(error) => return Err(offline::unopened(error)),
    };
    if let Some(file) = &replaced
        && is_same(&args.backup, file.path())
    {
        let told = format!("{} is the vault file itself", args.backup.display());
        return Err(CliError::usage(told, "name the backup, and the file to replace with --data"));
    }
    if std::fs::symlink_metadata(&args.backup)
        .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    {
        let told = format!("{} does not exist", args.backup.display());
        return Err(CliError::failed(told, "pass the path of the backup; nothing was changed"));
    }
    verify::copy(&args.backup, output)?;
    let backup = DataFile::open_read_only(&args.backup)?;
    let given = Given {
        name: &args.backup,
        backup: &backup,
        since: &args.since,
        checkpoint_folder: args.checkpoint_folder.as_deref(),
    };
    let comparison = compare(&given, replaced.as_ref(), output)?;
    tell(&comparison, args, output);
    if replaced.is_some() && !args.force {
        return Err(CliError::failed(
            format!("{} exists; nothing was changed", args.data.display()),
            "pass --force to replace it: it stays beside the new one under another name",
        ));
    }
    let mut target = match &replaced {
        Some(old) => Target::InPlace(Replacement::begin(old, locking)?, old),
        None => Target::New(NewFile::begin_with(&args.data, locking)?),
    };
    let needed = check_room(&backup, &target, args)?;
    let passphrase = args.passphrase.read(Asking::Once, output)?;
    let plan = RestorePlan {
        later: comparison.later.clone().filter(|_| !args.revive),
        behind: comparison.behind,
        actor: host_actor(),
        now: Timestamp::from_millis(0),
    };
    let moment = clock::Clock::system().now();
    copy(&backup, &target.medium(), output).map_err(|error| {
        let told = format!("the copy of the backup: {error}; nothing was changed");
        CliError::failed(told, no_room(needed, args))
    })?;
    let restored = restored(&target.medium(), passphrase, plan, args)?;
    target.own(args, output);
    let aside = target.finish(moment)?;
    let notes = settle(args, output);
    report(args, &comparison, &restored, aside.as_deref(), &notes, output)
}

/// The file under construction.
enum Target<'a> {
    New(NewFile),
    InPlace(Replacement, &'a DataFile),
}

impl Target<'_> {
    fn medium(&mut self) -> Medium {
        match self {
            Self::New(file) => file.medium(),
            Self::InPlace(file, _) => file.medium(),
        }
    }

    fn free_bytes(&self) -> std::io::Result<u64> {
        match self {
            Self::New(file) => file.free_bytes(),
            Self::InPlace(_, old) => old.free_bytes(),
        }
    }

    /// Gives a new file to the service whose folder it is in; one in place of another has that one's owner already.
    fn own(&self, args: &Args, output: &Output) {
        let Self::New(file) = self else { return };
        match file.give_to_owner_of_folder() {
            Ok(None) => {}
            Ok(Some(owner)) => output.note(&format!(
                "{} belongs to {}, as its folder does",
                args.data.display(),
                actor_of_uid(owner).to_string().trim_start_matches("host:")
            )),
            Err(error) => output.warning(&format!(
                "{error}: the file belongs to root, and its folder to another user; chown it before that user's server starts"
            )),
        }
    }

    /// Puts the file in place; returns the name of the one that it replaced.
    fn finish(self, moment: Timestamp) -> Result<Option<PathBuf>, CliError> {
        match self {
            Self::New(file) => file.publish().map(|_| None).map_err(CliError::from),
            Self::InPlace(file, old) => {
                let moment = moment.to_string().replace(':', "");
                file.publish_aside(old, &moment).map(Some).map_err(CliError::from)
            }
        }
    }
}

/// Checks that the copy fits before a byte of it is written; returns the bytes that it needs.
fn check_room(backup: &DataFile, target: &Target<'_>, args: &Args) -> Result<u64, CliError> {
    let needed = backup.bytes().unwrap_or_default().saturating_add(MARGIN_BYTES);
    match target.free_bytes() {
        Ok(free) if free < needed => Err(CliError::failed(
            format!(
                "the restored vault needs up to {needed} bytes, and {free} are free; nothing was changed"
            ),
            no_room(needed, args),
        )),
        // A disk that does not say shows it when it is full.
        Ok(_) | Err(_) => Ok(needed),
    }
}

fn no_room(needed: u64, args: &Args) -> String {
    format!("free {needed} bytes on the disk of {}, or restore to another with --data", args.data.display())
}

fn is_same(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let of = |path| std::fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    of(one).is_some() && of(one) == of(other)
}

fn copy(from: &DataFile, to: &Medium, output: &Output) -> std::io::Result<()> {
    let progress = Progress::bytes("restoring", from.bytes()?, output);
    from.copy_into(to, |bytes| progress.advance(bytes))
}

/// Opens the copy with the passphrase, which verifies every row of it, and makes it the vault's file.
fn restored(
    medium: &Medium,
    passphrase: crate::domain::Secret,
    plan: RestorePlan,
    args: &Args,
) -> Result<Restored, CliError> {
    // The backup itself is the copy of an older format.
    let keeper = Some(keeping::none());
    let settings = Settings { adopts_copies: false, keeper, ..Settings::new(host_actor(), clock::monotonic) };
    let vault =
        Vault::open(medium.clone(), settings).map_err(|error| CliError::open(&args.backup, &error))?;
    let failed = |error: crate::vault::Error| {
        let told = format!("the restored vault cannot be written: {error}; nothing was changed");
        CliError::failed(told, "check the disk's space")
    };
    let clock = offline::clock(&vault)?;
    let work = async || vault.restore(RestorePlan { now: clock.now(), ..plan }).await.map_err(failed);
    let (restored, locked) = offline::unlocked(&vault, &clock, passphrase, not_unlocked, work)?;
    locked.map_err(failed)?;
    Ok(restored)
}

/// Returns the error of a backup that stays locked: the operator may have changed the secrets since.
fn not_unlocked(error: &UnlockError) -> CliError {
    let CliError { message, hint, .. } = CliError::unlock(error);
    match error {
        UnlockError::WrongPassphrase | UnlockError::WrongRecoveryKey | UnlockError::WrongMachineKey => {
            CliError::failed(
                message,
                format!(
                    "a backup opens with the passphrase, recovery key or key file of the time when it was made; {hint}"
                ),
            )
        }
        _ => CliError::failed(message, hint),
    }
}

/// Puts the folder's checkpoints of the replaced history aside, and writes the restored vault's own. The vault is in
/// place by now: a failure is a warning.
fn settle(args: &Args, output: &Output) -> Vec<String> {
    let Some(folder) = &args.checkpoint_folder else {
        output.note(
            "no --checkpoint-folder was given: a server whose folder knows later records than the backup stays locked \
             until it starts once with --accept-rollback",
        );
        return Vec::new();
    };
    let settled = || -> Result<Vec<PathBuf>, CliError> {
        let file = DataFile::open_read_only(&args.data)?;
        let vault = Vault::open(file.medium(), Settings::new(host_actor(), clock::monotonic));
        let vault = vault.map_err(|error| CliError::open(&args.data, &error))?;
        checkpoints::settle(folder, &vault).map_err(|error| CliError::failed(error.to_string(), ""))
    };
    match settled() {
        Ok(moved) => moved.iter().map(|path| path.display().to_string()).collect(),
        Err(error) => {
            let told =
                format!("the vault is restored, but its checkpoint folder is not settled: {}", error.message);
            output.warning(&told);
            Vec::new()
        }
    }
}

/// Tells what the backup lacks, before anything is written.
fn tell(comparison: &Comparison, args: &Args, output: &Output) {
    if let (Some(behind), Some(source)) = (&comparison.behind, &comparison.source) {
        let actions = comparison.later.iter().flat_map(|later| &later.actions);
        let actions: Vec<String> = actions.map(|(action, count)| format!("{count} {action}")).collect();
        let list = if actions.is_empty() { String::new() } else { format!(": {}", actions.join(", ")) };
        output.note(&format!(
            "the backup is {behind} event{} behind {source}{list}",
            if *behind == 1 { "" } else { "s" }
        ));
        if let Some((first, last)) = comparison.later.as_ref().and_then(|later| later.archived) {
            output.warning(&format!(
                "the records {first} to {last} are archived: what they revoked or removed lives again; pass their \
                 archive with --since"
            ));
        }
        if let Some(why) = &comparison.unreadable {
            output.warning(&format!("{why}: it shows nothing"));
        }
        comparison.warnings.iter().for_each(|told| output.warning(told));
    } else {
        let why = comparison.unreadable.as_deref().unwrap_or("no replaced file and no --since FILE");
        output.warning(&format!(
            "nothing shows what was revoked or removed after the backup ({why}): it lives again"
        ));
    }
    if args.revive {
        output.warning("--revive: what was revoked or removed after the backup lives again");
    }
}

fn report(
    args: &Args,
    comparison: &Comparison,
    restored: &Restored,
    aside: Option<&Path>,
    notes: &[String],
    output: &Output,
) -> Result<(), CliError> {
    let mut lines = vec![format!("restored {} from {}", args.data.display(), args.backup.display())];
    lines.extend(aside.map(|aside| format!("the replaced file is {}", aside.display())));
    let mut list = |what: &str, items: &[String]| {
        if !items.is_empty() {
            lines.push(format!("{what}:"));
            lines.extend(items.iter().take(NAMED_MAX).map(|item| format!("  {item}")));
            let more = items.len().saturating_sub(NAMED_MAX);
            lines.extend((more > 0).then(|| format!("  and {more} more: pass --json for all")));
        }
    };
    list("taken away again", &restored.applied);
    list("look at these yourself", &restored.by_hand);
    list("users that are let in", &restored.users);
    list("tokens that are let in", &restored.tokens);
    list("checkpoints put aside", notes);
    lines.push("every session has ended; the log continues with a new key: sealroom audit key".to_owned());
    let value = json!({
        "data": args.data.display().to_string(),
        "replaced": aside.map(|path| path.display().to_string()),
        "behind": comparison.behind,
        "takenAway": restored.applied,
        "byHand": restored.by_hand,
        "users": restored.users,
        "tokens": restored.tokens,
        "checkpointsAside": notes,
    });
    output.result(&visible(&lines.join("\n")), &value)
}
