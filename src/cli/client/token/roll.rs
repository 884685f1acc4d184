//! `sealroom token roll`.

use std::{path::PathBuf, time::Duration};

use serde_json::json;

use super::{named, unread};
use crate::{
    api::requests::OVERLAP_SECS_MAX,
    cli::{
        client::{client_error, remote::Remote, span_arg},
        error::CliError,
        secrets,
        terminal::table::{NOTHING, facts, local},
    },
    client::{Rolled, Token},
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RollArgs {
    /// Its id or name.
    token: String,
    /// Time for which the old token stays valid, like 30m, 1h or 2d; at most 30d, and never beyond its own end.
    #[arg(long, default_value = "1h", value_parser = overlap)]
    overlap: Duration,
    /// Write the new token to this new file (mode 0600) instead of stdout.
    #[arg(long, value_name = "FILE")]
    write_to: Option<PathBuf>,
}

fn overlap(text: &str) -> Result<Duration, String> {
    let span = span_arg::span(text)?;
    if span.as_secs() <= OVERLAP_SECS_MAX { Ok(span) } else { Err("write at most 30d".to_owned()) }
}

pub(super) async fn roll(args: RollArgs, remote: &Remote) -> Result<(), CliError> {
    let RollArgs { token, overlap, write_to } = args;
    let before = named::rollable(&token, remote).await?;
    // Prepare the file before creating the token: a token that cannot be written would be lost.
    let file = write_to.as_deref().map(secrets::NewFile::begin).transpose()?;
    let rolled = match remote.client.roll_token(before.id, overlap).await {
        Ok(rolled) => rolled,
        Err(error) if client_error::is_in_doubt(&error) => {
            let hint =
                "look for a successor: sealroom token list; revoke it, and roll the token again".to_owned();
            return Err(CliError { hint, ..error.into() });
        }
        Err(error) => return Err(error.into()),
    };
    let (id, name) = (rolled.id, rolled.name.clone());
    let lost = async |cause: &dyn std::fmt::Display| unread::revoke(id, &name, cause, remote).await;
    let (mut lines, mut value) = rolled_facts(&rolled);
    let end = if overlap.is_zero() {
        "Move the readers to it: the old token has ended.".to_owned()
    } else {
        format!("Move the readers to it before the old token ends at {}.", local(rolled.rolls.expires_at))
    };
    let after = format!("\n\n{end} `sealroom token list` shows its first use.");
    let Some(file) = file else {
        lines.insert(0, ("token", rolled.token.expose().to_owned()));
        value["token"] = json!(rolled.token.expose());
        let once = " The token is shown only once; --write-to keeps it in a file of mode 0600.";
        return match remote.output.once("the token", &(facts(&lines) + &after + once), &value) {
            Ok(()) => Ok(()),
            Err(error) => Err(lost(&error).await),
        };
    };
    if let Err(error) = file.write(rolled.token.expose().as_bytes()) {
        return Err(lost(&error.message).await);
    }
    let shown = write_to.unwrap_or_default().display().to_string();
    lines.insert(0, ("token", format!("in {shown}")));
    (value["token"], value["tokenFile"]) = (json!(null), json!(shown));
    remote.output.result(&(facts(&lines) + &after), &value)
}

fn rolled_facts(rolled: &Rolled) -> (Vec<(&'static str, String)>, serde_json::Value) {
    let lines = vec![
        ("name", rolled.name.clone()),
        ("role", rolled.role.clone()),
        ("id", rolled.id.to_string()),
        ("expires", local(rolled.expires_at)),
        ("rolls", format!("{}, which ends at {}", rolled.rolls.id, local(rolled.rolls.expires_at))),
    ];
    let value = json!({ "id": rolled.id.to_string(), "name": rolled.name, "role": rolled.role,
        "createdAt": rolled.created_at.to_string(), "expiresAt": rolled.expires_at.to_string(),
        "rolls": rolled.rolls });
    (lines, value)
}

/// Returns the cell of a list about a token's roll: who succeeds it and who has moved, or which one it succeeds.
pub(super) fn cell(token: &Token, all: &[Token]) -> String {
    let Some(next) = token.rolled_to else {
        return token.rolls.map_or_else(|| NOTHING.to_owned(), |before| format!("succeeds {before}"));
    };
    let first = all.iter().find(|one| one.id == next).and_then(|one| one.first_used_at);
    let Some(first) = first else { return format!("rolled to {next}, not used yet") };
    let later = token.last_used_at.filter(|used| *used > first);
    let later = later.map_or_else(String::new, |_| "; this one was used after that".to_owned());
    format!("rolled to {next}, first used {}{later}", local(first))
}
