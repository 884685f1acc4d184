//! Checks a recovered file whole: the content that users see and its log, against the model and against each other.

use std::collections::BTreeMap;

use sealroom::{
    audit::{checkpoint, tree},
    auth::token,
    domain::{Actor, Timestamp},
    vault::{Admitted, Context, EventQuery, Vault},
};
use serde_json::Value;

use super::{
    content::{self, Content, Shown},
    disk::Disk,
    driver::{Broken, OWNER, PASSPHRASE, PASSWORD, START, secret, settings},
    recording::Recording,
};

/// Later than any time of a run.
const LATER: u64 = START + 1_800_000;

/// Reads back a whole file that was recovered with a log of that size.
pub async fn whole(recording: &Recording, disk: Disk, size: u64) -> Result<(), Broken> {
    let at = recording.history.iter().rposition(|(acknowledged, _)| *acknowledged <= size).unwrap_or(0);
    // That change, or the next one, which no client had an answer to yet.
    let allowed: Vec<&Content> = recording.history[at..].iter().take(2).map(|(_, content)| content).collect();
    let shown: Vec<&Shown> = recording.shown.iter().filter(|shown| shown.sequence < size).collect();
    let tokens: Vec<(&str, &str)> = recording.tokens.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    read_back(disk, &allowed, &shown, &tokens, Some(size)).await
}

/// Reads back a whole file; `size` is the number of records that it must have, if known.
pub async fn read_back(
    disk: Disk,
    allowed: &[&Content],
    shown: &[&Shown],
    tokens: &[(&str, &str)],
    size: Option<u64>,
) -> Result<(), Broken> {
    let context = Context { now: Timestamp::from_millis(LATER), request: None, peer: None };
    let vault = Vault::open(disk.medium(), settings()).map_err(|error| format!("no opening: {error:?}"))?;
    let unlocked = vault.unlock(secret(PASSPHRASE), Actor::host("lab"), context.now, None).await;
    unlocked.map_err(|error| format!("no unlocking: {error:?}"))?;
    let owner = owner(&vault, &context).await?;
    let observed = content::observe(&vault, &context, &owner).await;
    let (seen, _) = observed.map_err(|error| format!("it cannot be looked at: {error}"))?;
    if !allowed.contains(&&seen) {
        return Err(format!("there is {seen:?}, and not one of {allowed:?}"));
    }
    for (name, text) in tokens {
        let is_in = vault.authenticate(token::parse_bearer(text).unwrap(), &context).is_ok();
        if is_in != (seen.tokens.get(*name) == Some(&false)) {
            return Err(format!("{name} lets in: {is_in}; it is {:?}", seen.tokens.get(*name)));
        }
    }
    let records = records(&vault, &context, &owner).await?;
    disclosures(&records, shown)?;
    fold(&records, &seen)?;
    signed(&vault, &context, &owner, &records).await?;
    match size {
        // The check's own unlock is the next record.
        Some(size) if action(&records[size as usize].1) != "vault.unlock" => {
            Err(format!("record {size} is not the check's own"))
        }
        _ => Ok(()),
    }
}

async fn owner(vault: &Vault, context: &Context) -> Result<Admitted, Broken> {
    let login = vault.login(context, OWNER, secret(PASSWORD)).await;
    let login = login.map_err(|error| format!("the owner cannot log in: {error}"))?;
    let text = String::from_utf8(login.access.expose().to_vec()).unwrap();
    let caller = vault.authenticate(token::parse_bearer(&text).unwrap(), context);
    caller.map_err(|error| format!("who just came in is out: {error}"))
}

/// The log, oldest first: leaf hash and record.
type Records = Vec<([u8; 32], Value)>;

