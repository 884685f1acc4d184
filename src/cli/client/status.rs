//! `sealroom status`.

use std::time::Duration;

use serde_json::json;

use super::{
    lock_told::{self, NEWEST_FILE},
    remote::{Need, Remote, ServerArgs, Speaker},
};
use crate::{
    cli::{
        error::CliError,
        terminal::{
            output::Output,
            table::{facts, local},
        },
    },
    client::{DueCounts, DueFilter, Error, Health},
    clock::Clock,
    domain::{Timestamp, days},
};

/// Horizon for credentials: their renewal is work at the provider.
const CREDENTIALS_SOON: Duration = days(30);
/// Horizon for tokens, below their default lifetime of 30 days: a new token needs no warning.
const TOKENS_SOON: Duration = days(7);
/// Maximum number of each kind that is named, nearest first; the lists show all of them.
const NAMED_MAX: usize = 5;

/// The reason of a vault whose file is an older copy than its checkpoint folder knows.
const ROLLED_BACK: &str = "rolled_back";

/// `status`' flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    server: ServerArgs,
}

/// An expiry that is near or past.
struct Ending {
    what: String,
    at: Timestamp,
}

/// Counts for owners.
struct Counts {
    integrations: usize,
    projects: usize,
    tokens: usize,
    credentials_ending: Vec<Ending>,
    tokens_ending: Vec<Ending>,
    /// None from an older server.
    due: Option<DueCounts>,
    now: Timestamp,
}

pub(super) async fn run(args: Args, output: Output) -> Result<(), CliError> {
    let remote = args.server.connect(Need::Nothing, output)?;
    let health = remote.client.health().await?;
    let is_healthy = health.status == "healthy";
    // Whatever else fails, the user sees the server's own report.
    let counted =
        if is_healthy && remote.speaker != Speaker::Nobody { counts(&remote).await } else { Ok(None) };
    report(&health, counted.as_ref().ok().and_then(Option::as_ref), &remote)?;
    counted?;
    ready(&health)
}

/// Refuses a server that is locked or not healthy.
pub(super) fn ready(health: &Health) -> Result<(), CliError> {
    if health.locked {
        return Err(locked(health));
    }
    if health.status != "healthy" {
        let message = match &*health.detail {
            [] => "the server is not healthy".to_owned(),
            reasons => format!("the server is not healthy: {}", reasons.join(", ")),
        };
        return Err(CliError::failed(message, remedy(health)));
    }
    Ok(())
}

/// Returns the error of a locked vault.
pub(super) fn locked(health: &Health) -> CliError {
    if has(health, ROLLED_BACK) { lock_told::locked_copy() } else { lock_told::locked() }
}

fn has(health: &Health, reason: &str) -> bool {
    health.detail.iter().any(|one| one == reason)
}

/// Returns what to do about a server that is not healthy.
fn remedy(health: &Health) -> &'static str {
    let has = |reason: &str| has(health, reason);
    if has(ROLLED_BACK) {
        NEWEST_FILE
    } else if has("file_gone") {
        "its file was removed, moved or replaced: put it back, or on its host `sealroom rescue`"
    } else if has("disk_low") {
        "free space on its disk"
    } else if has("log_flawed") {
        "its log disagrees with its own head: keep the file, and examine it on its host with `sealroom doctor`"
    } else {
        "its log cannot be written: check its disk and its log output"
    }
}

/// Returns a reason that the health names, with what to do about it.
fn with_remedy(reason: &str) -> String {
    let remedy = match reason {
        "file_gone" => "put the vault file back, or on its host: sealroom rescue",
        "disk_low" => "free space on the server's disk",
        ROLLED_BACK => NEWEST_FILE,
        "checkpoint_lost" => {
            "the newest checkpoint did not reach its folder; the server's log says why and what to do"
        }
        "log_flawed" => {
            "the log disagrees with its own head: keep the file, and examine it on its host with sealroom doctor"
        }
        "backup_failed" => "the server's log says why; make one now: sealroom backup FILE",
        "archive_failed" => "the server's log says why; no event is lost, and the file keeps growing",
        "witness_refused" => {
            "a witness knows another history of this log; the server's log names it: keep the file, and compare it with a \
             backup and the checkpoint folder"
        }
        "witness_silent" => {
            "a witness has cosigned nothing for a day; the server's log says why: sealroom audit cosign asks again"
        }
        _ => return reason.to_owned(),
    };
    format!("{reason}: {remedy}")
}

