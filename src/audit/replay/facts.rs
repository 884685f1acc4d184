//! Facts that both a record and a row state, as short hashes: 16 bytes tell two values apart, and none is shown.

use std::fmt;

use serde_json::Value;

use crate::{
    crypto::digest::sha256,
    domain::{ApplicationToken, Integration, IntegrationId, Project, Scope, TokenId, User},
};

pub(super) type Short = [u8; 16];

/// The subject of a record or a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A user, by the hash of the e-mail.
    User(Short),
    /// A project, by the hash of its identifier.
    Project(Short),
    /// An integration, by id.
    Integration([u8; 16]),
    /// A token, by id.
    Token([u8; 16]),
}

impl Subject {
    /// Returns the user of that e-mail.
    pub fn user(email: &[u8]) -> Self {
        Self::User(short(email))
    }

    /// Returns the project of that identifier.
    pub fn project(identifier: &[u8]) -> Self {
        Self::Project(short(identifier))
    }

    /// Returns the subject's name in a report; `label` is its name, where its key does not show it.
    pub(super) fn named(&self, label: Option<&str>) -> String {
        match self {
            Self::User(_) => format!("users {}", label.unwrap_or("(named only by a hash)")),
            Self::Project(_) => format!("projects {}", label.unwrap_or("(named only by a hash)")),
            Self::Integration(id) => format!("integrations {}", IntegrationId::from_bytes(*id)),
            Self::Token(id) => format!("tokens {}", TokenId::from_bytes(*id)),
        }
    }
}

/// A property that both a record and a row state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    CreatedAt,
    CreatedBy,
    Role,
    Disabled,
    SecondFactor,
    Projects,
    Providers,
    Integrations,
    Provider,
    Scope,
    Canary,
    Revisions,
    Name,
    Revoked,
    Ends,
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreatedAt => "creation time",
            Self::CreatedBy => "creator",
            Self::Role => "role",
            Self::Disabled => "disabled flag",
            Self::SecondFactor => "second factor",
            Self::Projects => "projects",
            Self::Providers => "providers",
            Self::Integrations => "integrations",
            Self::Provider => "provider",
            Self::Scope => "scope",
            Self::Canary => "canary flag",
            Self::Revisions => "revisions",
            Self::Name => "name",
            Self::Revoked => "revocation",
            Self::Ends => "end",
        })
    }
}

/// The facts about one subject. A fact that is absent is unknown, and equals any.
#[derive(Debug, Clone, Default)]
pub struct Facts(Vec<(Fact, Short)>);

impl Facts {
    /// Returns the facts of a user's row.
    pub fn of_user(user: &User) -> Self {
        let mut facts = Self::default();
        facts.made_at(&user.created_at.to_string());
        facts.set(Fact::Role, Some(short(user.role.as_str().as_bytes())));
        facts.state(Fact::Disabled, user.disabled);
        facts.state(Fact::SecondFactor, user.factor.is_some());
        facts.rows(Fact::Projects, user.projects());
        facts
    }

    /// Returns the facts of a project's row.
    pub fn of_project(project: &Project) -> Self {
        let mut facts = Self::default();
        facts.made_at(&project.created_at.to_string());
        facts
    }

    /// Returns the facts of an integration's row.
    pub fn of_integration(integration: &Integration) -> Self {
        let mut facts = Self::default();
        facts.made(&integration.created_at.to_string(), &integration.created_by.to_string());
        facts.provider(integration.provider.as_str());
        let kept: Vec<u64> = integration.kept.iter().map(|kept| kept.revision.number()).collect();
        facts.set(Fact::Revisions, Some(short(format!("{kept:?}").as_bytes())));
        facts.state(Fact::Canary, integration.is_canary);
        match &integration.scope {
            Scope::Global => facts.set(Fact::Scope, Some(short(b"global"))),
            Scope::Projects(projects) => facts.rows(Fact::Scope, Some(projects)),
        }
        facts
    }

