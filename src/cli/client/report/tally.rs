//! Counters over the events of a report, each of bounded size.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    client::Event,
    domain::{Outcome, Timestamp},
};

/// The most readers, refusals and kinds of events that are counted apart; the rest is one sum.
const GROUPS_MAX: usize = 10_000;
/// The most changes, and the most alarms, that are listed; the rest is counted.
const LISTED_MAX: usize = 2_000;

/// Events of one kind: their number, the first of them, and the last one's time.
pub(super) struct Group {
    pub(super) count: u64,
    /// Stands for all of them where a name is looked up.
    pub(super) first: Event,
    pub(super) last: Timestamp,
}

/// Groups by key, and the number of events beyond the most groups.
#[derive(Default)]
pub(super) struct Groups {
    pub(super) by_key: BTreeMap<String, Group>,
    pub(super) beyond: u64,
}

/// Events that are listed one by one, and the number of those beyond the most.
#[derive(Default)]
pub(super) struct Listed {
    pub(super) events: Vec<Event>,
    pub(super) beyond: u64,
}

/// The counts of a range.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) records: u64,
    pub(super) first: Option<Event>,
    pub(super) last: Option<Event>,
    pub(super) disclosures: u64,
    pub(super) refusals: u64,
    pub(super) rejected_logins: u64,
    pub(super) rejected_tokens: u64,
    /// By reader, integration and project.
    pub(super) reads: Groups,
    /// By actor, action and outcome.
    pub(super) refused: Groups,
    pub(super) alarms: Listed,
    pub(super) changes: Listed,
    /// By action: what is neither a disclosure, a refusal nor a change.
    pub(super) others: Groups,
}

impl Groups {
    fn push(&mut self, key: String, event: Event, count: u64) {
        if let Some(group) = self.by_key.get_mut(&key) {
            group.count += count;
            group.last = event.time;
        } else if self.by_key.len() < GROUPS_MAX {
            let last = event.time;
            self.by_key.insert(key, Group { count, first: event, last });
        } else {
            self.beyond += count;
        }
    }
}

impl Listed {
    fn push(&mut self, event: Event) {
        if self.events.len() < LISTED_MAX { self.events.push(event) } else { self.beyond += 1 }
    }

    pub(super) fn count(&self) -> u64 {
        self.events.len() as u64 + self.beyond
    }
}

impl Tally {
    /// Takes in the next event.
    pub(super) fn push(&mut self, event: Event) {
        self.records += 1;
        if self.first.is_none() {
            self.first = Some(event.clone());
        }
        let number = |key: &str| event.detail.get(key).and_then(Value::as_u64).unwrap_or(0);
        if event.detail.get("alarm") == Some(&Value::Bool(true)) {
            self.alarms.push(event.clone());
        }
        let last = event.clone();
        match (event.action.split_once('.'), event.outcome == Outcome::Allowed.as_str()) {
            (Some(("auth", "rejected")), _) => {
                self.rejected_logins += number("logins");
                self.rejected_tokens += number("tokens");
                self.others.push(event.action.clone(), event, 1);
            }
            (Some(("request", "refused")), _) => {
                let count = number("count").max(1);
                self.refuse(event, count);
            }
            (_, false) => self.refuse(event, 1),
            (Some(("credentials", _)), true) => {
                self.disclosures += 1;
                let of = |text: &Option<String>| text.clone().unwrap_or_default();
                let key = [event.actor.clone(), of(&event.integration_id), of(&event.project)].join("\n");
                self.reads.push(key, event, 1);
            }
            (Some((noun, verb)), true) if is_no_change(noun, verb) => {
                self.others.push(event.action.clone(), event, 1);
            }
            (_, true) => self.changes.push(event),
        }
        self.last = Some(last);
    }

    fn refuse(&mut self, event: Event, count: u64) {
        self.refusals += count;
        let key = [event.actor.as_str(), &event.action, &event.outcome].join("\n");
        self.refused.push(key, event, count);
    }
}

/// An action that a later version adds counts as a change: a report must not hide one.
fn is_no_change(noun: &str, verb: &str) -> bool {
    matches!(verb, "list" | "read")
        || matches!(noun, "session" | "request" | "auth" | "server" | "backup")
        || (noun, verb) == ("audit", "export")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: &str, outcome: &str, actor: u64, detail: &str) -> Event {
        let text = format!(
            r#"{{"sequence":1,"time":"2026-11-24T10:00:00.000Z","actor":"user:{actor}@example.com","action":"{action}",
                "outcome":"{outcome}","integrationId":"x","provider":"npm","project":null,"peer":null,"detail":{detail}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn each_record_is_counted_in_one_place_and_memory_has_a_limit() {
        let mut tally = Tally::default();
        for number in 0..30_000 {
            tally.push(event("credentials.read", "allowed", number, r#"{"alarm":true}"#));
            tally.push(event("integration.rotate", "allowed", number, "{}"));
            tally.push(event("user.list", "denied", number, "{}"));
            tally.push(event("audit.read", "allowed", number, "{}"));
        }
        tally.push(event("later.invented", "allowed", 1, "{}"));
        tally.push(event("request.refused", "denied", 1, r#"{"count":40}"#));
        tally.push(event("auth.rejected", "denied", 1, r#"{"tokens":3,"logins":2,"peers":1}"#));
        assert_eq!((tally.records, tally.disclosures, tally.refusals), (120_003, 30_000, 30_040));
        assert_eq!((tally.reads.by_key.len(), tally.reads.beyond), (GROUPS_MAX, 20_000));
        assert_eq!((tally.alarms.count(), tally.alarms.events.len()), (30_000, LISTED_MAX));
        assert_eq!((tally.changes.count(), tally.changes.events.len()), (30_001, LISTED_MAX));
        assert_eq!((tally.rejected_logins, tally.rejected_tokens), (2, 3));
        assert_eq!(tally.others.by_key["audit.read"].count, 30_000);
    }
}
