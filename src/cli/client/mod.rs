//! The commands that call a server, and the completions and manual pages for their users.

mod backup;
mod client_error;
#[cfg(feature = "server")]
mod cosign;
mod credential_form;
mod credentials;
mod doubts;
mod due;
mod env_names;
pub(super) mod events;
#[cfg(unix)]
mod exec;
mod expiry;
#[cfg(feature = "server")]
mod explain;
mod export;
mod exposure;
#[cfg(feature = "server")]
mod exposure_archive;
mod exposure_text;
mod git_credential;
mod group;
mod health;
mod import;
mod integration;
mod integration_find;
mod integration_text;
mod integration_update;
mod lock_told;
#[cfg(feature = "server")]
mod log_proof;
mod login;
mod names;
mod near;
mod otp;
mod output_file;
mod pair;
#[cfg(any(test, fuzzing))]
pub(crate) mod probe;
mod project;
mod remote;
#[cfg(feature = "server")]
mod report;
mod selection;
#[cfg(feature = "server")]
mod sentences;
mod shadows;
mod shell;
mod span_arg;
mod status;
mod time_range;
mod token;
mod token_source;
mod user;
mod vault_export;

use std::process::ExitCode;

use clap::Subcommand;

use super::{error::CliError, runtime::block_on, terminal::output::Output};
use group::GroupArgs;

pub(super) use credentials::may_feed_a_shell;
#[cfg(unix)]
pub(super) use exec::{MONITOR, PROGRAM, become_program, monitor};

/// The commands that call a server.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Log in to a server and save the session in your config folder.
    #[command(
        after_help = "Examples:\n  sealroom login --server https://vault.example.com --email ada@example.com"
    )]
    Login(login::LoginArgs),
    /// End the session on the server and delete it here.
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
    Integration(GroupArgs<integration::Command>),
    /// Print credentials; each disclosure is recorded first.
    #[command(
        after_help = credentials::EXAMPLES
    )]
    Credentials(credentials::Args),
    /// Run a command with credentials in its environment, masked in its output.
    #[cfg(unix)]
    #[command(after_help = exec::EXAMPLES)]
    Exec(exec::Args),
    /// Answer git, which runs this for the repositories of registered projects.
    #[command(after_help = git_credential::EXAMPLES)]
    GitCredential(git_credential::Args),
    /// Register, list and delete projects.
    #[command(after_help = "Examples:\n  sealroom project register acme/app https://github.com/acme/app")]
    Project(GroupArgs<project::Command>),
    /// Create, list and revoke tokens for machines.
    #[command(
        after_help = "Examples:\n  sealroom token create deploy --project acme/app --write-to deploy.token"
    )]
    Token(GroupArgs<token::Command>),
    /// Add, list, change and remove users.
    #[command(after_help = "Examples:\n  sealroom user add bob@example.com")]
    User(GroupArgs<user::Command>),
    /// Save a verified copy of the running vault to a new file, sealed as the original is.
    #[command(
        after_help = "Needs an owner's session, or a token of the role operator.\n\nExamples:\n  sealroom backup team-2026-11-24.redb"
    )]
    Backup(backup::Args),
    /// Store the credentials of an export, a .env file or another tool; shows first what it would do.
    #[command(after_help = import::EXAMPLES)]
    Import(import::Args),
    /// Write every credential, project and user to a file or a pipe, for a move to another vault.
    #[command(after_help = vault_export::EXAMPLES)]
    Export(vault_export::Args),
    /// List what a caller received or stored that is still live: what to rotate now.
    #[command(after_help = exposure::EXAMPLES)]
    Exposure(exposure::Args),
    /// Show the server's health; owners also see counts and what expires soon.
    #[command(after_help = "Examples:\n  sealroom status")]
    Status(status::Args),
    /// List what is due for rotation: what ends, what is old, what nobody uses.
    #[command(after_help = due::EXAMPLES)]
    Due(due::Args),
    /// Probe a server once: exit 0 if it is ready, else 1.
    #[command(
        after_help = "Uses no session and no token, and does not wait for a server that is starting.\n\nExamples:\n  sealroom health --server http://127.0.0.1:3029\n  sealroom health --live --server unix:/run/sealroom.sock"
    )]
    Health(health::Args),
    /// Print the completion script of a shell.
    #[command(
        after_help = "Examples:\n  source <(sealroom completions bash)\n  sealroom completions fish > ~/.config/fish/completions/sealroom.fish"
    )]
    Completions(shell::CompletionArgs),
    /// Write the manual pages to a folder.
    #[command(after_help = "Examples:\n  sealroom man ~/.local/share/man/man1")]
    Man(shell::ManArgs),
}

impl Command {
    /// Returns whether a shell evaluates the output.
    pub(super) fn feeds_a_shell(&self) -> bool {
        matches!(self, Self::Credentials(args) if args.feeds_a_shell())
    }
}

/// Runs a command; `grammar` describes the whole command line.
pub(super) fn run(command: Command, grammar: clap::Command, output: Output) -> Result<ExitCode, CliError> {
    let done = match command {
        #[cfg(unix)]
        Command::Exec(args) => return exec::run(args, output),
        Command::Login(args) => block_on(login::login(args, output)),
        Command::Logout(args) => block_on(login::logout(args, output)),
        Command::Whoami(args) => block_on(login::whoami(args, output)),
        Command::Integration(args) => block_on(integration::run(args, output)),
        Command::Credentials(args) => block_on(credentials::run(args, output)),
        Command::GitCredential(args) => block_on(git_credential::run(args, output)),
        Command::Project(args) => block_on(project::run(args, output)),
        Command::Token(args) => block_on(token::run(args, output)),
        Command::User(args) => block_on(user::run(args, output)),
        Command::Backup(args) => block_on(backup::run(args, output)),
        Command::Import(args) => block_on(import::run(args, output)),
        Command::Export(args) => block_on(vault_export::run(args, output)),
        Command::Exposure(args) => block_on(exposure::run(args, output)),
        Command::Status(args) => block_on(status::run(args, output)),
        Command::Due(args) => block_on(due::run(args, output)),
        Command::Health(args) => block_on(health::run(args, output)),
        Command::Completions(args) => shell::completions(args, grammar, output),
        Command::Man(args) => shell::man(args, grammar, output),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Runs the subcommands of `audit` that call a server.
pub(super) fn run_audit(command: events::Command, output: Output) -> Result<(), CliError> {
    block_on(events::run(command, output))
}
