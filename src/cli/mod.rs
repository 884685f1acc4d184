//! L6. The command line: one file a command or group. `output.rs` holds the only `print!`, `prompt.rs` the only question.
//!
//! The commands of the host open the file and need the feature `server`; those that speak to a server need `client`.

mod arguments;
#[cfg(feature = "client")]
mod ask;
mod audit;
#[cfg(feature = "server")]
mod certificate;
#[cfg(feature = "server")]
mod checkpoints;
mod config;
#[cfg(feature = "server")]
mod control;
#[cfg(feature = "client")]
mod credentials;
#[cfg(feature = "server")]
mod descriptors;
#[cfg(feature = "server")]
mod dev;
#[cfg(feature = "client")]
mod doubts;
mod environment;
mod error;
#[cfg(feature = "client")]
mod events;
#[cfg(feature = "client")]
mod expiry;
#[cfg(feature = "client")]
mod failure;
#[cfg(feature = "client")]
mod form;
#[cfg(feature = "server")]
mod host_actor;
#[cfg(feature = "server")]
mod init;
#[cfg(feature = "client")]
mod integration;
#[cfg(feature = "server")]
mod knock;
#[cfg(feature = "server")]
mod lock;
#[cfg(feature = "server")]
mod log;
#[cfg(feature = "client")]
mod login;
#[cfg(feature = "client")]
mod names;
#[cfg(feature = "client")]
mod near;
mod once;
mod output;
#[cfg(feature = "client")]
mod pair;
#[cfg(feature = "server")]
mod passphrase;
mod paths;
mod pem;
#[cfg(feature = "server")]
mod progress;
#[cfg(feature = "client")]
mod project;
mod prompt;
#[cfg(feature = "server")]
mod recover;
#[cfg(feature = "client")]
mod remote;
#[cfg(feature = "server")]
mod repeats;
#[cfg(feature = "server")]
mod rescue;
mod secrets;
#[cfg(feature = "server")]
mod serve;
#[cfg(feature = "server")]
mod settings;
#[cfg(feature = "client")]
mod shadows;
#[cfg(feature = "client")]
mod shell;
mod source;
#[cfg(feature = "client")]
mod status;
#[cfg(feature = "client")]
mod stream;
#[cfg(feature = "server")]
mod systemd;
#[cfg(feature = "client")]
mod table;
#[cfg(feature = "client")]
mod token;
mod usage;
#[cfg(feature = "client")]
mod user;
#[cfg(feature = "server")]
mod verify;
mod visible;

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};

use arguments::{Parsed, Refused};
pub use error::{CliError, Exit};
use output::Output;

/// What the help of all shows: the first minutes.
#[cfg(all(feature = "server", feature = "client"))]
const EXAMPLES: &str = "Examples:
  sealroom serve --dev                                              a throw-away server to try
  sealroom init --data team.redb --owner-email ada@example.com      a vault file
  sealroom serve --data team.redb                                   its server
  sealroom login --email ada@example.com                            from here on, as an owner:
  sealroom integration add github/pat --global                      store a credential
  sealroom credentials --all --provider github --field token        read it in a script";
/// What the help of all shows.
#[cfg(all(feature = "server", not(feature = "client")))]
const EXAMPLES: &str = "Examples:\n  sealroom serve --dev";
/// What the help of all shows.
#[cfg(not(feature = "server"))]
const EXAMPLES: &str =
    "Examples:\n  sealroom login --server https://vault.example.com --email ada@example.com";

