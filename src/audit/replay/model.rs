//! The model, fed record by record.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, VecDeque},
};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    facts::{Fact, Facts, Subject, listed, login, short, text},
    tables::Tables,
};
use crate::{
    audit::record::{BadRecord, RECORD_BYTES_MAX},
    domain::{Action, Actor, Outcome, Timestamp},
};

/// The most backups in memory: more than can be under way at a time.
const BACKUPS_KEPT: usize = 64;

/// The members of a record that the model reads.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    actor: Cow<'a, str>,
    #[serde(borrow)]
    action: Cow<'a, str>,
    #[serde(borrow)]
    outcome: Cow<'a, str>,
    #[serde(borrow)]
    integration_id: Option<Cow<'a, str>>,
    revision: Option<u64>,
    #[serde(borrow)]
    provider: Option<Cow<'a, str>>,
    #[serde(borrow)]
    project: Option<Cow<'a, str>>,
    detail: Map<String, Value>,
}

/// A subject as its records explain it.
pub(super) struct Explained {
    pub(super) facts: Facts,
    /// The sequence of the newest record that made or changed it.
    pub(super) sequence: u64,
    /// Its name, where its key does not show it.
    pub(super) label: Option<Box<str>>,
}

/// The model, fed record by record.
#[derive(Default)]
pub struct Replay {
    pub(super) explained: BTreeMap<Subject, Explained>,
    /// Deleted subjects; kept only where older records are missing.
    pub(super) gone: BTreeSet<Subject>,
    accesses: BTreeMap<[u8; 16], Timestamp>,
    /// Last accesses before the table's watermark.
    pub(super) settled: BTreeMap<[u8; 16], u64>,
    /// Sequences at or above it are not in the table of last accesses yet.
    watermark: u64,
    /// Logins and refreshes that session rows claim and no record has shown yet.
    pub(super) claimed: BTreeSet<[u8; 16]>,
    first: Option<u64>,
    /// The newest backups: each is taken back by a failure of the same actor and time.
    backups: VecDeque<(Box<str>, Box<str>)>,
    pub(super) unread: u64,
    /// Records about users and about tokens whose detail was too long, and is only a hash.
    pub(super) unclear_users: u64,
    pub(super) unclear_tokens: u64,
}

impl Replay {
    /// Begins a model; the tables say which logins their sessions claim, and up to where last accesses are written.
    pub fn of(tables: &Tables) -> Self {
        let claimed = tables.logins.keys().copied().collect();
        Self { claimed, watermark: tables.watermark, ..Self::default() }
    }

    /// Takes in the record at that sequence; each follows the one before it.
    pub fn push(&mut self, sequence: u64, bytes: &[u8]) {
        self.first.get_or_insert(sequence);
        if self.read(sequence, bytes).is_err() {
            self.unread += 1;
        }
    }

    /// Returns whether the model lacks the beginning of the log.
    pub fn lacks_beginning(&self) -> bool {
        self.first.is_none_or(|first| first > 0)
    }

    /// Returns the time of the newest recorded backup that no later record calls failed.
    pub fn newest_backup(&self) -> Option<Timestamp> {
        self.backups.back()?.1.parse().ok()
    }

    /// Returns the time of the last access of an integration or token.
    pub fn last_access(&self, id: &[u8; 16]) -> Option<Timestamp> {
        self.accesses.get(id).copied()
    }

