//! L6. The command line: one file for each command or group. `terminal/output.rs` holds the only `print!`,
//! `terminal/prompt.rs` the only prompt.
//!
//! The commands of `host` open the vault file and need the feature `server`; those of `client` call a server and need
//! the feature `client`.

mod arguments;
mod audit;
#[cfg(feature = "client")]
mod client;
mod config;
mod environment;
mod error;
#[cfg(feature = "server")]
mod host;
#[cfg(feature = "server")]
mod listeners;
mod meant;
mod paths;
mod pem;
mod runtime;
mod secrets;
mod signals;
mod source;
mod terminal;
mod time_arg;
mod usage;
mod version;
#[cfg(feature = "server")]
mod witness_policy;

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};

use arguments::{Parsed, Refused};
#[cfg(all(feature = "client", any(test, fuzzing)))]
pub(crate) use client::probe;
pub use error::{CliError, Exit};
use terminal::output::Output;

/// Examples in the top-level help: the first minutes.
#[cfg(all(feature = "server", feature = "client"))]
const EXAMPLES: &str = "Examples:
  sealroom serve --dev                                              a throw-away server to try
  sealroom init --data team.redb --owner-email ada@example.com      a vault file
  sealroom serve --data team.redb                                   its server
  sealroom login --email ada@example.com                            from here on, as an owner:
  sealroom integration add github/pat --global                      store a credential
  sealroom credentials --all --provider github --field token        read it in a script
  sealroom exec --all -- ./deploy.sh                                run a program with it";
/// Examples in the top-level help.
#[cfg(all(feature = "server", not(feature = "client")))]
const EXAMPLES: &str = "Examples:\n  sealroom serve --dev";
/// Examples in the top-level help.
#[cfg(not(feature = "server"))]
const EXAMPLES: &str =
    "Examples:\n  sealroom login --server https://vault.example.com --email ada@example.com";

/// Keeps the credentials of teams and pipelines in one encrypted file and records every disclosure.
#[derive(Debug, Parser)]
#[command(name = "sealroom", version, max_term_width = 100, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    /// Print JSON on stdout: one value, or one record a line where the command streams.
    #[arg(long, global = true, display_order = 900)]
    json: bool,
    /// Fail on an unknown `SEALROOM_` variable instead of warning.
    #[arg(long, global = true, env = "SEALROOM_STRICT_ENV", hide_env_values = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", display_order = 901)]
    strict_env: Option<bool>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "server")]
    #[command(flatten)]
    Host(host::Command),
    /// Read and verify the audit log.
    #[command(after_help = audit::EXAMPLES)]
    Audit(audit::Args),
    #[cfg(feature = "client")]
    #[command(flatten)]
    Client(Box<client::Command>),
    /// Print the version, and with --verbose commit, target, features and file format.
    #[command(after_help = version::EXAMPLES)]
    Version(version::Args),
}

/// Parses the arguments, runs the command, and turns the outcome into an exit code: 0 done, 1 failed, 2 usage.
pub fn main() -> ExitCode {
    usage::set_grammar(Cli::command);
    let words: Vec<OsString> = std::env::args_os().collect();
    #[cfg(all(feature = "client", unix))]
    if words.get(1).is_some_and(|word| word == client::MONITOR) {
        return ExitCode::from(client::monitor(&words[2..]));
    }
    #[cfg(all(feature = "client", unix))]
    if words.get(1).is_some_and(|word| word == client::PROGRAM) {
        return ExitCode::from(client::become_program(&words[2..]));
    }
    #[cfg(feature = "server")]
    if words.get(1).is_some_and(|word| word == host::SANDBOX_CHECK) {
        let checked = host::check_sandbox(&words[2..], &Output::new(true));
        return ExitCode::from(u8::from(checked.is_err()));
    }
    #[cfg(feature = "server")]
    if words.get(1).is_some_and(|word| word == host::HOOK) {
        return ExitCode::from(host::help_run(&words[2..]));
    }
    let refuse = |error: &CliError, output: Output| {
        output.error(error);
        ExitCode::from(error.exit as u8)
    };
    let Parsed { cli, config } = match arguments::parse::<Cli>(&words) {
        Ok(parsed) => parsed,
        Err(Refused::Setting(error)) => return refuse(&error, Output::new(is_json(&words))),
        Err(Refused::Flags(error)) if error.use_stderr() => return usage(&error),
        Err(Refused::Flags(help)) => {
            drop(help.print());
            return ExitCode::SUCCESS;
        }
    };
    let output = Output::new(cli.json);
    #[cfg(feature = "client")]
    let is_evaluated = matches!(&cli.command, Command::Client(command) if command.feeds_a_shell());
    let checked = environment::check(&Cli::command(), cli.strict_env, config.as_deref(), &output);
    match checked.and_then(|()| run(cli.command, output)) {
        Ok(code) => code,
        Err(error) => {
            let code = refuse(&error, output);
            #[cfg(feature = "client")]
            if is_evaluated {
                output.fail_eval();
            }
            code
        }
    }
}

fn run(command: Command, output: Output) -> Result<ExitCode, CliError> {
    let done = match command {
        #[cfg(feature = "server")]
        Command::Host(command) => host::run(command, &output),
        Command::Audit(args) => audit::run(args, output),
        Command::Version(args) => version::run(&args, output),
        #[cfg(feature = "client")]
        Command::Client(command) => return client::run(*command, Cli::command(), output),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Returns whether errors are printed as JSON, for arguments that do not parse.
fn is_json(words: &[OsString]) -> bool {
    words.iter().any(|word| word == "--json")
}

/// Prints a usage error like any other: a line of cause and one of remedy, or one JSON object.
fn usage(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        drop(error.print());
        return ExitCode::from(Exit::Usage as u8);
    }
    let text = usage::without_secrets(error, error.render().to_string());
    let mut paragraphs =
        text.split("\n\n").map(|lines| lines.split_whitespace().collect::<Vec<_>>().join(" "));
    let message = paragraphs.next().unwrap_or_default();
    let message = message.trim_start_matches("error: ").to_owned();
    let tip = paragraphs.find_map(|lines| lines.strip_prefix("tip: ").map(str::to_owned));
    // A mistyped flag is hardly ever meant as a value.
    let tip = tip.filter(|tip| !tip.starts_with("to pass "));
    let meant = meant::hint(error, Cli::command(), &usage::words(), tip);
    let secret = usage::secret_argument(error, Cli::command(), meant.clone());
    let hint = meant.unwrap_or_else(usage::see_help);
    let told = secret.unwrap_or_else(|| CliError::usage(message, hint));
    let output = Output::new(is_json(&std::env::args_os().collect::<Vec<_>>()));
    output.error(&told);
    #[cfg(feature = "client")]
    if client::may_feed_a_shell(std::env::args_os().skip(1)) {
        output.fail_eval();
    }
    ExitCode::from(Exit::Usage as u8)
}
