//! A record as far as it says who learned what.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::told::Told;
use crate::{
    api::responses::Storing,
    audit::record::BadRecord,
    domain::{Action, Actor, IntegrationId, Outcome, Peer, Provider, Timestamp},
};

/// The members of a detail that are read; a text that was too long for its record is an object.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Detail {
    from_revision: Option<u64>,
    last_sequence: Option<u64>,
    newest_time: Option<String>,
    hashed_token: Option<String>,
    expires_at: Option<String>,
    id: Option<Value>,
    email: Option<Value>,
    name: Option<Value>,
}

/// A record: its time, its actor, and what it did if that is of interest.
pub(super) struct Fact<'a> {
    pub(super) time: Timestamp,
    pub(super) actor: Cow<'a, str>,
    pub(super) did: Option<Did<'a>>,
}

/// A revision of an integration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Of {
    pub(super) integration: IntegrationId,
    pub(super) revision: u64,
    pub(super) provider: Provider,
}

/// An effect of a record.
pub(super) enum Did<'a> {
    /// A stored value was disclosed to the actor.
    Received(Of, Whence<'a>),
    /// A minted token was disclosed to the actor.
    ReceivedMinted { of: Of, hash: String, ends: Timestamp, whence: Whence<'a> },
    /// The actor stored a value, as that revision.
    Stored(Of, Storing),
    /// An older revision became current again, as that one.
    RolledBack { of: Of, from: u64 },
    /// Metadata changed; the revision is the current one.
    Updated(Of),
    /// The integration was deleted.
    Deleted { of: Of, name: Option<String> },
    /// The actor made another one; `None` where the record has only a hash of its name.
    Made(Option<String>),
    /// The actor took a copy of the vault.
    BackedUp,
    /// The records before `end` left the file; `newest` is the newest of their times, if the record states it.
    Archived { end: u64, newest: Option<Timestamp> },
}

/// The origin and the project of a disclosure.
pub(super) struct Whence<'a> {
    pub(super) peer: Option<Peer>,
    pub(super) project: Option<Cow<'a, str>>,
}

impl<'a> Fact<'a> {
    /// Reads a record of the log.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self, BadRecord> {
        let told = Told::of(bytes)?;
        let time = parse(told.time)?;
        let did = if told.outcome == Outcome::Allowed.as_str() { did(&told)? } else { None };
        Ok(Self { time, actor: told.actor, did })
    }
}

fn did<'a>(told: &Told<'a>) -> Result<Option<Did<'a>>, BadRecord> {
    // A newer version may have recorded what this one does not know.
    let Ok(action) = told.action.parse() else { return Ok(None) };
    Ok(Some(match action {
        Action::CredentialsRead | Action::CredentialsMint => return received(told, action),
        Action::IntegrationCreate => Did::Stored(of(told)?, Storing::Create),
        Action::IntegrationRotate => Did::Stored(of(told)?, Storing::Rotate),
        Action::IntegrationRollback => {
            Did::RolledBack { of: of(told)?, from: detail(told)?.from_revision.ok_or(BadRecord)? }
        }
        Action::IntegrationUpdate => Did::Updated(of(told)?),
        Action::IntegrationDelete => Did::Deleted { of: of(told)?, name: text(detail(told)?.name) },
        Action::TokenCreate => Did::Made(text(detail(told)?.id).map(|id| format!("app:{id}"))),
        Action::UserCreate => Did::Made(text(detail(told)?.email).map(|email| format!("user:{email}"))),
        Action::BackupCreate => Did::BackedUp,
        Action::AuditArchive => {
            let Detail { last_sequence, newest_time, .. } = detail(told)?;
            let end = last_sequence.ok_or(BadRecord)?.saturating_add(1);
            Did::Archived { end, newest: newest_time.as_deref().map(parse).transpose()? }
        }
        _ => return Ok(None),
    }))
}

/// Reads a disclosure. A minted token is another value than the credential of its App. Records of older versions lack
/// the hash: their mintings ended within an hour, and a token from their cache counts as the App's credential.
fn received<'a>(told: &Told<'a>, action: Action) -> Result<Option<Did<'a>>, BadRecord> {
    // A read without an integration disclosed nothing.
    if told.integration_id.is_none() {
        return Ok(None);
    }
    let of = of(told)?;
    let peer = told.peer.map(parse).transpose()?;
    let whence = Whence { peer, project: told.project.clone() };
    let Detail { hashed_token, expires_at, .. } = detail(told)?;
    Ok(match (hashed_token, expires_at) {
        (Some(hash), Some(ends)) => Some(Did::ReceivedMinted { of, hash, ends: parse(&ends)?, whence }),
        _ if action == Action::CredentialsMint => None,
        _ => Some(Did::Received(of, whence)),
    })
}

fn of(told: &Told<'_>) -> Result<Of, BadRecord> {
    Ok(Of {
        integration: parse(told.integration_id.ok_or(BadRecord)?)?,
        revision: told.revision.ok_or(BadRecord)?,
        provider: parse(told.provider.ok_or(BadRecord)?)?,
    })
}

fn detail(told: &Told<'_>) -> Result<Detail, BadRecord> {
    match told.detail {
        "{}" => Ok(Detail::default()),
        detail => serde_json::from_str(detail).map_err(|_| BadRecord),
    }
}

fn text(value: Option<Value>) -> Option<String> {
    match value {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, BadRecord> {
    text.parse().map_err(|_| BadRecord)
}

/// Returns an actor's name, as similar names are compared: an address before its `@`.
pub(super) fn own_name(actor: &str) -> &str {
    let name = actor.split_once(':').map_or(actor, |(_, name)| name);
    match actor.parse() {
        Ok(Actor::User(_)) => name.split('@').next().unwrap_or(name),
        Ok(Actor::App(_) | Actor::Host(_)) | Err(_) => name,
    }
}
