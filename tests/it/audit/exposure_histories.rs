//! The engine against the reference of another hand, over random histories.

use std::collections::BTreeMap;

use sealroom::{
    audit::{
        exposure::{Answer, Index, Question},
        record,
    },
    domain::{
        Action, Actor, Detail, DetailKey, Event, IntegrationId, Outcome, Peer, Provider, Revision, Timestamp,
        TokenId, minutes, seconds,
    },
};
use serde_json::Value;

use super::exposure_by_another_hand::{Asked, by_records, exposure};
use crate::{lab::rng::Rng, support::server::START};

/// Histories in the suite; `SEALROOM_HISTORIES=100000` runs as many.
const HISTORIES: u64 = 400;
/// Events of one history.
const EVENTS: usize = 90;

/// An integration as the vault keeps it.
struct Kept {
    id: IntegrationId,
    current: u64,
    is_deleted: bool,
}

/// A vault that only writes records.
struct History {
    rng: Rng,
    log: Vec<Vec<u8>>,
    now: Timestamp,
    actors: Vec<Actor>,
    integrations: Vec<Kept>,
    peers: u8,
    minted: u64,
}

impl History {
    fn new(seed: u64) -> Self {
        let people = ["ada", "bob", "carol"].map(|name| format!("user:{name}@example.com").parse().unwrap());
        Self {
            rng: Rng::new(&[seed, 0xe1]),
            log: Vec::new(),
            now: Timestamp::from_millis(START),
            actors: people.into_iter().collect(),
            integrations: Vec::new(),
            // In one history of four, more addresses than an answer lists.
            peers: if seed.is_multiple_of(4) { 40 } else { 3 },
            minted: 0,
        }
    }

    fn run(&mut self) {
        for _ in 0..EVENTS {
            self.pass_time();
            match self.rng.below(18) {
                0 | 1 => self.create(),
                2 => self.rotate(),
                3 => self.roll_back(),
                4 => self.delete(),
                5 => self.make(),
                6 => self.mint(),
                7 => self.read_kept(),
                8 => self.other(),
                9 => self.refused(),
                10 => self.update(),
                _ => self.read(),
            }
        }
    }

    /// The clock stands still, goes on, falls back a little, or is set back by any time, as its operator may accept.
    fn pass_time(&mut self) {
        self.now = match self.rng.below(40) {
            0..=4 => self.now,
            5..=9 => self.now.minus(seconds(self.rng.below(290) as u64)),
            10 => self.now.minus(seconds(self.rng.below(4_000) as u64)),
            _ => self.now.plus(seconds(self.rng.below(120) as u64)),
        };
    }

    fn push(&mut self, event: Event) {
        self.log.push(record::encode(self.log.len() as u64, &event));
    }

    fn event(&mut self, action: Action) -> Event {
        let actor = self.rng.of(&self.actors).unwrap().clone();
        let peer = format!("192.0.2.{}", self.rng.below(usize::from(self.peers)));
        Event { peer: Some(peer.parse::<Peer>().unwrap()), ..Event::new(self.now, actor, action) }
    }

    fn about(&mut self, action: Action, id: IntegrationId, revision: u64) -> Event {
        let (integration, revision) = (Some(id), Some(Revision::new(revision)));
        Event { integration, revision, provider: Some(Provider::Github), ..self.event(action) }
    }

    fn any(&mut self) -> Option<usize> {
        let alive: Vec<usize> =
            (0..self.integrations.len()).filter(|at| !self.integrations[*at].is_deleted).collect();
        self.rng.of(&alive).copied()
    }

    fn create(&mut self) {
        let id = IntegrationId::from_bytes([self.integrations.len() as u8 + 1; 16]);
        self.integrations.push(Kept { id, current: 1, is_deleted: false });
        let event = self.about(Action::IntegrationCreate, id, 1);
        self.push(event);
    }

    fn rotate(&mut self) {
        let Some(at) = self.any() else { return };
        self.integrations[at].current += 1;
        let Kept { id, current, .. } = self.integrations[at];
        let event = self.about(Action::IntegrationRotate, id, current);
        self.push(event);
    }

    fn roll_back(&mut self) {
        let Some(at) = self.any() else { return };
        let from = self.kept(at);
        self.integrations[at].current += 1;
        let Kept { id, current, .. } = self.integrations[at];
        let detail = Detail::NONE.number(DetailKey::FromRevision, from);
        let event = Event { detail, ..self.about(Action::IntegrationRollback, id, current) };
        self.push(event);
    }

    /// One of the five newest revisions.
    fn kept(&mut self, at: usize) -> u64 {
        let current = self.integrations[at].current;
        current - self.rng.below(current.min(5) as usize) as u64
    }

    /// A change that a caller asked for and did not get.
    fn refused(&mut self) {
        let actions = [
            Action::IntegrationCreate,
            Action::IntegrationRotate,
            Action::IntegrationRollback,
            Action::IntegrationDelete,
            Action::CredentialsMint,
            Action::TokenCreate,
            Action::UserCreate,
            Action::BackupCreate,
        ];
        let Some(at) = self.any() else { return };
        let Kept { id, current, .. } = self.integrations[at];
        let outcome = if self.rng.one_in(2) { Outcome::Denied } else { Outcome::Failed };
        let action = *self.rng.of(&actions).unwrap();
        let event = self.about(action, id, current + 1);
        self.push(Event { outcome, ..event });
    }

