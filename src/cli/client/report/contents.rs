//! The contents of a report.

use super::{
    page::{Block, Page},
    tally::{Group, Groups, Listed, Tally},
};
use crate::{
    cli::client::{log_proof::Signed, names::Names, sentences},
    client::Event,
    domain::Timestamp,
};

/// The outcome of the verification.
pub(super) enum Verified {
    /// Each record of the range is in the signed tree, and none is missing.
    Whole,
    /// The signed tree has no record of the range.
    Nothing,
    /// A clock that jumped left records of other times in between.
    Gaps,
    /// The records before the range are archived.
    Archived,
}

/// The material of a report.
pub(super) struct About<'a> {
    /// The range that was asked for.
    pub(super) range: [Option<String>; 2],
    pub(super) written: Timestamp,
    pub(super) server: String,
    pub(super) signed: &'a Signed,
    pub(super) verified: &'a Verified,
    pub(super) tally: &'a Tally,
    pub(super) names: &'a Names<'a>,
}

/// Returns the page.
pub(super) fn page(about: &About<'_>) -> Page {
    let mut blocks = head(about);
    blocks.extend(readers(about));
    blocks.extend(alarms(about));
    blocks.extend(refusals(about));
    blocks.extend(changes(about));
    blocks.extend(others(about));
    blocks.extend(verification(about));
    Page { title: format!("Audit report of {}", about.signed.checkpoint.origin), blocks }
}

fn head(about: &About<'_>) -> Vec<Block> {
    let [from, to] = &about.range;
    let from = from.as_deref().unwrap_or("the first record");
    let to = to.as_deref().unwrap_or("the moment of this report");
    let tally = about.tally;
    let counted = |name: &str, count: u64| vec![name.to_owned(), count.to_string()];
    let sequences = match (&tally.first, &tally.last) {
        (Some(first), Some(last)) => format!("{} to {}", first.sequence, last.sequence),
        _ => "none".to_owned(),
    };
    let rows = vec![
        counted("Records", tally.records),
        vec!["Sequences".to_owned(), sequences],
        counted("Credentials disclosed", tally.disclosures),
        counted("Reads of canaries", tally.alarms.count()),
        counted("Refused or failed requests of known callers", tally.refusals),
        counted("Rejected logins", tally.rejected_logins),
        counted("Requests without a valid token", tally.rejected_tokens),
        counted("Changes", tally.changes.count()),
    ];
    vec![
        Block::Text(format!(
            "From {from} to before {to}. All times are UTC. Written {} by sealroom {} from {}. Names are those of that moment.",
            about.written,
            env!("CARGO_PKG_VERSION"),
            about.server
        )),
        Block::Table(vec!["Summary", ""], rows),
    ]
}

fn readers(about: &About<'_>) -> Vec<Block> {
    let row = |group: &Group| {
        let (actor, subject) = (actor(&group.first, about.names), subject(&group.first, about.names));
        let project = group.first.project.clone().unwrap_or_default();
        let provider = group.first.provider.clone().unwrap_or_default();
        let count = group.count.to_string();
        vec![actor, subject, provider, project, count, group.first.time.to_string(), group.last.to_string()]
    };
    let headings = vec!["Reader", "Integration", "Provider", "Project asked for", "Reads", "First", "Last"];
    grouped("Who read what", headings, &about.tally.reads, row, "No credential was disclosed.")
}

fn refusals(about: &About<'_>) -> Vec<Block> {
    let row = |group: &Group| {
        let Event { action, outcome, time, .. } = &group.first;
        let (count, last) = (group.count.to_string(), group.last.to_string());
        vec![actor(&group.first, about.names), action.clone(), outcome.clone(), count, time.to_string(), last]
    };
    let headings = vec!["Caller", "Action", "Outcome", "Times", "First", "Last"];
    grouped("Refusals and failures", headings, &about.tally.refused, row, "No known caller was refused.")
}

