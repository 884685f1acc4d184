//! `sealroom token`.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::{
    ask::Consent,
    error::CliError,
    output::Output,
    remote::{Need, Remote, ServerArgs},
    secrets,
    table::{NOTHING, facts, list, local, local_or_nothing, table},
};
use crate::client::{NewToken, SecretText, Token};

/// `token`'s flags.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a token for a machine; it is shown this once.
    #[command(
        after_help = "Examples:\n  sealroom token create deploy --days 90 --project acme/app --write-to deploy.token\n  sealroom token create watcher --role auditor"
    )]
    Create(CreateArgs),
    /// List the tokens; never the tokens themselves.
    #[command(after_help = "Examples:\n  sealroom token list")]
    List,
    /// Take a token back, at once and for good.
    #[command(after_help = "Examples:\n  sealroom token revoke deploy --yes")]
    Revoke(RevokeArgs),
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// A label.
    name: String,
    /// Days until its end, 1 to 3650.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3650))]
    days: u64,
    /// What its holder may do.
    #[arg(long, default_value = "application", value_parser = ["application", "auditor", "operator"])]
    role: String,
    /// It may read for this project alone; may be given more than once.
    #[arg(long = "project", value_name = "PROJECT")]
    projects: Vec<String>,
    /// It may read this provider alone; may be given more than once.
    #[arg(long = "provider", value_name = "PROVIDER")]
    providers: Vec<String>,
    /// Write the token to this new file (mode 0600) and not on stdout.
    #[arg(long, value_name = "FILE")]
    write_to: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct RevokeArgs {
    /// Its id or name.
    token: String,
    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn run(args: Args, output: Output) -> Result<(), CliError> {
    if let Command::Revoke(args) = &args.command {
        args.consent.check()?;
    }
    let remote = args.server.connect(Need::Token, output)?;
    match args.command {
        Command::Create(args) => create(args, &remote).await,
        Command::List => show_all(&remote).await,
        Command::Revoke(args) => revoke(args, &remote).await,
    }
}

async fn create(args: CreateArgs, remote: &Remote) -> Result<(), CliError> {
    let CreateArgs { name, days, role, projects, providers, write_to } = args;
    // Before the token is made: one that cannot be written would be lost.
    let file = write_to.as_deref().map(secrets::NewFile::begin).transpose()?;
    let made =
        remote.client.create_token(&NewToken { name, expires_in: days, role, projects, providers }).await?;
    let text = made.token.as_ref().map(SecretText::expose).unwrap_or_default();
    let mut lines = vec![
        ("token", text.to_owned()),
        ("name", made.name.clone()),
        ("role", made.role.clone()),
        ("id", made.id.to_string()),
        ("expires", local(made.expires_at)),
    ];
    let mut value = json!({ "id": made.id.to_string(), "name": made.name, "role": made.role, "token": text,
        "createdAt": made.created_at.to_string(), "expiresAt": made.expires_at.to_string() });
    let end = match file {
        Some(file) => {
            file.write(text.as_bytes())?;
            let shown = write_to.unwrap_or_default().display().to_string();
            lines[0].1 = format!("in {shown}");
            value["token"] = json!(null);
            value["token_file"] = json!(shown);
            ""
        }
        None => "\n\nThe token is shown this once. Keep it in a file of mode 0600; --write-to does so.",
    };
    remote.output.result(&(facts(&lines) + end), &value)
}

async fn show_all(remote: &Remote) -> Result<(), CliError> {
    let all = remote.client.tokens().await?;
    let row = |one: &Token| {
        [
            one.id.to_string(),
            one.name.clone(),
            one.role.clone(),
            one.status.clone().unwrap_or_default(),
            narrowing(one),
            local(one.expires_at),
            local_or_nothing(one.last_used_at),
        ]
    };
    let headings = ["ID", "NAME", "ROLE", "STATUS", "FOR", "EXPIRES", "LAST USED"];
    let lines = if all.is_empty() {
        "there is no token; see `sealroom token create --help`".to_owned()
    } else {
        table(headings, all.iter().map(row).collect())
    };
    remote.output.result(&lines, &all)
}

async fn revoke(args: RevokeArgs, remote: &Remote) -> Result<(), CliError> {
    let token = find(&args.token, remote).await?;
    let loss = facts(&[
        ("token", token.name.clone()),
        ("id", token.id.to_string()),
        ("role", token.role.clone()),
        ("for", narrowing(&token)),
        ("last used", local_or_nothing(token.last_used_at)),
    ]) + "\n\nWhoever holds it is locked out at once and for good.";
    args.consent.obtain(&loss, &format!("Revoke {}?", token.name), remote.output)?;
    remote.client.revoke_token(token.id).await?;
    let id = token.id.to_string();
    remote.output.result(&format!("revoked {} {id}", token.name), &json!({ "success": true, "id": id }))
}

/// The token of that id, or the only one of that name that is not revoked.
async fn find(text: &str, remote: &Remote) -> Result<Token, CliError> {
    let fits = |token: &Token| {
        let named = token.name == text && token.status.as_deref() != Some("revoked");
        named || token.id.to_string() == text.to_ascii_lowercase()
    };
    let mut found: Vec<Token> = remote.client.tokens().await?.into_iter().filter(fits).collect();
    match (found.pop(), found.len()) {
        (Some(one), 0) => Ok(one),
        (None, _) => Err(CliError::failed(
            format!("no token has the id or name '{text}'"),
            "see which there are: sealroom token list",
        )),
        (Some(last), _) => {
            let ids: Vec<String> = found.iter().chain([&last]).map(|one| one.id.to_string()).collect();
            let hint = format!("name one by its id: {}", ids.join(", "));
            Err(CliError::failed(format!("{} tokens have the name '{text}'", ids.len()), hint))
        }
    }
}

fn narrowing(token: &Token) -> String {
    let parts = [&token.projects, &token.providers];
    let parts: Vec<String> = parts
        .into_iter()
        .flatten()
        .map(|items| if items.is_empty() { "nothing".to_owned() } else { list(items) })
        .collect();
    if parts.is_empty() { NOTHING.to_owned() } else { parts.join("; ") }
}
