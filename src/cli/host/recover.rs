//! `sealroom recover owner`.

use std::path::PathBuf;

use serde_json::json;

use super::{
    file_args::FileArgs,
    init::owner_password,
    offline::{self, RunClock},
    passphrase::PassphraseArgs,
};
use crate::{
    auth::password,
    cli::{
        error::CliError,
        secrets::shown,
        terminal::{once::Discard, output::Output, prompt::Asking},
    },
    domain::{Action, Email, Invalid, Secret},
    vault::{RecoverError, Vault},
};

/// Maximum number of owners that a message names.
const NAMED_MAX: usize = 10;

/// `recover`'s subcommands.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    whom: Whom,
}

#[derive(Debug, clap::Subcommand)]
enum Whom {
    /// Set a new password for an owner, remove the second factor and end the owner's sessions; recorded as vault.recover.
    #[command(
        after_help = "The server must be stopped: the command opens the file itself. The passphrase or the recovery \
                      key unlocks.\n\nExamples:\n  sealroom recover owner --data team.redb\n  \
                      sealroom recover owner --data team.redb --owner-email ada@example.com"
    )]
    Owner(OwnerArgs),
}

/// `recover owner`'s flags.
#[derive(Debug, clap::Args)]
struct OwnerArgs {
    #[command(flatten)]
    file: FileArgs,
    /// The owner's e-mail address; needed where the vault has several owners.
    #[arg(long, value_name = "EMAIL")]
    owner_email: Option<String>,
    /// Read the new password from this file (mode 0600); without it one is generated.
    #[arg(long, value_name = "FILE")]
    owner_password_file: Option<PathBuf>,
    /// Accept a clock that is over five minutes behind the newest record, or decades ahead.
    #[arg(long)]
    accept_clock: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub(super) fn run(args: Args, output: &Output) -> Result<(), CliError> {
    let Whom::Owner(args) = args.whom;
    let email = args.owner_email.as_deref().map(str::parse::<Email>).transpose();
    let email = email.map_err(|error| {
        CliError::usage(format!("--owner-email: {error}"), "pass an address like ada@example.com")
    })?;
    // Lock before any prompt: a user must not type a passphrase for a file in use.
    let (_file, vault) = offline::open(&args.file.data, args.file.locking())?;
    let checked = RunClock::check(&vault, args.accept_clock)?;
    let (password, is_generated) = owner_password(args.owner_password_file.as_deref(), output)?;
    password::check_rule(&password).map_err(refused)?;
    let passphrase = args.passphrase.read(Asking::Once, output)?;
    let work = async || recover(&vault, &checked, email.as_ref(), password, is_generated, output).await;
    let ((), locked) = offline::unlocked(&vault, &checked.clock, passphrase, CliError::unlock, work)?;
    locked.map_err(|error| {
        CliError::failed(
            format!("the new password holds, but the lock could not be recorded: {error}"),
            "check the disk's space and the file's mode",
        )
    })
}

async fn recover(
    vault: &Vault,
    checked: &RunClock,
    email: Option<&Email>,
    password: Secret,
    is_generated: bool,
    output: &Output,
) -> Result<(), CliError> {
    let owner = vault.owner_to_recover(email).map_err(|error| not_meant(email, error))?.email.clone();
    password::check_new(&password, &owner).map_err(refused)?;
    // Show the password before it takes effect: without it, the owner could not log in.
    let mut lines = vec![format!("owner     {owner}")];
    let mut value = json!({ "owner_email": owner.as_str() });
    if is_generated {
        let text = shown(&password);
        lines.push(format!("password  {text}"));
        value["owner_password"] = json!(text);
    }
    let discard = if is_generated { Discard::Refused } else { Discard::Allowed };
    output.write_once("the owner's password", &lines.join("\n"), &value, discard).map_err(|lost| {
        CliError::failed(
            lost.to_string(),
            "the old password still holds; run it again where standard output can be written and is read",
        )
    })?;
    let recovered = vault.recover_owner(owner, password, checked.event(Action::VaultRecover)).await;
    let had_factor = recovered.map_err(|error| failed(&error))?;
    output.note("the new password holds; the owner's earlier sessions have ended");
    if had_factor {
        output.note("the second factor was removed: set a new one with `sealroom user otp enable`");
    }
    Ok(())
}

fn refused(invalid: Invalid) -> CliError {
    CliError::failed(format!("the new password: {invalid}"), "choose another one")
}

fn failed(error: &crate::vault::Error) -> CliError {
    CliError::failed(
        format!("{error}; whether the new password holds is unknown"),
        "check the disk's space and the file's mode, then run it again",
    )
}

fn not_meant(email: Option<&Email>, error: RecoverError) -> CliError {
    let owners = match error {
        RecoverError::NoSingleOwner { owners } => owners,
        RecoverError::Vault(error) => {
            return CliError::failed(format!("the owners cannot be read: {error}"), "restore a backup");
        }
    };
    let names: Vec<String> = owners.iter().take(NAMED_MAX).map(Email::to_string).collect();
    let more = if owners.len() > NAMED_MAX { ", …" } else { "" };
    let message = match email {
        Some(email) => format!("{email} is not an enabled owner of this vault"),
        None => format!("this vault has {} owners", owners.len()),
    };
    CliError::failed(message, format!("pass --owner-email with one of: {}{more}", names.join(", ")))
}
