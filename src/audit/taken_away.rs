//! The losses that records state: revoked tokens, removed or narrowed users and integrations, deleted projects.
//!
//! A restore reads it from the records that its backup does not have, and applies it again. Only what takes away counts:
//! an addition after the backup is lost with the rest.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::record::{self, BadRecord};
use crate::domain::{Action, Actor, Email, IntegrationId, Outcome, ProjectId, Role, Timestamp, TokenId};

/// A list of projects, as a record states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Projects {
    /// Every project.
    All,
    /// These.
    Only(Vec<ProjectId>),
    /// A list of which the record holds only a hash.
    Unknown,
}

/// A user after the last record about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserState {
    /// The role.
    pub role: Role,
    /// True for a user that is kept out.
    pub disabled: bool,
    /// To what a member is narrowed.
    pub projects: Projects,
}

/// The end that a roll gave a token, and the token that succeeds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolledTo {
    /// The end; the earliest of several.
    pub ends: Timestamp,
    /// The successor of the last roll; a restore that repeated the end does not name it.
    pub successor: Option<TokenId>,
}

/// The losses that a run of records states.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakenAway {
    /// The number of records by action; reads and logins among them.
    pub actions: BTreeMap<String, u64>,
    /// Revoked tokens.
    pub tokens: BTreeSet<TokenId>,
    /// Tokens that lost projects, with the ones that were left.
    pub narrowed_tokens: BTreeMap<TokenId, Projects>,
    /// Tokens that were rolled, with their new end and their successor.
    pub rolled_tokens: BTreeMap<TokenId, RolledTo>,
    /// Users that were removed, whether or not another one took the e-mail later.
    pub removed_users: BTreeSet<Email>,
    /// Users that were changed, in their last state.
    pub users: BTreeMap<Email, UserState>,
    /// Users whose password was replaced.
    pub passwords: BTreeSet<Email>,
    /// Users whose second factor was set, changed or removed.
    pub factors: BTreeSet<Email>,
    /// Users who used one-time codes of theirs, with the numbers of these.
    pub codes: BTreeMap<Email, BTreeSet<u8>>,
    /// Integrations that were deleted.
    pub integrations: BTreeSet<IntegrationId>,
    /// Integrations whose scope was set, with the last one.
    pub scopes: BTreeMap<IntegrationId, Projects>,
    /// Integrations whose credential was replaced.
    pub rotated: BTreeSet<IntegrationId>,
    /// Projects that were deleted, and not registered again.
    pub projects: BTreeSet<ProjectId>,
    /// The number of changes of the key slots, rekeying included.
    pub slots: u64,
    /// Records that take something away without telling from whom: their names are only hashes.
    pub unnamed: u64,
    /// The records, first and last, that were archived before they were read: what they take away is not known.
    pub archived: Option<(u64, u64)>,
}

impl TakenAway {
    /// Takes the next record in.
    ///
    /// # Errors
    /// It is no record.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), BadRecord> {
        let record = record::decode(bytes)?;
        *self.actions.entry(record.action.to_string()).or_default() += 1;
        if record.outcome != Outcome::Allowed {
            return Ok(());
        }
        let detail = record::detail_of(bytes)?;
        let text = |key: &str| detail.get(key).and_then(Value::as_str);
        let email = || text("email").and_then(|email| email.parse::<Email>().ok());
        let is_named = match record.action {
            Action::TokenRevoke => {
                text("id").and_then(|id| id.parse().ok()).map(|id| self.tokens.insert(id)).is_some()
            }
            Action::TokenUpdate => {
                text("id").and_then(|id| id.parse().ok()).map(|id| self.token_updated(id, &detail)).is_some()
            }
            Action::UserDelete => email().map(|email| self.user_removed(email)).is_some(),
            Action::UserUpdate => email().map(|email| self.user_updated(email, &detail)).is_some(),
            Action::VaultRecover => email().map(|email| self.user_recovered(email, &detail)).is_some(),
            Action::SessionLogin => {
                if let Actor::User(email) = &record.actor {
                    self.code_used(email, &detail);
                }
                true
            }
            Action::IntegrationDelete => record.integration.map(|id| self.integrations.insert(id)).is_some(),
            Action::IntegrationUpdate => {
                record.integration.map(|id| drop(self.scopes.insert(id, projects(&detail)))).is_some()
            }
            Action::IntegrationRotate | Action::IntegrationRollback => {
                record.integration.map(|id| self.rotated.insert(id)).is_some()
            }
            Action::ProjectDelete => record.project.map(|project| self.projects.insert(project)).is_some(),
            Action::ProjectCreate => {
                if let Some(project) = record.project {
                    self.projects.remove(&project);
                }
                true
            }
            Action::VaultSlot | Action::VaultRekey => {
                self.slots += 1;
                true
            }
            _ => true,
        };
        self.unnamed += u64::from(!is_named);
        Ok(())
    }

    fn token_updated(&mut self, id: TokenId, detail: &Value) {
        self.narrowed_tokens.insert(id, projects(detail));
        let text = |key: &str| detail.get(key).and_then(Value::as_str);
        let ends = text("expiresAt").and_then(|time| time.parse::<Timestamp>().ok());
        let successor = text("rolledTo").and_then(|id| id.parse().ok());
        if let Some(ends) = ends {
            let earlier = self.rolled_tokens.get(&id).map_or(ends, |rolled| rolled.ends.min(ends));
            self.rolled_tokens.insert(id, RolledTo { ends: earlier, successor });
        }
    }

    fn user_removed(&mut self, email: Email) {
        self.users.remove(&email);
        self.passwords.remove(&email);
        self.factors.remove(&email);
        self.codes.remove(&email);
        self.removed_users.insert(email);
    }

    fn user_recovered(&mut self, email: Email, detail: &Value) {
        if detail.get("otp").is_some() {
            self.factors.insert(email.clone());
        }
        self.passwords.insert(email);
    }

    fn code_used(&mut self, email: &Email, detail: &Value) {
        let number = detail.get("code").and_then(Value::as_u64).and_then(|number| u8::try_from(number).ok());
        if let Some(number) = number {
            self.codes.entry(email.clone()).or_default().insert(number);
        }
    }

    fn user_updated(&mut self, email: Email, detail: &Value) {
        let role = detail.get("role").and_then(Value::as_str).and_then(|role| role.parse().ok());
        let fields = detail.get("fields").and_then(Value::as_array);
        let changes = |name: &str| fields.is_some_and(|fields| fields.iter().any(|field| field == name));
        if changes("password") {
            self.passwords.insert(email.clone());
        }
        if changes("otp") || changes("otp_codes") {
            self.factors.insert(email.clone());
            self.code_used(&email, detail);
        }
        let state = UserState {
            role: role.unwrap_or(Role::Member),
            disabled: detail.get("disabled") == Some(&Value::Bool(true)),
            projects: projects(detail),
        };
        self.users.insert(email, state);
    }

    /// Returns the number of records.
    pub fn records(&self) -> u64 {
        self.actions.values().sum()
    }
}

fn projects(detail: &Value) -> Projects {
    match detail.get("projects") {
        None => Projects::All,
        Some(Value::Array(items)) => {
            let parsed = items.iter().map(|item| item.as_str()?.parse().ok()).collect::<Option<Vec<_>>>();
            parsed.map_or(Projects::Unknown, Projects::Only)
        }
        Some(_) => Projects::Unknown,
    }
}
