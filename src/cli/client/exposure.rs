//! `sealroom exposure`: what an actor knows that is still live, as a list to work off.

#[cfg(feature = "server")]
use super::exposure_archive;
use super::{
    exposure_text::report,
    integration_find, names,
    remote::{Need, Remote, ServerArgs},
};
use crate::{
    cli::{error::CliError, terminal::output::Output, time_arg::moment},
    client::{Error, Exposure, ExposureQuestion},
    domain::{Actor, Email, Timestamp},
};

/// Examples in the help.
pub(super) const EXAMPLES: &str = "A value counts until its integration is rotated: rotate at the provider, then `sealroom integration rotate`.\n\nExamples:\n  sealroom exposure --user ada@example.com --transitive\n  sealroom exposure --token deploy --since 2026-11-01\n  sealroom exposure --integration 'deploy key'";

/// `exposure`'s flags.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("subject").args(["user", "token", "integration", "since"]).multiple(true).required(true))]
pub(in crate::cli) struct Args {
    /// The user, by e-mail address.
    #[arg(long, value_name = "EMAIL", conflicts_with = "token")]
    user: Option<String>,
    /// The application token, by name or id.
    #[arg(long, value_name = "NAME|ID")]
    token: Option<String>,
    /// Only values of this integration, by name or id; without --user and --token, of every caller.
    #[arg(long, value_name = "NAME|ID")]
    integration: Option<String>,
    /// Only what was received or stored from this time on (inclusive), like 2026-11-24 or 2026-11-24T10:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Only what was received or stored before this time (exclusive).
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// Add the tokens and users that the caller made, and what those received and made.
    #[arg(long)]
    transitive: bool,
    /// An archive with records that the server no longer has; may be repeated. The log is then read here.
    #[cfg(feature = "server")]
    #[arg(long = "archive", value_name = "FILE")]
    archives: Vec<std::path::PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: Args, output: Output) -> Result<(), CliError> {
    let remote = args.server.connect(Need::Token, output)?;
    if args.transitive && args.user.is_none() && args.token.is_none() {
        return Err(CliError::usage("--transitive needs --user or --token", "name the caller to begin with"));
    }
    let question = question(&args, &remote).await?;
    #[cfg(feature = "server")]
    if !args.archives.is_empty() {
        return show(&exposure_archive::exposure(&args.archives, question, &remote).await?, &remote);
    }
    show(&remote.client.exposure(&question).await.map_err(with_archive)?, &remote)
}

/// Prints an exposure.
fn show(exposure: &Exposure, remote: &Remote) -> Result<(), CliError> {
    remote.output.result(&report(exposure), exposure)
}

async fn question(args: &Args, remote: &Remote) -> Result<ExposureQuestion, CliError> {
    let actor = match (&args.user, &args.token) {
        (Some(email), _) => Some(user(email)?),
        (None, Some(token)) => Some(names::token(token, remote).await?),
        (None, None) => None,
    };
    let integration = match &args.integration {
        Some(text) => Some(integration_find::id_of(text, remote).await.map_err(or_deleted)?),
        None => None,
    };
    let Args { since, until, transitive, .. } = *args;
    Ok(ExposureQuestion { actor, integration, since, until, transitive })
}

/// Returns the actor in the log of a user, in the spelling of the log.
fn user(text: &str) -> Result<String, CliError> {
    let email: Email = text.strip_prefix("user:").unwrap_or(text).parse().map_err(|invalid| {
        CliError::usage(format!("--user: {invalid}"), "pass an e-mail address; --token takes a token")
    })?;
    Ok(Actor::User(email).to_string())
}

/// Says how to name an integration that was deleted: it no longer has a name.
fn or_deleted(error: CliError) -> CliError {
    let hint = format!(
        "{}; a deleted one only by its id: sealroom audit list --action integration.delete",
        error.hint
    );
    CliError { hint, ..error }
}

/// Says how to ask about archived records.
fn with_archive(error: Error) -> CliError {
    let is_archived = matches!(&error, Error::Refused(refusal) if refusal.code == "archived");
    let error = CliError::from(error);
    if is_archived {
        let hint =
            "pass the file that holds them with --archive, or a later --since and no --transitive".to_owned();
        CliError { hint, ..error }
    } else {
        error
    }
}