    fn read(&mut self, sequence: u64, bytes: &[u8]) -> Result<(), BadRecord> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(BadRecord);
        }
        let told: Told<'_> = serde_json::from_slice(bytes).map_err(|_| BadRecord)?;
        let action: Action = told.action.parse().map_err(|_| BadRecord)?;
        let allowed = told.outcome.as_ref() == Outcome::Allowed.as_str();
        self.note_access(sequence, &told, action, allowed)?;
        if !allowed {
            if action == Action::BackupCreate && told.outcome.as_ref() == Outcome::Failed.as_str() {
                self.take_back(&told);
            }
            return Ok(());
        }
        match action {
            Action::IntegrationCreate
            | Action::IntegrationUpdate
            | Action::IntegrationRotate
            | Action::IntegrationRollback
            | Action::IntegrationDelete => self.integration(sequence, &told, action),
            Action::ProjectCreate | Action::ProjectDelete => self.project(sequence, &told, action),
            Action::TokenCreate | Action::TokenUpdate | Action::TokenRevoke => {
                self.token(sequence, &told, action)
            }
            Action::UserCreate | Action::UserUpdate | Action::UserDelete | Action::VaultInit => {
                self.user(sequence, &told, action)
            }
            Action::VaultRecover => {
                let email = told.detail.get("email").ok_or(BadRecord)?;
                let subject = Subject::User(text(email).ok_or(BadRecord)?);
                self.changed(subject, sequence, email.as_str()).state(Fact::SecondFactor, false);
                Ok(())
            }
            Action::SessionLogin | Action::SessionRefresh => {
                let email = told.actor.strip_prefix("user:").ok_or(BadRecord)?;
                self.claimed.remove(&login(email, &told.time));
                Ok(())
            }
            Action::BackupCreate => {
                told.time.parse::<Timestamp>().map_err(|_| BadRecord)?;
                self.backups.push_back((Box::from(&*told.actor), Box::from(&*told.time)));
                if self.backups.len() > BACKUPS_KEPT {
                    self.backups.pop_front();
                }
                Ok(())
            }
            // No other action makes, changes or deletes a row that the model compares.
            _ => Ok(()),
        }
    }

    /// Takes back the backup that a record calls failed: its own record came before the copy.
    fn take_back(&mut self, told: &Told<'_>) {
        let is_it = |(actor, time): &(Box<str>, Box<str>)| **actor == *told.actor && **time == *told.time;
        if let Some(at) = self.backups.iter().rposition(is_it) {
            self.backups.remove(at);
        }
    }

    /// Notes who was read or read, as the table of last accesses does.
    fn note_access(
        &mut self,
        sequence: u64,
        told: &Told<'_>,
        action: Action,
        allowed: bool,
    ) -> Result<(), BadRecord> {
        let disclosed = allowed && matches!(action, Action::CredentialsRead | Action::CredentialsMint);
        let integration = told.integration_id.as_deref().filter(|_| disclosed).map(id_of).transpose()?;
        let token = told.actor.strip_prefix("app:").map(id_of).transpose()?;
        if integration.is_none() && token.is_none() {
            return Ok(());
        }
        let time = told.time.parse().map_err(|_| BadRecord)?;
        for id in integration.into_iter().chain(token) {
            self.accesses.insert(id, time);
            if sequence < self.watermark {
                self.settled.insert(id, sequence);
            }
        }
        Ok(())
    }

    fn integration(&mut self, sequence: u64, told: &Told<'_>, action: Action) -> Result<(), BadRecord> {
        let id = id_of(told.integration_id.as_deref().ok_or(BadRecord)?)?;
        let subject = Subject::Integration(id);
        if action == Action::IntegrationDelete {
            self.settled.remove(&id);
            self.accesses.remove(&id);
            self.delete(subject);
            return Ok(());
        }
        let facts = self.changed(subject, sequence, None);
        if action == Action::IntegrationCreate {
            facts.made(&told.time, &told.actor);
            // A detail that was too long says nothing about it.
            if told.detail.get("sha256").is_none() {
                facts.state(Fact::Canary, told.detail.get("canary") == Some(&Value::Bool(true)));
            }
        }
        facts.provider(told.provider.as_deref().ok_or(BadRecord)?);
        facts.revision(told.revision.ok_or(BadRecord)?);
        if matches!(action, Action::IntegrationCreate | Action::IntegrationUpdate) {
            let is_global = told.detail.get("isGlobal").is_some();
            let projects = told.detail.get("projects").and_then(listed);
            facts.set(Fact::Scope, if is_global { Some(short(b"global")) } else { projects });
        }
        Ok(())
    }

    fn project(&mut self, sequence: u64, told: &Told<'_>, action: Action) -> Result<(), BadRecord> {
        // A project that is too long for its record is named by its hash in the detail.
        let key = match &told.project {
            Some(project) => short(project.as_bytes()),
            None => told.detail.get("project").and_then(text).ok_or(BadRecord)?,
        };
        let subject = Subject::Project(key);
        if action == Action::ProjectDelete {
            self.delete(subject);
            return Ok(());
        }
        self.changed(subject, sequence, told.project.as_deref()).made_at(&told.time);
        Ok(())
    }

    fn token(&mut self, sequence: u64, told: &Told<'_>, action: Action) -> Result<(), BadRecord> {
        let Some(id) = told.detail.get("id").and_then(Value::as_str) else {
            self.unclear_tokens += 1;
            return Ok(());
        };
        let facts = self.changed(Subject::Token(id_of(id)?), sequence, None);
        if action == Action::TokenCreate {
            facts.made(&told.time, &told.actor);
        }
        facts.set(Fact::Name, told.detail.get("name").and_then(text));
        facts.set(Fact::Role, told.detail.get("role").and_then(text));
        facts.scope(Fact::Projects, told.detail.get("projects"));
        facts.scope(Fact::Providers, told.detail.get("providers"));
        facts.scope(Fact::Integrations, told.detail.get("integrations"));
        // Only a roll states the end: a record without one leaves it as it was.
        if let Some(end) = told.detail.get("expiresAt").and_then(text) {
            facts.set(Fact::Ends, Some(end));
        }
        // A token that was revoked once stays so.
        if action == Action::TokenRevoke {
            facts.state(Fact::Revoked, true);
        } else {
            facts.state(Fact::Revoked, false);
        }
        Ok(())
    }

    fn user(&mut self, sequence: u64, told: &Told<'_>, action: Action) -> Result<(), BadRecord> {
        let Some(email) = told.detail.get("email") else {
            self.unclear_users += 1;
            return Ok(());
        };
        let subject = Subject::User(text(email).ok_or(BadRecord)?);
        if action == Action::UserDelete {
            self.delete(subject);
            return Ok(());
        }
        let facts = self.changed(subject, sequence, email.as_str());
        if matches!(action, Action::UserCreate | Action::VaultInit) {
            facts.made_at(&told.time);
        }
        let role = told.detail.get("role").and_then(text);
        facts.set(Fact::Role, role.or_else(|| (action == Action::VaultInit).then(|| short(b"owner"))));
        facts.state(Fact::Disabled, told.detail.get("disabled") == Some(&Value::Bool(true)));
        facts.state(Fact::SecondFactor, told.detail.get("otp") == Some(&Value::Bool(true)));
        facts.scope(Fact::Projects, told.detail.get("projects"));
        Ok(())
    }

    fn delete(&mut self, subject: Subject) {
        self.explained.remove(&subject);
        if self.lacks_beginning() {
            self.gone.insert(subject);
        }
    }

    /// Returns the facts of a subject that a record makes or changes.
    fn changed(&mut self, subject: Subject, sequence: u64, label: Option<&str>) -> &mut Facts {
        self.gone.remove(&subject);
        let label = label.map(Box::from);
        let entry = self.explained.entry(subject);
        let entry = entry.or_insert_with(|| Explained { facts: Facts::default(), sequence, label: None });
        entry.sequence = sequence;
        entry.label = label.or_else(|| entry.label.take());
        &mut entry.facts
    }
}

/// Reads an id of an integration or token.
fn id_of(text: &str) -> Result<[u8; 16], BadRecord> {
    match format!("app:{text}").parse() {
        Ok(Actor::App(id)) => Ok(*id.as_bytes()),
        Ok(Actor::User(_) | Actor::Host(_)) | Err(_) => Err(BadRecord),
    }
}