fn others(about: &About<'_>) -> Vec<Block> {
    let row = |group: &Group| {
        let Event { action, time, .. } = &group.first;
        vec![action.clone(), group.count.to_string(), time.to_string(), group.last.to_string()]
    };
    let headings = vec!["Action", "Times", "First", "Last"];
    grouped("Other events", headings, &about.tally.others, row, "There were no others.")
}

fn alarms(about: &About<'_>) -> Vec<Block> {
    listed("Reads of canaries", &about.tally.alarms, about, "No canary was read.")
}

fn changes(about: &About<'_>) -> Vec<Block> {
    listed("Changes", &about.tally.changes, about, "Nothing was changed.")
}

fn grouped(
    heading: &'static str,
    headings: Vec<&'static str>,
    groups: &Groups,
    row: impl Fn(&Group) -> Vec<String>,
    none: &str,
) -> Vec<Block> {
    let mut blocks = vec![Block::Heading(heading)];
    if groups.by_key.is_empty() {
        blocks.push(Block::Text(none.to_owned()));
    } else {
        blocks.push(Block::Table(headings, groups.by_key.values().map(row).collect()));
    }
    if groups.beyond > 0 {
        blocks.push(Block::Text(format!("{} more events of further kinds are not listed.", groups.beyond)));
    }
    blocks
}

fn listed(heading: &'static str, listed: &Listed, about: &About<'_>, none: &str) -> Vec<Block> {
    let row = |event: &Event| {
        let said = sentences::event(event, about.names);
        vec![event.sequence.to_string(), event.time.to_string(), said, event.peer.clone().unwrap_or_default()]
    };
    let mut blocks = vec![Block::Heading(heading)];
    if listed.events.is_empty() {
        blocks.push(Block::Text(none.to_owned()));
    } else {
        let rows = listed.events.iter().map(row).collect();
        blocks.push(Block::Table(vec!["Record", "Time", "What happened", "From"], rows));
    }
    if listed.beyond > 0 {
        blocks.push(Block::Text(format!(
            "{} more are not listed: see `sealroom audit export`.",
            listed.beyond
        )));
    }
    blocks
}

fn verification(about: &About<'_>) -> Vec<Block> {
    let signed = about.signed;
    let said = match about.verified {
        Verified::Whole => {
            "Each record of this report was hashed as the server sent it, and up to 256 records before and after them, which \
             are of other times. The hashes make a tree that the signed tree below begins with (RFC 6962), so that no \
             record of the range is missing, added or changed."
        }
        Verified::Gaps => {
            "NOT VERIFIED: the server's clock jumped, and records of other times lie between those of this range. Run \
             `sealroom audit verify` on an export of the whole log."
        }
        Verified::Nothing => {
            "The range has no record. The records before and after it follow each other in the signed tree below (RFC 6962)."
        }
        Verified::Archived => {
            "NOT VERIFIED: the records before this range are archived, and only they show that it begins here. Run \
             `sealroom audit verify` on the archives and on an export."
        }
    };
    vec![
        Block::Heading("How it was verified"),
        Block::Text(said.to_owned()),
        Block::Text(format!(
            "The checkpoint signs {} records, and proves nothing about later ones. Its signature was verified with this key. \
             This rests on {}.",
            signed.checkpoint.size,
            signed.basis()
        )),
        Block::Code(signed.key.to_string()),
        Block::Text("The signed checkpoint:".to_owned()),
        Block::Code(signed.note.clone()),
    ]
}

fn actor(event: &Event, names: &Names<'_>) -> String {
    let named = names.actor(event);
    named.id.map_or(named.text.clone(), |id| format!("{} ({id})", named.text))
}

fn subject(event: &Event, names: &Names<'_>) -> String {
    let named = names.subject(event);
    named.id.map_or(named.text.clone(), |id| format!("{} ({id})", named.text))
}