    fn update(&mut self) {
        let Some(at) = self.any() else { return };
        let Kept { id, current, .. } = self.integrations[at];
        let detail = Detail::NONE.list(DetailKey::Fields, &["name"]);
        let event = self.about(Action::IntegrationUpdate, id, current);
        self.push(Event { detail, ..event });
    }

    fn delete(&mut self) {
        if !self.rng.one_in(3) {
            return;
        }
        let Some(at) = self.any() else { return };
        self.integrations[at].is_deleted = true;
        let Kept { id, current, .. } = self.integrations[at];
        let event = self.about(Action::IntegrationDelete, id, current);
        self.push(event);
    }

    fn make(&mut self) {
        let number = self.actors.len() as u8;
        if number > 9 || self.rng.one_in(4) {
            return self.make_again();
        }
        let id = TokenId::from_bytes([number; 16]);
        let (action, actor, detail) = if self.rng.one_in(3) {
            let email = format!("user{number}@example.com");
            let actor = format!("user:{email}").parse().unwrap();
            (Action::UserCreate, actor, Detail::NONE.text(DetailKey::Email, email))
        } else {
            (Action::TokenCreate, Actor::App(id), Detail::NONE.text(DetailKey::Id, id))
        };
        let event = Event { detail, ..self.event(action) };
        self.push(event);
        self.actors.push(actor);
    }

    /// A user who was removed is made anew, perhaps by one whom an earlier holder of the name had made.
    fn make_again(&mut self) {
        let users: Vec<String> = self.actors.iter().map(ToString::to_string).collect();
        let users: Vec<&str> = users.iter().filter_map(|actor| actor.strip_prefix("user:")).collect();
        let email = *self.rng.of(&users).unwrap();
        for action in [Action::UserDelete, Action::UserCreate] {
            let event = self.event(action);
            self.push(Event { detail: Detail::NONE.text(DetailKey::Email, email), ..event });
        }
    }

    fn mint(&mut self) {
        let Some(at) = self.any() else { return };
        let Kept { id, current, .. } = self.integrations[at];
        // A record of an older version has no hash: what was minted ended within the hour.
        if self.rng.one_in(8) {
            let event = self.about(Action::CredentialsMint, id, current);
            return self.push(event);
        }
        let is_new = self.minted == 0 || self.rng.one_in(2);
        self.minted += u64::from(is_new);
        let action = if is_new { Action::CredentialsMint } else { Action::CredentialsRead };
        // A token's end is known from its minting on: an hour from the start for each.
        let ends = Timestamp::from_millis(START).plus(minutes(30 + self.minted));
        let detail = Detail::NONE
            .text(DetailKey::HashedToken, format!("hash{}", self.minted))
            .text(DetailKey::ExpiresAt, ends);
        let id = if is_new { id } else { self.last_minted().unwrap_or(id) };
        let event = self.about(action, id, current);
        self.push(Event { detail, project: Some("acme/app".parse().unwrap()), ..event });
    }

    fn last_minted(&self) -> Option<IntegrationId> {
        let newest = self.log.iter().rev().map(|bytes| serde_json::from_slice::<Value>(bytes).unwrap());
        let newest = newest.into_iter().find(|record| record["detail"]["hashedToken"].is_string());
        newest?["integrationId"].as_str()?.parse().ok()
    }

    fn read_kept(&mut self) {
        let Some(at) = self.any() else { return };
        let (revision, id) = (self.kept(at), self.integrations[at].id);
        let event = self.about(Action::CredentialsRead, id, revision);
        self.push(Event { detail: Detail::NONE.truth(DetailKey::Alarm, true), ..event });
    }

    fn read(&mut self) {
        let Some(at) = self.any() else { return };
        let Kept { id, current, .. } = self.integrations[at];
        let event = self.about(Action::CredentialsRead, id, current);
        let Actor::App(token) = &event.actor else {
            let project =
                self.rng.one_in(2).then(|| format!("acme/p{}", self.rng.below(20)).parse().unwrap());
            return self.push(Event { project, ..event });
        };
        // A token is narrowed to one project and to every second integration; its other reads are refused.
        let (number, may) = (token.as_bytes()[0], (usize::from(token.as_bytes()[0]) + at) % 2 == 0);
        let outcome = if may { Outcome::Allowed } else { Outcome::Denied };
        let project = Some(format!("acme/p{number}").parse().unwrap());
        self.push(Event { project, outcome, ..event });
    }

    fn other(&mut self) {
        let actions =
            [Action::SessionLogin, Action::BackupCreate, Action::AuditRead, Action::IntegrationList];
        let action = *self.rng.of(&actions).unwrap();
        let event = self.event(action);
        self.push(event);
    }

