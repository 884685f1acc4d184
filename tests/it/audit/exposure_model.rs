//! The exposure by a plain loop over a whole log, from the contract's text: the reference for the engine.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// A question; times are texts of the log, which sort as they pass.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    pub actor: Option<String>,
    pub integration: Option<String>,
    pub since: Option<String>,
    pub until: Option<String>,
    pub transitive: bool,
}

impl Asked {
    fn spans(&self, record: &Value) -> bool {
        let time = text(&record["time"]);
        self.since.as_deref().is_none_or(|since| time >= since)
            && self.until.as_deref().is_none_or(|until| time < until)
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

/// The answer over the records of a whole log, without what only rows tell.
pub fn exposure(log: &[Value], asked: &Asked, now: &str) -> Value {
    let done: Vec<&Value> = log.iter().filter(|record| record["outcome"] == "allowed").collect();
    let actors = actors(&done, asked);
    let of_actor =
        |record: &&&Value| actors.as_ref().is_none_or(|actors| actors.contains(text(&record["actor"])));
    let about =
        |record: &&&Value| asked.integration.as_deref().is_none_or(|id| text(&record["integrationId"]) == id);
    let mine: Vec<&Value> =
        done.iter().filter(of_actor).filter(|record| asked.spans(record)).copied().collect();
    let (live, deleted) = values(&done, &mine.iter().filter(about).copied().collect::<Vec<_>>());
    let minted = minted(&mine.iter().filter(about).copied().collect::<Vec<_>>(), now);
    let whole = actors.is_some() && asked.integration.is_none();
    let made: Vec<Value> = mine.iter().filter(|_| whole).filter_map(|record| making(record)).collect();
    let copies: Vec<&&Value> = mine.iter().filter(|one| whole && one["action"] == "backup.create").collect();
    let backups = copies
        .last()
        .map(|last| json!({ "count": copies.len(), "sequence": last["sequence"], "last": last["time"] }));
    json!({
        "live": newest_first(live), "deleted": newest_first(deleted), "minted": newest_first(minted),
        "made": newest_first(made), "backups": backups,
    })
}

/// The actor, and with `transitive` what it made, in the order of the log.
fn actors(done: &[&Value], asked: &Asked) -> Option<BTreeSet<String>> {
    let mut actors = BTreeSet::from([asked.actor.clone()?]);
    for record in done.iter().filter(|_| asked.transitive) {
        if let Some(made) = making(record).filter(|_| actors.contains(text(&record["actor"]))) {
            actors.insert(text(&made["actor"]).to_owned());
        }
    }
    Some(actors)
}

fn making(record: &Value) -> Option<Value> {
    let actor = match text(&record["action"]) {
        "token.create" => format!("app:{}", text(&record["detail"]["id"])),
        "user.create" => format!("user:{}", text(&record["detail"]["email"])),
        _ => return None,
    };
    Some(
        json!({ "actor": actor, "by": record["actor"], "sequence": record["sequence"], "time": record["time"] }),
    )
}

/// The live values and those of deleted integrations.
fn values(done: &[&Value], mine: &[&Value]) -> (Vec<Value>, Vec<Value>) {
    // The number of the value that each revision has.
    let mut value_of: BTreeMap<(&str, u64), usize> = BTreeMap::new();
    let mut current: BTreeMap<&str, u64> = BTreeMap::new();
    let mut gone: BTreeMap<&str, &Value> = BTreeMap::new();
    for (at, record) in done.iter().enumerate() {
        let id = text(&record["integrationId"]);
        match text(&record["action"]) {
            "integration.create" | "integration.rotate" => {
                value_of.insert((id, number(&record["revision"])), at);
                current.insert(id, number(&record["revision"]));
            }
            "integration.rollback" => {
                let from = value_of[&(id, number(&record["detail"]["fromRevision"]))];
                value_of.insert((id, number(&record["revision"])), from);
                current.insert(id, number(&record["revision"]));
            }
            "integration.delete" => drop(gone.insert(id, record)),
            _ => {}
        }
    }
    let (mut live, mut deleted) = (Vec::new(), Vec::new());
    for (id, revision) in &current {
        let value = value_of[&(*id, *revision)];
        let is_of = |record: &&&Value| {
            text(&record["integrationId"]) == *id
                && value_of.get(&(*id, record["revision"].as_u64().unwrap_or(0))) == Some(&value)
        };
        let of_value: Vec<&Value> = mine.iter().filter(is_of).copied().collect();
        let names: BTreeSet<&str> = of_value.iter().map(|record| text(&record["actor"])).collect();
        for actor in names {
            let of = |actions: &[&str]| -> Vec<&Value> {
                let wanted = |record: &&&Value| {
                    text(&record["actor"]) == actor && actions.contains(&text(&record["action"]))
                };
                of_value.iter().filter(wanted).copied().collect()
            };
            let reads: Vec<&Value> = of(&["credentials.read"])
                .into_iter()
                .filter(|one| one["detail"]["hashedToken"].is_null())
                .collect();
            let stored = of(&["integration.create", "integration.rotate"]).last().map(|record| {
                json!({ "sequence": record["sequence"], "time": record["time"], "action": record["action"] })
            });
            if reads.is_empty() && stored.is_none() {
                continue;
            }
            let line = json!({
                "actor": actor, "integrationId": id, "revision": revision, "received": received(&reads),
                "stored": stored, "deletedAt": gone.get(id).map(|record| &record["time"]),
            });
            if gone.contains_key(id) { deleted.push(line) } else { live.push(line) }
        }
    }
    (live, deleted)
}

fn minted(mine: &[&Value], now: &str) -> Vec<Value> {
    let mut tokens: BTreeMap<(&str, &str), Vec<&Value>> = BTreeMap::new();
    for record in mine.iter().filter(|one| text(&one["action"]).starts_with("credentials.")) {
        let hash = text(&record["detail"]["hashedToken"]);
        if !hash.is_empty() && text(&record["detail"]["expiresAt"]) > now {
            tokens.entry((hash, text(&record["actor"]))).or_default().push(record);
        }
    }
    let line = |((hash, actor), records): (&(&str, &str), &Vec<&Value>)| {
        json!({
            "actor": actor, "integrationId": records[0]["integrationId"], "hashedToken": hash,
            "expiresAt": records[0]["detail"]["expiresAt"], "received": received(records),
        })
    };
    tokens.iter().map(line).collect()
}

fn received(records: &[&Value]) -> Value {
    let (Some(first), Some(last)) = (records.first(), records.last()) else { return Value::Null };
    let named = |member: &str| {
        let mut all: Vec<&str> = Vec::new();
        for name in records.iter().filter_map(|record| record[member].as_str()) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        let more = all.len() > 16;
        all.truncate(16);
        (json!(all), more)
    };
    let ((peers, more_peers), (projects, more_projects)) = (named("peer"), named("project"));
    json!({
        "count": records.len(), "firstSequence": first["sequence"], "first": first["time"],
        "lastSequence": last["sequence"], "last": last["time"], "peers": peers, "morePeers": more_peers,
        "projects": projects, "moreProjects": more_projects,
    })
}

fn newest_first(mut lines: Vec<Value>) -> Value {
    let newest = |line: &Value| {
        let sequences = [&line["sequence"], &line["received"]["lastSequence"], &line["stored"]["sequence"]];
        sequences.into_iter().filter_map(Value::as_u64).max()
    };
    lines.sort_by_key(|line| std::cmp::Reverse(newest(line)));
    lines.into()
}

/// An answer without what only rows tell.
pub fn by_records(answer: &Value) -> Value {
    let mut answer = answer.clone();
    let object = answer.as_object_mut().unwrap();
    for member in ["actor", "known", "nearest", "size", "left"] {
        object.remove(member);
    }
    for (list, members) in [
        ("live", &["name", "provider", "expiresAt"][..]),
        ("deleted", &["name", "provider", "expiresAt"]),
        ("made", &["name", "role", "status"]),
    ] {
        for line in object[list].as_array_mut().unwrap() {
            members.iter().for_each(|member| drop(line.as_object_mut().unwrap().remove(*member)));
        }
    }
    answer
}
