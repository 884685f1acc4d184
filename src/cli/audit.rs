//! `sealroom audit`: a server's log, and the verification of a log by anyone who has it.

use clap::Subcommand;

#[cfg(feature = "client")]
use super::client::{self, events};
#[cfg(feature = "server")]
use super::host::{archive, verify};
use super::{error::CliError, terminal::output::Output};

/// Examples in the group's help.
#[cfg(feature = "client")]
pub(super) const EXAMPLES: &str = "Examples:\n  sealroom audit list --action credentials.read";
/// Examples in the group's help.
#[cfg(not(feature = "client"))]
pub(super) const EXAMPLES: &str = "Examples:\n  sealroom audit verify team.redb";

/// `audit`'s flags.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "client")]
    #[command(flatten)]
    Events(Box<events::Command>),
    /// Move old events from the vault file to an archive that `audit verify` accepts.
    #[cfg(feature = "server")]
    #[command(
        after_help = "A running server writes the archive itself; otherwise the passphrase or the recovery key unlocks.\nEvents move in blocks of 256; the newest stay.\n\nExamples:\n  sealroom audit archive --before 2026-01-01 --to events-2025.archive --data team.redb"
    )]
    Archive(archive::Args),
    /// Verify the log of a vault file, backup, archive or export, without passphrase or server.
    #[cfg(feature = "server")]
    #[command(
        after_help = "Examples:\n  sealroom audit verify team.redb --key audit.key --checkpoint /mnt/elsewhere\n  sealroom audit verify export.ndjson --checkpoint kept.checkpoint --receipts build.log\n  sealroom audit verify - --key audit.key --checkpoint kept.checkpoint < export.ndjson"
    )]
    Verify(verify::Args),
}

pub(super) fn run(args: Args, output: Output) -> Result<(), CliError> {
    match args.command {
        #[cfg(feature = "client")]
        Command::Events(command) => client::run_audit(*command, output),
        #[cfg(feature = "server")]
        Command::Verify(args) => verify::run(&args, &output),
        #[cfg(feature = "server")]
        Command::Archive(args) => archive::run(args, &output),
    }
}
