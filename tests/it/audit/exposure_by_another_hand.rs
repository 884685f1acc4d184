//! The exposure by a plain loop over the whole log: the reference for the engine, by another hand.
//!
//! Its author had the issue and the contract, and had not read the engine. It uses nothing of `sealroom`: a value is the
//! sequence of the record that stored it. What only rows know (labels, roles, ends of values) is no part of it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::{Value, json};

/// A question: each limit that is given narrows the answer. Times are texts of the log, which sort as they pass.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    pub actor: Option<String>,
    pub integration: Option<String>,
    /// The range of times: its first one, and the one after its last.
    pub since: Option<String>,
    pub until: Option<String>,
    /// True if the actors that `actor` made are meant too, and those that they made.
    pub transitive: bool,
}

impl Asked {
    /// Returns whether the record is in the range, and of the integration that is asked about.
    fn is_about(&self, record: &Value) -> bool {
        let (time, integration) = (text(record, "time"), text(record, "integrationId"));
        self.since.as_deref().is_none_or(|since| since <= time)
            && self.until.as_deref().is_none_or(|until| time < until)
            && self.integration.as_deref().is_none_or(|asked| asked == integration)
    }
}

/// The place at which a value was stored: the integration, and the sequence of the record.
type Place = (String, u64);

/// One pass over a log.
#[derive(Default)]
struct Pass<'a> {
    /// The value that each revision of an integration has.
    values: BTreeMap<(String, u64), Place>,
    /// The current revision of each integration.
    current: BTreeMap<String, u64>,
    /// The time at which an integration was deleted.
    deleted: BTreeMap<String, &'a str>,
    /// The records that make an actor know a value.
    knowing: BTreeMap<(String, Place), Vec<&'a Value>>,
    /// The records that give an actor a minted token, by its hash.
    minted: BTreeMap<(String, String, String), Vec<&'a Value>>,
    /// The records that make an actor, beside its name, in the order of the log.
    made: Vec<(String, &'a Value)>,
    backups: Vec<&'a Value>,
}

/// Returns the answer in the spelling of the wire: `live`, `deleted`, `minted`, `made` and `backups`.
///
/// `now` is the time at which a minted token has ended or not.
pub fn exposure(log: &[Value], asked: &Asked, now: &str) -> Value {
    let pass = walk(log, asked);
    let subjects = subjects(&pass, asked);
    let is_asked = |actor: &str| subjects.as_ref().is_none_or(|subjects| subjects.contains(actor));
    let (mut live, mut deleted, mut minted, mut made) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ((actor, place), records) in &pass.knowing {
        let (integration, current) = (&place.0, pass.current[&place.0]);
        if is_asked(actor) && pass.values[&(integration.clone(), current)] == *place {
            let line = known(actor, records, current, pass.deleted.get(integration).copied());
            let list = if pass.deleted.contains_key(integration) { &mut deleted } else { &mut live };
            list.push((newest(records), line));
        }
    }
    for ((actor, integration, hash), records) in &pass.minted {
        let end = text(&records[0]["detail"], "expiresAt");
        if is_asked(actor) && end > now {
            let line = json!({
                "actor": actor, "integrationId": integration, "hashedToken": hash, "expiresAt": end,
                "received": received(records),
            });
            minted.push((newest(records), line));
        }
    }
    for (name, record) in &pass.made {
        let by = text(record, "actor");
        if asked.is_about(record) && is_asked(by) {
            let line =
                json!({ "actor": name, "by": by, "sequence": record["sequence"], "time": record["time"] });
            made.push((sequence(record), line));
        }
    }
    let backups: Vec<&Value> =
        pass.backups.iter().filter(|record| is_asked(text(record, "actor"))).copied().collect();
    let copies = backups
        .last()
        .map(|last| json!({ "count": backups.len(), "sequence": last["sequence"], "last": last["time"] }));
    json!({
        "live": in_order(live), "deleted": in_order(deleted), "minted": in_order(minted), "made": in_order(made),
        "backups": copies,
    })
}

/// Keeps of the server's answer what the log alone determines.
pub fn by_records(answer: &Value) -> Value {
    let without = |list: &str, fields: &[&str]| {
        let mut lines = answer[list].as_array().expect("a list").clone();
        for line in &mut lines {
            fields.iter().for_each(|field| drop(line.as_object_mut().expect("an object").remove(*field)));
        }
        lines
    };
    json!({
        "live": without("live", &["name", "expiresAt"]),
        "deleted": without("deleted", &["name", "expiresAt"]),
        "minted": without("minted", &[]),
        "made": without("made", &["name", "role", "status"]),
        "backups": answer["backups"],
    })
}