/// Keeps the credentials of teams and pipelines in one encrypted file and records every disclosure.
#[derive(Debug, Parser)]
#[command(name = "sealroom", version, max_term_width = 100, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    /// Print one JSON value on stdout and nothing else there.
    #[arg(long, global = true, display_order = 900)]
    json: bool,
    /// Refuse variables that begin with `SEALROOM_` and are no setting, and do not only warn of them.
    #[arg(long, global = true, env = "SEALROOM_STRICT_ENV", hide_env_values = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", display_order = 901)]
    strict_env: Option<bool>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a vault file with its first owner.
    #[cfg(feature = "server")]
    #[command(after_help = "Examples:\n  sealroom init --data team.redb --owner-email ada@example.com")]
    Init(init::Args),
    /// Serve a vault file over HTTP; with --dev a throw-away one.
    #[cfg(feature = "server")]
    #[command(
        after_help = "Examples:\n  sealroom serve --dev\n  sealroom serve --data team.redb --passphrase-file /run/secrets/passphrase"
    )]
    Serve(Box<settings::Args>),
    /// Unlock the vault of a running server, over its local socket.
    #[cfg(feature = "server")]
    #[command(after_help = "Examples:\n  sealroom unlock --data team.redb")]
    Unlock(lock::UnlockArgs),
    /// Lock the vault of a running server and wipe its keys from memory.
    #[cfg(feature = "server")]
    #[command(after_help = "Examples:\n  sealroom lock --data team.redb")]
    Lock(lock::LockArgs),
    /// Save the vault of a running server whose file was removed, moved or replaced.
    #[cfg(feature = "server")]
    #[command(after_help = "Examples:\n  sealroom rescue --data team.redb --to saved.redb")]
    Rescue(rescue::Args),
    /// Let an owner in again whose password is lost, with the passphrase or the recovery key.
    #[cfg(feature = "server")]
    #[command(after_help = "Examples:\n  sealroom recover owner --data team.redb")]
    Recover(recover::Args),
    /// Read the audit log, and check it.
    #[command(after_help = audit::EXAMPLES)]
    Audit(audit::Args),
    #[cfg(feature = "client")]
    #[command(flatten)]
    Remote(Box<Remote>),
    /// Print the completions of a shell.
    #[cfg(feature = "client")]
    #[command(
        after_help = "Examples:\n  source <(sealroom completions bash)\n  sealroom completions fish > ~/.config/fish/completions/sealroom.fish"
    )]
    Completions(shell::CompletionArgs),
    /// Write the manual pages into a folder.
    #[cfg(feature = "client")]
    #[command(after_help = "Examples:\n  sealroom man ~/.local/share/man/man1")]
    Man(shell::ManArgs),
}

/// The commands that speak to a server.
#[cfg(feature = "client")]
#[derive(Debug, Subcommand)]
enum Remote {
    /// Log in at a server; the session is kept in your config folder.
    #[command(
        after_help = "Examples:\n  sealroom login --server https://vault.example.com --email ada@example.com"
    )]
    Login(login::LoginArgs),
    /// End the session, at the server and here.
    #[command(after_help = "Examples:\n  sealroom logout")]
    Logout(login::LogoutArgs),
    /// Show the user or token in use, its role and projects.
    #[command(
        after_help = "A token cannot ask for its own role: it is tried out, and what an auditor or operator token is\n\
                      refused meanwhile stands in the audit log.\n\nExamples:\n  sealroom whoami"
    )]
    Whoami(login::WhoamiArgs),
    /// Store, list, rotate and delete integrations.
    #[command(
        after_help = "Examples:\n  sealroom integration add github/pat --global\n  sealroom integration list"
    )]
    Integration(integration::Args),
    /// Print credentials; every one is recorded first.
    #[command(
        after_help = credentials::EXAMPLES
    )]
    Credentials(credentials::Args),
    /// Register, list and delete projects.
    #[command(after_help = "Examples:\n  sealroom project register acme/app https://github.com/acme/app")]
    Project(project::Args),
    /// Make, list and revoke tokens for machines.
    #[command(
        after_help = "Examples:\n  sealroom token create deploy --project acme/app --write-to deploy.token"
    )]
    Token(token::Args),
    /// Add, list, change and remove users.
    #[command(after_help = "Examples:\n  sealroom user add bob@example.com")]
    User(user::Args),
    /// Show the server's health, and for owners what is stored and what ends soon.
    #[command(after_help = "Examples:\n  sealroom status")]
    Status(status::Args),
}