    /// Returns the facts of a token's row.
    pub fn of_token(token: &ApplicationToken) -> Self {
        let mut facts = Self::default();
        facts.made(&token.created_at.to_string(), &token.created_by.to_string());
        facts.set(Fact::Name, Some(short(token.name.as_str().as_bytes())));
        facts.set(Fact::Role, Some(short(token.role.as_str().as_bytes())));
        facts.rows(Fact::Projects, token.scope.projects.as_deref());
        facts.rows(Fact::Providers, token.scope.providers.as_deref());
        facts.rows(Fact::Integrations, token.scope.integrations.as_deref());
        facts.state(Fact::Revoked, token.revoked_at.is_some());
        facts.set(Fact::Ends, Some(short(token.expires_at.to_string().as_bytes())));
        facts
    }

    /// Returns the facts in which the two differ.
    pub(super) fn differing(&self, other: &Self) -> Vec<Fact> {
        let differs = |(fact, value): &&(Fact, Short)| {
            other.0.iter().any(|(known, theirs)| known == fact && theirs != value)
        };
        self.0.iter().filter(differs).map(|(fact, _)| *fact).collect()
    }

    pub(super) fn set(&mut self, fact: Fact, value: Option<Short>) {
        self.0.retain(|(known, _)| *known != fact);
        if let Some(value) = value {
            // A vault has these for every row: no room for more than there are.
            self.0.reserve_exact(1);
            self.0.push((fact, value));
        }
    }

    pub(super) fn made(&mut self, time: &str, actor: &str) {
        self.made_at(time);
        self.set(Fact::CreatedBy, Some(short(actor.as_bytes())));
    }

    pub(super) fn made_at(&mut self, time: &str) {
        self.set(Fact::CreatedAt, Some(short(time.as_bytes())));
    }

    pub(super) fn provider(&mut self, provider: &str) {
        self.set(Fact::Provider, Some(short(provider.as_bytes())));
    }

    /// Sets the revisions that the file keeps while this one is current.
    pub(super) fn revision(&mut self, current: u64) {
        let oldest = current.saturating_sub(Integration::KEPT_MAX as u64 - 1).max(1);
        let kept: Vec<u64> = (oldest..=current).rev().collect();
        self.set(Fact::Revisions, Some(short(format!("{kept:?}").as_bytes())));
    }

    pub(super) fn state(&mut self, fact: Fact, is: bool) {
        self.set(fact, Some(short(&[u8::from(is)])));
    }

    /// Sets a list as a record states it: absent means all, and a long one is its hash.
    pub(super) fn scope(&mut self, fact: Fact, list: Option<&Value>) {
        self.set(fact, list.map_or_else(|| Some(short(b"all")), listed));
    }

    fn rows<T: fmt::Display>(&mut self, fact: Fact, list: Option<&[T]>) {
        let hash = list.map_or_else(
            || short(b"all"),
            |items| {
                let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                short(Value::from(items).to_string().as_bytes())
            },
        );
        self.set(fact, Some(hash));
    }
}

/// Returns the hash by which a login or refresh is known: its user and time.
pub fn login(email: &str, time: &str) -> [u8; 16] {
    short(format!("{email}\n{time}").as_bytes())
}

pub(super) fn short(bytes: &[u8]) -> Short {
    let hash = sha256(bytes);
    hash[..16].try_into().expect("SHA-256 has 32 bytes")
}

/// Returns the hash of a text of a detail, in full or as its own hash.
pub(super) fn text(value: &Value) -> Option<Short> {
    match value {
        Value::String(text) => Some(short(text.as_bytes())),
        Value::Object(_) => short_of_hex(value),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}

/// Returns the hash of a list of a detail, in full or as its own hash.
pub(super) fn listed(value: &Value) -> Option<Short> {
    match value {
        Value::Array(_) => Some(short(value.to_string().as_bytes())),
        Value::Object(_) => short_of_hex(value),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// Returns the hash that a record holds in the place of a value that is too long for it.
pub(super) fn short_of_hex(value: &Value) -> Option<Short> {
    let bytes = data_encoding::HEXLOWER.decode(value.get("sha256")?.as_str()?.as_bytes()).ok()?;
    bytes.get(..16)?.try_into().ok()
}
