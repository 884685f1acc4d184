//! `sealroom due`.

use super::{
    expiry::span,
    remote::{Need, Remote, ServerArgs},
    span_arg,
};
use crate::{
    cli::{
        error::CliError,
        terminal::{
            output::Output,
            table::{ALL, NOTHING, list, local, local_or_nothing, table},
        },
    },
    client::{Due, DueCredential, DueFilter, DueToken},
    domain::Timestamp,
};

/// Examples of the help.
pub(super) const EXAMPLES: &str = "Lists what there is to rotate, renew or retire: credentials that end soon, that were read after their end, or\n\
that nobody rotated for long; active tokens that end within 7 days or were not used for 90. Needs an owner's session,\n\
or a token of the role auditor. Exit 0, whatever is due; with --exit-code 1 if anything is, for a scheduled job.\n\n\
Examples:\n  sealroom due\n  sealroom due --within 14d --older-than 365d\n  sealroom due --json --exit-code > due.json";

/// The default number of entries of each kind.
const ENTRIES_DEFAULT: u64 = 20;

/// `due`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// Time within which a credential ends, in days.
    #[arg(long, value_name = "DAYS", default_value = "30d", value_parser = span_arg::days)]
    within: u64,
    /// Time since a credential's last rotation, in days.
    #[arg(long, value_name = "DAYS", default_value = "180d", value_parser = span_arg::days)]
    older_than: u64,
    /// Maximum number of entries of each kind; the counts are of all.
    #[arg(long, default_value_t = ENTRIES_DEFAULT, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
    /// Exit with 1 if anything is due.
    #[arg(long)]
    exit_code: bool,
}

pub(super) async fn run(args: Args, output: Output) -> Result<(), CliError> {
    let remote = args.server.connect(Need::Token, output)?;
    let filter = DueFilter {
        within_days: Some(args.within),
        older_than_days: Some(args.older_than),
        limit: Some(args.limit),
    };
    let due = remote.client.due(&filter).await?;
    report(&due, &remote)?;
    let count = due.counts.all();
    if args.exit_code && count > 0 {
        let is = if count == 1 { "is" } else { "are" };
        return Err(CliError::failed(
            format!("{count} {is} due"),
            "rotate, renew or retire them; without --exit-code this is no failure",
        ));
    }
    Ok(())
}

/// A kind of what is due, as a heading and the rows under it.
struct Kind {
    heading: String,
    count: u64,
    shown: usize,
    table: String,
}

fn report(due: &Due, remote: &Remote) -> Result<(), CliError> {
    let kinds: Vec<Kind> = kinds(due).into_iter().filter(|kind| kind.count > 0).collect();
    let lines = |kind: &Kind| {
        let more = kind.count.saturating_sub(kind.shown as u64);
        let more = if more == 0 { String::new() } else { format!("\n{more} more: --limit") };
        format!("{}: {}\n{}{more}", kind.heading, kind.count, kind.table)
    };
    let text = match &kinds[..] {
        [] => "nothing is due".to_owned(),
        kinds => kinds.iter().map(lines).collect::<Vec<_>>().join("\n\n"),
    };
    remote.output.result(&text, due)
}

fn kinds(due: &Due) -> [Kind; 5] {
    let Due { time, counts, .. } = due;
    let in_days = |days: u64| if days == 1 { "1 day".to_owned() } else { format!("{days} days") };
    let ends = |one: &DueCredential| end(one.expires_at, *time);
    let rotated = |one: &DueCredential| ago(one.rotated_at, *time);
    [
        Kind {
            heading: format!("credentials that end within {}", in_days(due.within_days)),
            count: counts.ending,
            shown: due.ending.len(),
            table: credentials("ENDS", &due.ending, ends),
        },
        Kind {
            heading: "credentials that ended and are still read".to_owned(),
            count: counts.ended_read,
            shown: due.ended_read.len(),
            table: credentials("ENDED", &due.ended_read, ends),
        },
        Kind {
            heading: format!("credentials not rotated for {}", in_days(due.older_than_days)),
            count: counts.not_rotated,
            shown: due.not_rotated.len(),
            table: credentials("UNCHANGED SINCE", &due.not_rotated, rotated),
        },
        Kind {
            heading: format!("tokens that end within {}", in_days(due.tokens_within_days)),
            count: counts.tokens_ending,
            shown: due.tokens_ending.len(),
            table: tokens(&due.tokens_ending),
        },
        Kind {
            heading: format!("tokens not used for {}", in_days(due.unused_days)),
            count: counts.tokens_unused,
            shown: due.tokens_unused.len(),
            table: tokens(&due.tokens_unused),
        },
    ]
}

fn credentials(heading: &str, all: &[DueCredential], when: impl Fn(&DueCredential) -> String) -> String {
    let row = |one: &DueCredential| {
        [
            one.id.to_string(),
            format!("{}/{}", one.provider, one.auth_type),
            one.name.clone().unwrap_or_else(|| NOTHING.to_owned()),
            if one.is_global { ALL.to_owned() } else { list(&one.projects) },
            when(one),
            local_or_nothing(one.last_accessed_at),
            one.last_accessed_by.clone().unwrap_or_else(|| NOTHING.to_owned()),
        ]
    };
    let headings = ["ID", "TYPE", "NAME", "FOR", heading, "LAST READ", "BY"];
    table(headings, all.iter().map(row).collect())
}

fn tokens(all: &[DueToken]) -> String {
    let row = |one: &DueToken| {
        [
            one.id.to_string(),
            one.name.clone(),
            one.role.clone(),
            local(one.expires_at),
            local_or_nothing(one.last_used_at),
            one.last_used_from.clone().unwrap_or_else(|| NOTHING.to_owned()),
            one.rolled_to.map_or_else(|| NOTHING.to_owned(), |next| next.to_string()),
        ]
    };
    let headings = ["ID", "NAME", "ROLE", "EXPIRES", "LAST USED", "FROM", "ROLLED TO"];
    table(headings, all.iter().map(row).collect())
}

fn end(end: Option<Timestamp>, now: Timestamp) -> String {
    let Some(end) = end else { return NOTHING.to_owned() };
    if end <= now { ago(end, now) } else { format!("{}, in {}", local(end), span(end.since(now))) }
}

fn ago(time: Timestamp, now: Timestamp) -> String {
    format!("{}, {} ago", local(time), span(now.since(time)))
}
