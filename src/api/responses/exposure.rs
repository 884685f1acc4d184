//! `GET /audit/exposure`: what an actor knows that nobody has rotated since; never a value.
//!
//! The server writes it and the client reads it, so that a checklist is the server's own answer.

use serde::{Deserialize, Serialize};

use crate::{
    api::text,
    domain::{IntegrationId, Timestamp},
};

/// The answer. Lists are in the order of their newest record, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exposure {
    /// The actor asked about; `null` where the question names none.
    pub actor: Option<String>,
    /// False if neither a record nor a row names the actor.
    pub known: bool,
    /// For an actor that is not known, the known one with the most similar name.
    pub nearest: Option<String>,
    /// The number of records that the answer covers.
    pub size: u64,
    /// Values that an integration still has: rotate them.
    pub live: Vec<ExposedValue>,
    /// Values of deleted integrations, current when they were deleted: the provider may still honour them.
    pub deleted: Vec<ExposedValue>,
    /// Tokens that a GitHub App minted and that have not ended.
    pub minted: Vec<MintedToken>,
    /// Tokens and users that the actor made; without an actor, those that anybody made in the range.
    pub made: Vec<Made>,
    /// Copies of the vault that the actor took, which open only with a secret of a key slot; without an actor, those that
    /// anybody took in the range.
    pub backups: Option<Backups>,
    /// The number of entries that each list leaves out; they appear as the list is worked off.
    pub left: Left,
}

/// The number of entries that each list leaves out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Of `live`.
    pub live: u64,
    /// Of `deleted`.
    pub deleted: u64,
    /// Of `minted`.
    pub minted: u64,
    /// Of `made`, with those of which a record has only a hash.
    pub made: u64,
}

/// One value that one actor knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExposedValue {
    /// The actor that knows it.
    pub actor: String,
    /// The integration.
    #[serde(with = "text")]
    pub integration_id: IntegrationId,
    /// The service.
    pub provider: String,
    /// The integration's label.
    pub name: Option<String>,
    /// The current revision, which has that value; the last one of a deleted integration.
    pub revision: u64,
    /// The time at which the value ends at the provider.
    #[serde(with = "text::optional")]
    pub expires_at: Option<Timestamp>,
    /// The time of the integration's deletion.
    #[serde(with = "text::optional")]
    pub deleted_at: Option<Timestamp>,
    /// The disclosures to the actor; `null` if there is none.
    pub received: Option<Received>,
    /// The record with which the actor stored it; `null` if another did.
    pub stored: Option<Stored>,
}

/// The disclosures of one value to one actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Received {
    /// The number of disclosures.
    pub count: u64,
    /// The sequence of the first one.
    pub first_sequence: u64,
    /// Its time.
    #[serde(with = "text")]
    pub first: Timestamp,
    /// The sequence of the last one.
    pub last_sequence: u64,
    /// Its time.
    #[serde(with = "text")]
    pub last: Timestamp,
    /// The addresses that it went to, in the order of their first disclosure, 16 at most.
    pub peers: Vec<String>,
    /// True if it went to further addresses.
    pub more_peers: bool,
    /// The projects that were asked for, in the order of their first disclosure, 16 at most.
    pub projects: Vec<String>,
    /// True if further projects were asked for.
    pub more_projects: bool,
}

/// The record with which an actor stored a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Its sequence.
    pub sequence: u64,
    /// Its time.
    #[serde(with = "text")]
    pub time: Timestamp,
    /// Its action.
    pub action: Storing,
}

/// The action that stores a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Storing {
    /// A new integration.
    #[serde(rename = "integration.create")]
    Create,
    /// A rotation.
    #[serde(rename = "integration.rotate")]
    Rotate,
}

/// A minted token that one actor received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MintedToken {
    /// The actor that received it.
    pub actor: String,
    /// The integration of the App.
    #[serde(with = "text")]
    pub integration_id: IntegrationId,
    /// The base64 of the token's SHA-256, as GitHub's audit log has it in `hashed_token`.
    pub hashed_token: String,
    /// The time at which it ends.
    #[serde(with = "text")]
    pub expires_at: Timestamp,
    /// Its disclosures to the actor.
    pub received: Received,
}

/// A token or user that the actor made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The new actor: `app:<token id>` or `user:<email>`.
    pub actor: String,
    /// Its maker.
    pub by: String,
    /// The sequence of the record.
    pub sequence: u64,
    /// Its time.
    #[serde(with = "text")]
    pub time: Timestamp,
    /// The token's name.
    pub name: Option<String>,
    /// The role; `null` for a removed user.
    pub role: Option<String>,
    /// `active`, `expired` or `revoked`; of a user `active`, `disabled` or `removed`.
    pub status: Option<String>,
}

/// Copies of the whole vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backups {
    /// Their number.
    pub count: u64,
    /// The sequence of the last record.
    pub sequence: u64,
    /// Its time.
    #[serde(with = "text")]
    pub last: Timestamp,
}

impl ExposedValue {
    /// Returns the sequence of its newest record.
    pub fn newest(&self) -> u64 {
        let received = self.received.as_ref().map_or(0, |received| received.last_sequence);
        received.max(self.stored.map_or(0, |stored| stored.sequence))
    }
}