/// Parses the arguments, runs the command, and turns the outcome into an exit code: 0 done, 1 failed, 2 usage.
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
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
    let is_evaluated = matches!(&cli.command, Command::Remote(remote) if matches!(&**remote, Remote::Credentials(args) if args.feeds_a_shell()));
    let checked = environment::check(cli.strict_env, config.as_deref(), &output);
    match checked.and_then(|()| run(cli.command, output)) {
        Ok(()) => ExitCode::SUCCESS,
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

fn run(command: Command, output: Output) -> Result<(), CliError> {
    match command {
        #[cfg(feature = "server")]
        Command::Init(args) => init::run(args, &output),
        #[cfg(feature = "server")]
        Command::Serve(args) => serve::run(*args, &output),
        #[cfg(feature = "server")]
        Command::Unlock(args) => lock::unlock(args, &output),
        #[cfg(feature = "server")]
        Command::Lock(args) => lock::lock(args, &output),
        #[cfg(feature = "server")]
        Command::Rescue(args) => rescue::run(&args, &output),
        #[cfg(feature = "server")]
        Command::Recover(args) => recover::run(args, &output),
        Command::Audit(args) => audit::run(args, output),
        #[cfg(feature = "client")]
        Command::Remote(remote) => block_on(at_server(*remote, output)),
        #[cfg(feature = "client")]
        Command::Completions(args) => shell::completions(args, output),
        #[cfg(feature = "client")]
        Command::Man(args) => shell::man(args, output),
    }
}

/// Whether machines read the errors, where the arguments do not parse.
fn is_json(words: &[OsString]) -> bool {
    words.iter().any(|word| word == "--json")
}

/// One thread is enough for one call after the other.
#[cfg(feature = "client")]
fn block_on(work: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| CliError::failed(format!("no runtime: {error}"), "free memory or files"))?;
    runtime.block_on(work)
}

#[cfg(feature = "client")]
async fn at_server(command: Remote, output: Output) -> Result<(), CliError> {
    match command {
        Remote::Login(args) => login::login(args, output).await,
        Remote::Logout(args) => login::logout(args, output).await,
        Remote::Whoami(args) => login::whoami(args, output).await,
        Remote::Integration(args) => integration::run(args, output).await,
        Remote::Credentials(args) => credentials::run(args, output).await,
        Remote::Project(args) => project::run(args, output).await,
        Remote::Token(args) => token::run(args, output).await,
        Remote::User(args) => user::run(args, output).await,
        Remote::Status(args) => status::run(args, output).await,
    }
}

/// The command that the arguments name, as it is typed.
fn command_named() -> String {
    let (mut command, mut name) = (Cli::command(), "sealroom".to_owned());
    for word in std::env::args_os().skip(1) {
        if let Some(next) = command.find_subcommand(&word).cloned() {
            name = format!("{name} {}", next.get_name());
            command = next;
        }
    }
    name
}

/// A mistake in the arguments, as any other error: a line of cause and one of remedy, or one JSON object.
fn usage(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        drop(error.print());
        return ExitCode::from(Exit::Usage as u8);
    }
    let text = usage::veiled(error, error.render().to_string());
    let mut paragraphs =
        text.split("\n\n").map(|lines| lines.split_whitespace().collect::<Vec<_>>().join(" "));
    let message = paragraphs.next().unwrap_or_default();
    let message = message.trim_start_matches("error: ").to_owned();
    let tip = paragraphs.find_map(|lines| lines.strip_prefix("tip: ").map(str::to_owned));
    let hint = tip.unwrap_or_else(|| format!("see `{} --help`", command_named()));
    let secret = usage::refused(error, Cli::command(), std::env::args_os().skip(1));
    let told = secret.unwrap_or_else(|| CliError::usage(message, hint));
    let output = Output::new(is_json(&std::env::args_os().collect::<Vec<_>>()));
    output.error(&told);
    #[cfg(feature = "client")]
    if credentials::may_feed_a_shell(std::env::args_os().skip(1)) {
        output.fail_eval();
    }
    ExitCode::from(Exit::Usage as u8)
}
