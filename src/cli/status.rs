//! `sealroom status`.

use std::time::Duration;

use serde_json::json;

use super::{
    error::CliError,
    output::Output,
    remote::{Need, Remote, ServerArgs, Speaker},
    table::{facts, local},
};
use crate::{
    client::{Error, Health},
    clock::Clock,
    domain::{Timestamp, days},
};

/// How far ahead an end is worth a line.
const SOON: Duration = days(30);

/// `status`' flags.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    server: ServerArgs,
}

/// What ends soon, or has.
struct Ending {
    what: String,
    at: Timestamp,
}

/// What an owner may count.
struct Counts {
    integrations: usize,
    projects: usize,
    tokens: usize,
    ending: Vec<Ending>,
}

pub(super) async fn run(args: Args, output: Output) -> Result<(), CliError> {
    let remote = args.server.connect(Need::Nothing, output)?;
    let health = remote.client.health().await?;
    let counts =
        if health.locked || remote.speaker == Speaker::Nobody { None } else { counts(&remote).await? };
    report(&health, counts.as_ref(), &remote)?;
    if health.locked {
        return Err(CliError::failed("the vault is locked", "on its host: sealroom unlock --data FILE"));
    }
    if health.status != "healthy" {
        return Err(CliError::failed(
            "the server is not healthy",
            "its disk is low or its log cannot be written",
        ));
    }
    Ok(())
}

/// The counts; none where the caller is no owner.
async fn counts(remote: &Remote) -> Result<Option<Counts>, CliError> {
    let client = &remote.client;
    if remote.speaker == Speaker::User && client.own_user().await?.role != "owner" {
        return Ok(None);
    }
    let integrations = match client.integrations(None, None).await {
        Ok(integrations) => integrations,
        Err(Error::Refused(refusal)) if refusal.status == 403 => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let (projects, tokens) = (client.projects().await?, client.tokens().await?);
    let until = Clock::system().now().plus(SOON);
    let of_integrations = integrations.iter().filter_map(|one| {
        let name = one.name.clone().unwrap_or_else(|| one.id.to_string());
        Some(Ending { what: format!("{}/{} {name}", one.provider, one.auth_type), at: one.expires_at? })
    });
    let active = tokens.iter().filter(|token| token.status.as_deref() == Some("active"));
    let of_tokens =
        active.clone().map(|token| Ending { what: format!("token {}", token.name), at: token.expires_at });
    let mut ending: Vec<Ending> = of_integrations.chain(of_tokens).filter(|one| one.at <= until).collect();
    ending.sort_by_key(|one| one.at);
    let (integrations, projects, tokens) = (integrations.len(), projects.len(), active.count());
    Ok(Some(Counts { integrations, projects, tokens, ending }))
}

fn report(health: &Health, counts: Option<&Counts>, remote: &Remote) -> Result<(), CliError> {
    let server = remote.client.endpoint().to_string();
    let locked = if health.locked { ", locked" } else { "" };
    let mut lines = vec![
        ("server", server.clone()),
        ("status", format!("{}{locked}", health.status)),
        ("version", health.version.clone()),
        ("audit log", health.audit.clone()),
        ("up for", lasting(health.uptime_seconds)),
    ];
    let mut value = json!({ "server": server, "status": health.status, "version": health.version,
        "locked": health.locked, "audit": health.audit, "uptimeSeconds": health.uptime_seconds,
        "counts": null, "expiring": null });
    if let Some(counts) = counts {
        let Counts { integrations, projects, tokens, ending } = counts;
        lines.push((
            "stored",
            format!("{integrations} integrations, {projects} projects, {tokens} active tokens"),
        ));
        let of = |one: &Ending| format!("{} at {}", one.what, local(one.at));
        let soon = ending.iter().map(of).collect::<Vec<_>>().join("; ");
        lines.push(("ends in 30 days", if soon.is_empty() { "nothing".to_owned() } else { soon }));
        value["counts"] = json!({ "integrations": integrations, "projects": projects, "tokens": tokens });
        let of = |one: &Ending| json!({ "what": one.what, "expiresAt": one.at.to_string() });
        value["expiring"] = ending.iter().map(of).collect();
    }
    remote.output.result(&facts(&lines), &value)
}

fn lasting(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} seconds"),
        120..7_200 => format!("{} minutes", seconds / 60),
        7_200..172_800 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
