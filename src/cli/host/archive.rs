//! `sealroom audit archive`: moves old events from the vault file to an archive, or lets the running server do so.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::json;

use super::{
    archiving::{archive, check_new, failed, told},
    checkpoints::CheckpointPlan,
    control,
    file_args::FileArgs,
    host_actor::host_actor,
    offline,
    passphrase::PassphraseArgs,
};
use crate::{
    cli::{
        error::CliError,
        terminal::{output::Output, progress::Progress, prompt::Asking},
        time_arg::moment,
    },
    clock,
    disk::{DataFile, FileError, beside, resolved},
    domain::Timestamp,
    vault::{Settings, Vault},
};

/// `audit archive`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Archive events from before this time (exclusive); a day like 2026-01-01 is its midnight in UTC.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    before: Timestamp,
    /// The archive, a new file.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// The folder of the vault's checkpoints, which gets the newest one first; a running server knows its own.
    #[arg(long, env = "SEALROOM_CHECKPOINT_FOLDER", hide_env_values = true, value_name = "FOLDER")]
    checkpoint_folder: Option<PathBuf>,
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub(in crate::cli) fn run(args: Args, output: &Output) -> Result<(), CliError> {
    // A server writes the file itself, from its own folder.
    let to = std::path::absolute(&args.to).unwrap_or_else(|_| args.to.clone());
    check_new(&to)?;
    let range = match DataFile::open(&args.file.data, args.file.locking()) {
        Err(in_use @ FileError::InUse { .. }) => {
            let socket = std::os::unix::net::UnixStream::connect(beside(&resolved(&args.file.data), ".sock"));
            let server = socket.map_err(|_| CliError::from(in_use))?;
            control::archive(server, args.before, &to, output)?
        }
        file => offline(&args, &file?, &to, output)?,
    };
    let Some((first, last)) = range else {
        let text = format!("nothing to archive: fewer than 256 events from before {}", args.before);
        return output.result(&text, &json!({ "archived": null }));
    };
    let shown = args.to.display();
    output.result(
        &format!("archived: sequences {first} to {last}, in {shown}\nthe file reuses their space"),
        &json!({ "archived": { "first": first, "last": last, "file": shown.to_string() } }),
    )
}

fn offline(args: &Args, file: &DataFile, to: &Path, output: &Output) -> Result<Option<(u64, u64)>, CliError> {
    let vault = Vault::open(file.medium(), Settings::new(host_actor(), clock::monotonic))
        .map_err(|error| CliError::open(&args.file.data, &error))?;
    let clock = offline::clock(&vault)?;
    let passphrase = args.passphrase.read(Asking::Once, output)?;
    let vault = Arc::new(vault);
    let plan = args.checkpoint_folder.clone().map(|folder| CheckpointPlan { folder, every: Duration::ZERO });
    let work = async || {
        let (moving, progress) = (Arc::default(), Progress::entries("archiving", output));
        let archive = archive(&vault, &clock, host_actor(), args.before, to, plan.as_ref(), &moving);
        told(&moving, archive, |done, total| progress.reach(done, total)).await.map_err(CliError::from)
    };
    let (range, locked) = offline::unlocked(&vault, &clock, passphrase, CliError::unlock, work)?;
    locked.map_err(|error| failed(&format!("the lock could not be recorded: {error}")))?;
    Ok(range)
}