/// Returns the counts, or `None` if the caller is no owner.
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
    let due = client.due(&DueFilter { limit: Some(1), ..DueFilter::default() }).await.ok();
    let now = Clock::system().now();
    let of_integrations = integrations.iter().filter_map(|one| {
        let name = one.name.clone().unwrap_or_else(|| one.id.to_string());
        Some(Ending { what: format!("{}/{} {name}", one.provider, one.auth_type), at: one.expires_at? })
    });
    let active = tokens.iter().filter(|token| token.status.as_deref() == Some("active"));
    let of_tokens =
        active.clone().map(|token| Ending { what: format!("token {}", token.name), at: token.expires_at });
    Ok(Some(Counts {
        integrations: integrations.len(),
        projects: projects.len(),
        tokens: active.count(),
        credentials_ending: before(now.plus(CREDENTIALS_SOON), of_integrations),
        tokens_ending: before(now.plus(TOKENS_SOON), of_tokens),
        due: due.map(|due| due.counts),
        now,
    }))
}

/// Returns what expires by `then`, nearest first.
fn before(then: Timestamp, all: impl Iterator<Item = Ending>) -> Vec<Ending> {
    let mut ending: Vec<Ending> = all.filter(|one| one.at <= then).collect();
    ending.sort_by(|a, b| (a.at, &a.what).cmp(&(b.at, &b.what)));
    ending
}

/// Writes a count, the nearest few, and the command that lists the others.
fn summed_up(ending: &[Ending], now: Timestamp, within: Duration, list: &str) -> String {
    let within = within.as_secs() / 86_400;
    if ending.is_empty() {
        return format!("none within {within} days");
    }
    let one = |one: &Ending| {
        let verb = if one.at <= now { "ended" } else { "at" };
        format!("{} {verb} {}", one.what, local(one.at))
    };
    let nearest: Vec<String> = ending.iter().take(NAMED_MAX).map(one).collect();
    let more = ending.len() - nearest.len();
    let more = if more == 0 { String::new() } else { format!("; {more} more: {list}") };
    format!("{} within {within} days: {}{more}", ending.len(), nearest.join("; "))
}

/// Returns what is due besides what ends soon, or nothing.
fn also_due(due: &DueCounts) -> Option<String> {
    let kinds = [
        (due.ended_read, "ended and still read"),
        (due.not_rotated, "not rotated for 180 days"),
        (due.tokens_unused, "tokens not used for 90 days"),
    ];
    let kinds: Vec<String> =
        kinds.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    (!kinds.is_empty()).then(|| format!("{}: sealroom due", kinds.join(", ")))
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
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
    lines.extend(health.detail.iter().map(|reason| ("attention", with_remedy(reason))));
    let mut value = json!({ "server": server, "status": health.status, "version": health.version,
        "locked": health.locked, "audit": health.audit, "uptimeSeconds": health.uptime_seconds,
        "counts": null, "expiring": null });
    if !health.detail.is_empty() {
        value["detail"] = json!(health.detail);
    }
    if let Some(counts) = counts {
        let Counts { integrations, projects, tokens, credentials_ending, tokens_ending, due, now } = counts;
        let stored = [(*integrations, "integration"), (*projects, "project"), (*tokens, "active token")];
        lines.push(("stored", stored.map(|(count, what)| counted(count, what)).join(", ")));
        let soon = summed_up(credentials_ending, *now, CREDENTIALS_SOON, "sealroom integration list");
        lines.push(("credentials end", soon));
        lines.push(("tokens end", summed_up(tokens_ending, *now, TOKENS_SOON, "sealroom token list")));
        lines.extend(due.as_ref().and_then(also_due).map(|due| ("due", due)));
        if let Some(due) = due {
            value["due"] = json!(due);
        }
        value["counts"] = json!({ "integrations": integrations, "projects": projects, "tokens": tokens });
        let mut ending: Vec<&Ending> = credentials_ending.iter().chain(tokens_ending).collect();
        ending.sort_by_key(|one| one.at);
        let of = |one: &Ending| json!({ "what": one.what, "expiresAt": one.at.to_string() });
        value["expiring"] = ending.into_iter().map(of).collect();
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
