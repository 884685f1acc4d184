//! An exposure as tables: a list to work off, grouped by what is to be done.

use std::collections::BTreeSet;

use crate::{
    api::responses::{ExposedValue, Made, MintedToken, Received, Stored, Storing},
    cli::terminal::table::{NOTHING, local, local_or_nothing, table},
    client::Exposure,
};

/// Returns the whole report.
pub(super) fn report(exposure: &Exposure) -> String {
    let Exposure { actor, live, deleted, minted, made, left, .. } = exposure;
    let whom = if actor.is_some() { "it" } else { "them" };
    let (received, stored): (Vec<_>, Vec<_>) = live.iter().partition(|value| value.received.is_some());
    let mut parts = vec![summary(exposure)];
    let mut part = |title: &str, lines: Option<String>, left: u64| {
        if let Some(lines) = lines {
            let more = if left > 0 { format!("\nand {left} more") } else { String::new() };
            parts.push(format!("{title}\n{lines}{more}"));
        }
    };
    part("received, still live: rotate each", values(&received), left.live);
    part(&format!("stored by {whom}, still live: rotate each"), storings(&stored), 0);
    let title =
        format!("made by {whom}, which may know their secrets: disable or revoke each that is active");
    part(&title, makings(made), left.made);
    let deleted: Vec<_> = deleted.iter().collect();
    part("deleted here, perhaps honoured there: revoke each at the provider", values(&deleted), left.deleted);
    let title = format!("minted for {whom}, not ended: search the provider's log for hashed_token");
    part(&title, tokens(minted), left.minted);
    if let Some(backups) = &exposure.backups {
        let (count, last) = (backups.count, local(backups.last));
        parts.push(format!(
            "copies of the vault taken: {count}, the last at {last}; each opens with a passphrase of that time"
        ));
    }
    parts.join("\n\n")
}

fn summary(exposure: &Exposure) -> String {
    let who = exposure.actor.as_deref().unwrap_or("all callers");
    if !exposure.known {
        let nearest = exposure.nearest.as_ref();
        let nearest = nearest.map_or_else(String::new, |nearest| format!("; the nearest is {nearest}"));
        return format!("nothing: no record names {who}{nearest}");
    }
    // Several callers may know one value.
    let values: BTreeSet<_> = exposure.live.iter().map(|value| value.integration_id).collect();
    let records = exposure.size;
    match values.len() {
        0 => format!("{who}: no value to rotate (log of {records} records)"),
        1 => format!("{who}: 1 value to rotate (log of {records} records)"),
        count if exposure.left.live > 0 => {
            format!("{who}: {count} values to rotate and more (log of {records} records)")
        }
        count => format!("{who}: {count} values to rotate (log of {records} records)"),
    }
}

/// The columns that matter most come first: on a narrow terminal, the last ones are left out.
const VALUES: [&str; 10] = [
    "INTEGRATION",
    "PROVIDER",
    "REVISION",
    "READS",
    "LAST READ",
    "STORED",
    "PROJECTS",
    "ADDRESSES",
    "CALLER",
    "ID",
];

fn values(values: &[&ExposedValue]) -> Option<String> {
    let row = |value: &&ExposedValue| {
        let received = value.received.as_ref();
        [
            value.name.clone().unwrap_or_else(|| NOTHING.to_owned()),
            value.provider.clone(),
            value.revision.to_string(),
            received.map_or_else(|| NOTHING.to_owned(), |received| received.count.to_string()),
            local_or_nothing(received.map(|received| received.last)),
            value.stored.map_or_else(|| NOTHING.to_owned(), storing),
            projects(received),
            addresses(received),
            value.actor.clone(),
            value.integration_id.to_string(),
        ]
    };
    (!values.is_empty()).then(|| table(VALUES, values.iter().map(row).collect()))
}

fn storings(values: &[&ExposedValue]) -> Option<String> {
    let row = |value: &&ExposedValue| {
        [
            value.name.clone().unwrap_or_else(|| NOTHING.to_owned()),
            value.provider.clone(),
            value.revision.to_string(),
            value.stored.map_or_else(|| NOTHING.to_owned(), storing),
            value.actor.clone(),
            value.integration_id.to_string(),
        ]
    };
    let headings = ["INTEGRATION", "PROVIDER", "REVISION", "STORED", "CALLER", "ID"];
    (!values.is_empty()).then(|| table(headings, values.iter().map(row).collect()))
}

fn storing(stored: Stored) -> String {
    let how = match stored.action {
        Storing::Create => "created",
        Storing::Rotate => "rotated in",
    };
    format!("{how} {}", local(stored.time))
}

fn makings(made: &[Made]) -> Option<String> {
    let row = |made: &Made| {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| NOTHING.to_owned());
        [
            made.name.clone().unwrap_or_else(|| made.actor.clone()),
            text(&made.role),
            text(&made.status),
            local(made.time),
            made.by.clone(),
            made.actor.clone(),
        ]
    };
    let headings = ["NAME", "ROLE", "STATUS", "MADE", "BY", "CALLER"];
    (!made.is_empty()).then(|| table(headings, made.iter().map(row).collect()))
}

fn tokens(minted: &[MintedToken]) -> Option<String> {
    let row = |token: &MintedToken| {
        let received = Some(&token.received);
        [
            token.hashed_token.clone(),
            local(token.expires_at),
            token.received.count.to_string(),
            projects(received),
            addresses(received),
            token.actor.clone(),
            token.integration_id.to_string(),
        ]
    };
    let headings = ["HASHED TOKEN", "ENDS", "READS", "PROJECTS", "ADDRESSES", "CALLER", "INTEGRATION"];
    (!minted.is_empty()).then(|| table(headings, minted.iter().map(row).collect()))
}

fn projects(received: Option<&Received>) -> String {
    received.map_or_else(|| NOTHING.to_owned(), |received| few(&received.projects, received.more_projects))
}

fn addresses(received: Option<&Received>) -> String {
    received.map_or_else(|| NOTHING.to_owned(), |received| few(&received.peers, received.more_peers))
}

/// Writes a list as one cell.
fn few(items: &[String], has_more: bool) -> String {
    match (items, has_more) {
        ([], _) => NOTHING.to_owned(),
        (items, true) => format!("{}, …", items.join(", ")),
        (items, false) => items.join(", "),
    }
}