async fn records(vault: &Vault, context: &Context, owner: &Admitted) -> Result<Records, Broken> {
    let query = EventQuery { limit: 100_000, ..EventQuery::default() };
    let read = vault.read_events(context, owner, &query).await;
    let (events, _) = read.map_err(|error| format!("the log cannot be read: {error}"))?;
    let records = events.iter().rev().enumerate().map(|(n, event)| {
        let (record, _) = event.split_once(",\"leafHash\"").unwrap();
        let record = format!("{record}}}");
        let value: Value = serde_json::from_str(&record).unwrap();
        if value["sequence"] != n {
            Err(format!("record {n} is {record}"))
        } else {
            Ok((tree::leaf_hash(record.as_bytes()), value))
        }
    });
    records.collect()
}

fn action(record: &Value) -> &str {
    record["action"].as_str().unwrap_or_default()
}

/// Checks that the log holds every disclosure, with the same credential.
fn disclosures(records: &Records, shown: &[&Shown]) -> Result<(), Broken> {
    for one in shown {
        let there = records.get(one.sequence as usize).is_some_and(|(hash, record)| {
            *hash == one.leaf_hash
                && action(record) == "credentials.read"
                && record["integrationId"] == one.id.to_string()
                && record["revision"] == one.revision
        });
        if !there {
            return Err(format!("a disclosure without its event: {one:?}"));
        }
    }
    Ok(())
}

/// Checks that the changes in the log add up to the content: no change without its event, no event without its change.
fn fold(records: &Records, seen: &Content) -> Result<(), Broken> {
    let (mut revisions, mut tokens) = (BTreeMap::new(), BTreeMap::new());
    let mut names = BTreeMap::from([("user", 1_i64), ("project", 0)]);
    for (_, record) in records.iter().filter(|(_, record)| record["outcome"] == "allowed") {
        let id = record["integrationId"].as_str().unwrap_or_default().to_owned();
        let (kind, what) = action(record).split_once('.').unwrap_or_default();
        match (kind, what) {
            ("integration", "create" | "rotate" | "rollback" | "update") => {
                revisions.insert(id, record["revision"].as_u64());
            }
            ("integration", "delete") => drop(revisions.remove(&id)),
            ("token", "create" | "revoke") => {
                let name = record["detail"]["name"].as_str().unwrap_or_default().to_owned();
                tokens.insert(name, what == "revoke");
            }
            ("user" | "project", "create") => *names.entry(kind).or_default() += 1,
            ("user" | "project", "delete") => *names.entry(kind).or_default() -= 1,
            _ => {}
        }
    }
    let mut folded: Vec<u64> = revisions.into_values().flatten().collect();
    let mut found: Vec<u64> = seen.integrations.values().map(|item| item.revision).collect();
    folded.sort_unstable();
    found.sort_unstable();
    let counts = (names["user"], names["project"]);
    if folded != found || tokens != seen.tokens {
        return Err(format!("the log tells of {folded:?} and {tokens:?}, there is {seen:?}"));
    }
    if counts != (seen.users.len() as i64, seen.projects.len() as i64) {
        return Err(format!("the log tells of {counts:?} users and projects, there is {seen:?}"));
    }
    Ok(())
}

/// Checks that the newest signed checkpoint covers exactly these records, the event of reading them included.
async fn signed(vault: &Vault, context: &Context, owner: &Admitted, records: &Records) -> Result<(), Broken> {
    let mut frontier = tree::Frontier::EMPTY;
    for (hash, _) in records {
        frontier.push(*hash);
    }
    let note = vault.checkpoint().map_err(|error| error.to_string())?;
    let key = vault.verifier_key().map_err(|error| error.to_string())?;
    let signed = checkpoint::open(&note, &[key]).map_err(|error| error.to_string())?;
    // A read of the log is its own last event, so nothing came after it.
    if (signed.size, signed.root) != (frontier.size(), frontier.root()) {
        return Err(format!("the checkpoint is of {} records, not of {}", signed.size, frontier.size()));
    }
    let last = vault.read_checkpoint(context, owner).await.map_err(|error| error.to_string())?;
    if last == note { Err("a read of the checkpoint left no event".to_owned()) } else { Ok(()) }
}