/// Collects who knows which value. The question chooses among the records that tell of knowing; which value a revision
/// has, whether it is live, and who made whom is what the whole log says.
fn walk<'a>(log: &'a [Value], asked: &Asked) -> Pass<'a> {
    let mut pass = Pass::default();
    for record in log.iter().filter(|record| record["outcome"] == "allowed") {
        let (actor, integration) =
            (text(record, "actor").to_owned(), text(record, "integrationId").to_owned());
        let (revision, is_asked) = (record["revision"].as_u64().unwrap_or(0), asked.is_about(record));
        match text(record, "action") {
            "integration.create" | "integration.rotate" => {
                let place = (integration.clone(), sequence(record));
                pass.values.insert((integration.clone(), revision), place.clone());
                pass.current.insert(integration, revision);
                if is_asked {
                    pass.knowing.entry((actor, place)).or_default().push(record);
                }
            }
            "integration.rollback" => {
                let from = record["detail"]["fromRevision"].as_u64().expect("a rollback names its source");
                let place = pass.values[&(integration.clone(), from)].clone();
                pass.values.insert((integration.clone(), revision), place);
                pass.current.insert(integration, revision);
            }
            "integration.delete" => {
                pass.deleted.insert(integration, text(record, "time"));
            }
            "credentials.read" | "credentials.mint" if is_asked => {
                if let Some(hash) = record["detail"]["hashedToken"].as_str() {
                    pass.minted.entry((actor, integration, hash.to_owned())).or_default().push(record);
                } else if record["action"] == "credentials.read" {
                    let place = pass.values[&(integration, revision)].clone();
                    pass.knowing.entry((actor, place)).or_default().push(record);
                }
            }
            "token.create" => pass.made.push((format!("app:{}", text(&record["detail"], "id")), record)),
            "user.create" => pass.made.push((format!("user:{}", text(&record["detail"], "email")), record)),
            "backup.create" if is_asked => pass.backups.push(record),
            _ => {}
        }
    }
    pass
}

/// Returns the actors that are asked about, or none for all of them. A maker precedes what it makes: whoever had the
/// name of a user before that user was made is another one.
fn subjects(pass: &Pass<'_>, asked: &Asked) -> Option<BTreeSet<String>> {
    let mut found = BTreeSet::from([asked.actor.clone()?]);
    for (name, record) in pass.made.iter().filter(|_| asked.transitive) {
        if found.contains(text(record, "actor")) {
            found.insert(name.clone());
        }
    }
    Some(found)
}

/// Returns the line of a value that an actor knows.
fn known(actor: &str, records: &[&Value], revision: u64, deleted: Option<&str>) -> Value {
    let is_read = |record: &&&Value| text(record, "action").starts_with("credentials.");
    let reads: Vec<&Value> = records.iter().filter(is_read).copied().collect();
    let stored = records.iter().rfind(|record| !is_read(record));
    json!({
        "actor": actor,
        "integrationId": records[0]["integrationId"],
        "provider": records[0]["provider"],
        "revision": revision,
        "deletedAt": deleted,
        "received": if reads.is_empty() { Value::Null } else { received(&reads) },
        "stored": stored.map(|record| {
            json!({ "sequence": record["sequence"], "time": record["time"], "action": record["action"] })
        }),
    })
}

/// Returns how often, when, from where and for what these records disclosed a value.
fn received(reads: &[&Value]) -> Value {
    const LISTED: usize = 16;
    let each = |field: &str| {
        let mut once: Vec<&Value> = Vec::new();
        for value in reads.iter().map(|read| &read[field]).filter(|value| !value.is_null()) {
            if !once.contains(&value) {
                once.push(value);
            }
        }
        once
    };
    let (peers, projects) = (each("peer"), each("project"));
    let (first, last) = (reads[0], reads[reads.len() - 1]);
    json!({
        "count": reads.len(),
        "firstSequence": first["sequence"], "first": first["time"],
        "lastSequence": last["sequence"], "last": last["time"],
        "peers": peers.iter().take(LISTED).collect::<Vec<_>>(), "morePeers": peers.len() > LISTED,
        "projects": projects.iter().take(LISTED).collect::<Vec<_>>(), "moreProjects": projects.len() > LISTED,
    })
}

fn newest(records: &[&Value]) -> u64 {
    records.iter().map(|record| sequence(record)).max().expect("a record")
}

/// Returns the lines, the one with the newest record first.
fn in_order(mut lines: Vec<(u64, Value)>) -> Vec<Value> {
    lines.sort_by_key(|(sequence, _)| Reverse(*sequence));
    lines.into_iter().map(|(_, line)| line).collect()
}

fn sequence(record: &Value) -> u64 {
    record["sequence"].as_u64().expect("a sequence")
}

fn text<'a>(record: &'a Value, field: &str) -> &'a str {
    record[field].as_str().unwrap_or("")
}
