//! L6. The command line: one file a command. `output.rs` holds the only `print!`.

mod certificate;
mod checkpoints;
mod control;
mod dev;
mod error;
mod init;
mod lock;
mod log;
mod output;
mod progress;
mod secrets;
mod serve;
mod settings;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use error::{CliError, Exit};
use output::Output;

/// Keeps the credentials of teams and pipelines in one encrypted file and records every disclosure.
#[derive(Debug, Parser)]
#[command(name = "sealroom", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    /// Print one JSON value on stdout and nothing else there.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a vault file with its first owner.
    #[command(after_help = "Example:\n  sealroom init --data team.redb --owner-email ada@example.com")]
    Init(init::Args),
    /// Serve a vault file over HTTP; with --dev a throw-away one.
    #[command(
        after_help = "Examples:\n  sealroom serve --dev\n  sealroom serve --data team.redb --passphrase-file /run/secrets/passphrase"
    )]
    Serve(Box<settings::Args>),
    /// Unlock the vault of a running server, over its local socket.
    #[command(after_help = "Example:\n  sealroom unlock --data team.redb")]
    Unlock(lock::UnlockArgs),
    /// Lock the vault of a running server and wipe its keys from memory.
    #[command(after_help = "Example:\n  sealroom lock --data team.redb")]
    Lock(lock::LockArgs),
    /// The audit log.
    #[command(subcommand)]
    Audit(Audit),
}

#[derive(Debug, Subcommand)]
enum Audit {
    /// Check a log without passphrase and server: a vault file, a backup or an export.
    #[command(
        after_help = "Examples:\n  sealroom audit verify team.redb --key audit.key --checkpoint /mnt/elsewhere\n  sealroom audit verify export.ndjson --key audit.key --checkpoint kept.checkpoint --receipts build.log"
    )]
    Verify(verify::Args),
}

/// Parses the arguments, runs the command, and turns the outcome into an exit code: 0 done, 1 failed, 2 usage.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => return usage(&error),
        Err(help) => {
            drop(help.print());
            return ExitCode::SUCCESS;
        }
    };
    let output = Output::new(cli.json);
    let result = match cli.command {
        Command::Init(args) => init::run(args, &output),
        Command::Serve(args) => serve::run(*args, &output),
        Command::Unlock(args) => lock::unlock(args, &output),
        Command::Lock(args) => lock::lock(args, &output),
        Command::Audit(Audit::Verify(args)) => verify::run(&args, &output),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            ExitCode::from(error.exit as u8)
        }
    }
}

/// A mistake in the arguments, as any other error: a line of cause and one of remedy, or one JSON object.
fn usage(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        drop(error.print());
        return ExitCode::from(Exit::Usage as u8);
    }
    let text = error.render().to_string();
    let mut paragraphs =
        text.split("\n\n").map(|lines| lines.split_whitespace().collect::<Vec<_>>().join(" "));
    let message = paragraphs.next().unwrap_or_default();
    let message = message.trim_start_matches("error: ").to_owned();
    let tip = paragraphs.find_map(|lines| lines.strip_prefix("tip: ").map(str::to_owned));
    let hint = tip.unwrap_or_else(|| "see `sealroom --help`, or --help after the command".to_owned());
    Output::new(std::env::args_os().any(|arg| arg == "--json")).error(&CliError::usage(message, hint));
    ExitCode::from(Exit::Usage as u8)
}