    /// The record of an archive of the records before `first`.
    fn archived(&self, first: usize, is_stated: bool) -> Vec<u8> {
        let times = self.log[..first].iter().map(|bytes| record::decode(bytes).unwrap().time);
        let range = Detail::NONE
            .number(DetailKey::FirstSequence, 0)
            .number(DetailKey::LastSequence, first as u64 - 1);
        let detail = if is_stated { range.text(DetailKey::NewestTime, times.max().unwrap()) } else { range };
        let event = Event { detail, ..Event::new(self.now, Actor::host("test"), Action::AuditArchive) };
        record::encode(self.log.len() as u64, &event)
    }

    fn asked(&mut self) -> Asked {
        let actor = (!self.rng.one_in(4)).then(|| self.rng.of(&self.actors).unwrap().to_string());
        let integration = if self.rng.one_in(4) {
            self.rng.of(&self.integrations).map(|one| one.id.to_string())
        } else {
            None
        };
        let time = |this: &mut Self| {
            let at = Timestamp::from_millis(START).plus(seconds(this.rng.below(5_000) as u64));
            this.rng.one_in(3).then(|| at.to_string())
        };
        let (mut since, until) = (time(self), time(self));
        if actor.is_none() && integration.is_none() && since.is_none() {
            since = Some(Timestamp::from_millis(START).to_string());
        }
        let transitive = actor.is_some() && self.rng.one_in(2);
        Asked { actor, integration, since, until, transitive }
    }

    /// The current revision of an integration, as its row has it.
    fn rows(&self) -> BTreeMap<IntegrationId, u64> {
        let alive = self.integrations.iter().filter(|one| !one.is_deleted);
        alive.map(|one| (one.id, one.current)).collect()
    }
}

fn question(asked: &Asked) -> Question {
    let time = |text: &Option<String>| text.as_deref().map(|text| text.parse().unwrap());
    Question {
        actor: asked.actor.clone(),
        integration: asked.integration.as_deref().map(|id| id.parse().unwrap()),
        since: time(&asked.since),
        until: time(&asked.until),
        transitive: asked.transitive,
    }
}

/// The engine's answer over a log whose records before `first` are archived; `None` if it needs those.
fn answered(history: &History, first: usize, asked: &Asked, now: Timestamp) -> Option<Value> {
    let mut index = Index::default();
    for (sequence, bytes) in history.log.iter().enumerate().skip(first) {
        index.push(sequence as u64, bytes).unwrap();
    }
    let size = history.log.len() as u64 + u64::from(first > 0);
    if first > 0 {
        // An archive by an earlier version does not state the newest time.
        let is_stated = !first.is_multiple_of(4);
        index.push(size - 1, &history.archived(first, is_stated)).unwrap();
        let since = Timestamp::from_millis(u64::MAX);
        assert_eq!(index.holds_all_from(since, first as u64), is_stated);
    }
    let rows = history.rows();
    let exposure = match index.answer(&question(asked), now, 0, &mut |id| rows.get(&id).copied()) {
        Answer::Ready(exposure) => *exposure,
        Answer::Archived { last } => {
            assert_eq!(last, first as u64 - 1);
            return None;
        }
        Answer::Read(mut reading) => {
            while let Some(block) = reading.next_block() {
                for sequence in block.start..block.end.min(history.log.len() as u64) {
                    reading.push(sequence, &history.log[usize::try_from(sequence).unwrap()]).unwrap();
                }
            }
            reading.finish().ok()?
        }
    };
    assert_eq!(exposure.size, size);
    Some(serde_json::to_value(&exposure).unwrap())
}

#[test]
fn over_random_histories_the_engine_and_a_plain_loop_over_the_log_agree() {
    let count = std::env::var("SEALROOM_HISTORIES").ok().map_or(HISTORIES, |count| count.parse().unwrap());
    let (mut lines, mut refused, mut partial) = (0, 0, 0);
    for seed in 0..count {
        let mut history = History::new(seed);
        history.run();
        let log: Vec<Value> =
            history.log.iter().map(|bytes| serde_json::from_slice(bytes).unwrap()).collect();
        let now = Timestamp::from_millis(START).plus(minutes(history.rng.below(90) as u64));
        for _ in 0..3 {
            let asked = history.asked();
            let expected = exposure(&log, &asked, &now.to_string());
            let found = answered(&history, 0, &asked, now).expect("nothing is archived");
            assert_eq!(by_records(&found), expected, "seed {seed}: {asked:?}");
            lines += expected["live"].as_array().unwrap().len();
            // The same with a part of the log archived: the whole truth, or a refusal.
            let first = 1 + history.rng.below(history.log.len() - 1);
            match answered(&history, first, &asked, now) {
                Some(found) => {
                    assert_eq!(by_records(&found), expected, "seed {seed}, from {first}: {asked:?}");
                    partial += 1;
                }
                None => refused += 1,
            }
        }
    }
    assert!(
        lines as u64 > count && refused as u64 > count / 4 && partial as u64 > count / 8,
        "{lines} {refused} {partial}"
    );
}
