//! `sealroom token`.

mod named;
mod roll;
mod unread;

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::{
    client_error,
    group::GroupArgs,
    integration_find, near,
    remote::{Need, Remote},
};
use crate::{
    cli::{
        error::CliError,
        secrets,
        terminal::{
            confirm::Consent,
            output::Output,
            table::{ALL, NOTHING, facts, list, local, local_or_nothing},
        },
    },
    client::{NewToken, SecretText, Token},
};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Create a token for a machine; it is shown only once.
    #[command(
        after_help = "Examples:\n  sealroom token create deploy --days 90 --project acme/app --write-to deploy.token\n  sealroom token create release --integration 'deploy key'\n  sealroom token create watcher --role auditor"
    )]
    Create(CreateArgs),
    /// List tokens, without their secrets.
    #[command(after_help = "Examples:\n  sealroom token list")]
    List,
    /// Create a token's successor with the same rights; the old one ends after the overlap.
    #[command(
        after_help = "`token list` shows the successor's first use, and if the old token was used after it.\n\nExamples:\n  sealroom token roll deploy --overlap 1h --write-to deploy.token.new"
    )]
    Roll(roll::RollArgs),
    /// Revoke a token immediately and permanently.
    #[command(after_help = "Examples:\n  sealroom token revoke deploy --yes")]
    Revoke(RevokeArgs),
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CreateArgs {
    /// A name for the token.
    name: String,
    /// Days until it expires, 1 to 3650.
    #[arg(long, visible_alias = "expires-in", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3650))]
    days: u64,
    /// Role of the token.
    #[arg(long, default_value = "application", value_parser = ["application", "auditor", "operator"])]
    role: String,
    /// Restrict it to this project; may be repeated.
    #[arg(long = "project", value_name = "PROJECT")]
    projects: Vec<String>,
    /// Restrict it to this provider; may be repeated.
    #[arg(long = "provider", value_name = "PROVIDER")]
    providers: Vec<String>,
    /// Restrict it to this integration, by id or name; may be repeated.
    #[arg(long = "integration", value_name = "NAME|ID")]
    integrations: Vec<String>,
    /// Write the token to this new file (mode 0600) instead of stdout.
    #[arg(long, value_name = "FILE")]
    write_to: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RevokeArgs {
    /// Its id or name.
    token: String,
    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn run(args: GroupArgs<Command>, output: Output) -> Result<(), CliError> {
    if let Command::Revoke(args) = &args.command {
        args.consent.check()?;
    }
    let remote = args.server.connect(Need::Token, output)?;
    match args.command {
        Command::Create(args) => create(args, &remote).await,
        Command::List => show_all(&remote).await,
        Command::Roll(args) => roll::roll(args, &remote).await,
        Command::Revoke(args) => revoke(args, &remote).await,
    }
}

async fn create(args: CreateArgs, remote: &Remote) -> Result<(), CliError> {
    let CreateArgs { name, days, role, projects, providers, integrations, write_to } = args;
    let integrations = ids_of(&integrations, remote).await?;
    // Prepare the file before creating the token: a token that cannot be written would be lost.
    let file = write_to.as_deref().map(secrets::NewFile::begin).transpose()?;
    let in_doubt = format!("revoke it if it is there: sealroom token list, sealroom token revoke {name}");
    let new = NewToken { name, expires_in: days, role, projects, providers, integrations };
    let made = match remote.client.create_token(&new).await {
        Ok(made) => made,
        Err(error) if client_error::is_in_doubt(&error) => {
            return Err(CliError { hint: in_doubt, ..error.into() });
        }
        Err(error) => {
            let error = near::provider(error, &new.providers);
            return Err(near::project(error, &new.projects, &remote.client).await);
        }
    };
    warn_of_namesakes(&made, remote).await;
    let text = made.token.as_ref().map(SecretText::expose).unwrap_or_default();
    let (mut lines, mut value) = created_facts(&made);
    let Some(file) = file else {
        lines.insert(0, ("token", text.to_owned()));
        value["token"] = json!(text);
        let end = "\n\nThe token is shown only once. Keep it in a file of mode 0600; --write-to creates one.";
        return match remote.output.once("the token", &(facts(&lines) + end), &value) {
            Ok(()) => Ok(()),
            Err(lost) => Err(unread::revoke(made.id, &made.name, &lost, remote).await),
        };
    };
    if let Err(error) = file.write(text.as_bytes()) {
        return Err(unread::revoke(made.id, &made.name, &error.message, remote).await);
    }
    let shown = write_to.unwrap_or_default().display().to_string();
    lines.insert(0, ("token", format!("in {shown}")));
    (value["token"], value["tokenFile"]) = (json!(null), json!(shown));
    remote.output.result(&facts(&lines), &value)
}

/// Returns the ids of integrations that are named by id or name, each once.
async fn ids_of(named: &[String], remote: &Remote) -> Result<Vec<String>, CliError> {
    let mut ids = Vec::with_capacity(named.len());
    for one in named {
        let id = integration_find::id_of(one, remote).await?.to_string();
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

fn created_facts(made: &Token) -> (Vec<(&'static str, String)>, serde_json::Value) {
    let lines = vec![
        ("name", made.name.clone()),
        ("role", made.role.clone()),
        ("id", made.id.to_string()),
        ("expires", local(made.expires_at)),
    ];
    let value = json!({ "id": made.id.to_string(), "name": made.name, "role": made.role,
        "createdAt": made.created_at.to_string(), "expiresAt": made.expires_at.to_string() });
    (lines, value)
}

/// Warns if another token has the name: `token revoke` then needs the id. The token stands even if the list fails.
async fn warn_of_namesakes(made: &Token, remote: &Remote) {
    let all = remote.client.tokens().await.unwrap_or_default();
    let is_namesake =
        |one: &&Token| one.name == made.name && one.id != made.id && one.status.as_deref() == Some("active");
    if let Some(other) = all.iter().find(is_namesake) {
        let (name, other) = (&made.name, other.id);
        remote.output.warning(&format!(
            "another active token has the name {name}: {other}; `sealroom token revoke` needs the id of one"
        ));
    }
}

async fn show_all(remote: &Remote) -> Result<(), CliError> {
    let all = remote.client.tokens().await?;
    let row = |one: &Token| {
        [
            one.id.to_string(),
            one.name.clone(),
            one.role.clone(),
            one.status.clone().unwrap_or_default(),
            scope_cell(one),
            local(one.expires_at),
            local_or_nothing(one.last_used_at),
        ]
    };
    if all.iter().any(|one| one.rolled_to.is_some()) {
        let row = |one: &Token| {
            let [id, name, role, status, scope, expires, used] = row(one);
            [id, name, role, status, roll::cell(one, &all), scope, expires, used]
        };
        let headings = ["ID", "NAME", "ROLE", "STATUS", "ROLL", "FOR", "EXPIRES", "LAST USED"];
        return remote.list(headings, &all, row, NOTHING);
    }
    let headings = ["ID", "NAME", "ROLE", "STATUS", "FOR", "EXPIRES", "LAST USED"];
    remote.list(headings, &all, row, "no tokens; see `sealroom token create --help`")
}

async fn revoke(args: RevokeArgs, remote: &Remote) -> Result<(), CliError> {
    let token = named::unrevoked(&args.token, remote).await?;
    let loss = facts(&[
        ("token", token.name.clone()),
        ("id", token.id.to_string()),
        ("role", token.role.clone()),
        ("for", scope_cell(&token)),
        ("last used", local_or_nothing(token.last_used_at)),
    ]) + "\n\nIts holder loses access immediately and permanently.";
    args.consent.obtain(&loss, &format!("Revoke {}?", token.name), remote.output)?;
    remote.client.revoke_token(token.id).await?;
    let id = token.id.to_string();
    remote.output.result(&format!("revoked {} {id}", token.name), &json!({ "success": true, "id": id }))?;
    remote.output.next_step(&format!("what it received and is still live: sealroom exposure --token {id}"));
    Ok(())
}

fn scope_cell(token: &Token) -> String {
    let parts = [&token.projects, &token.providers, &token.integrations];
    let parts: Vec<String> = parts
        .into_iter()
        .flatten()
        .map(|items| if items.is_empty() { "nothing".to_owned() } else { list(items) })
        .collect();
    match token.role.as_str() {
        "application" if parts.is_empty() => ALL.to_owned(),
        // Other roles read no credential.
        _ if parts.is_empty() => NOTHING.to_owned(),
        _ => parts.join("; "),
    }
}
