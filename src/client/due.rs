//! Rotations and retirements: the work-list, a token's roll, and a user's leave.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Client, Error, SecretText, User,
    routes::{get, path_of},
};
use crate::{
    api::text,
    domain::{IntegrationId, Timestamp, TokenId},
};

/// The limits of a work-list; the server's defaults where none is given.
#[derive(Debug, Clone, Copy, Default)]
pub struct DueFilter {
    /// The days within which a credential ends.
    pub within_days: Option<u64>,
    /// The days since a credential's last rotation.
    pub older_than_days: Option<u64>,
    /// The most entries of each kind.
    pub limit: Option<u64>,
}

/// The work that is due, each list with the most urgent first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Due {
    /// The moment of the list.
    #[serde(with = "text")]
    pub time: Timestamp,
    /// The days within which a credential ends.
    pub within_days: u64,
    /// The days since a credential's last rotation.
    pub older_than_days: u64,
    /// The days within which a token ends.
    pub tokens_within_days: u64,
    /// The days since a token's last use.
    pub unused_days: u64,
    /// The numbers of everything, however long the lists are.
    pub counts: DueCounts,
    /// Credentials that end soon.
    pub ending: Vec<DueCredential>,
    /// Credentials that were read after their end.
    pub ended_read: Vec<DueCredential>,
    /// Credentials that nobody rotated for long.
    pub not_rotated: Vec<DueCredential>,
    /// Active tokens that end soon.
    pub tokens_ending: Vec<DueToken>,
    /// Active tokens that nobody used for long.
    pub tokens_unused: Vec<DueToken>,
}

/// The numbers of what is due.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DueCounts {
    /// Credentials that end soon.
    pub ending: u64,
    /// Credentials that were read after their end.
    pub ended_read: u64,
    /// Credentials that nobody rotated for long.
    pub not_rotated: u64,
    /// Active tokens that end soon.
    pub tokens_ending: u64,
    /// Active tokens that nobody used for long.
    pub tokens_unused: u64,
}

impl DueCounts {
    /// Returns the number of everything.
    pub const fn all(&self) -> u64 {
        self.ending + self.ended_read + self.not_rotated + self.tokens_ending + self.tokens_unused
    }
}

/// A credential that is due.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DueCredential {
    /// The integration's id.
    #[serde(with = "text")]
    pub id: IntegrationId,
    /// The service.
    pub provider: String,
    /// The authentication type of the credential.
    pub auth_type: String,
    /// The label.
    pub name: Option<String>,
    /// `true` if every project may use it.
    pub is_global: bool,
    /// The projects that may use it.
    pub projects: Vec<String>,
    /// The expiry of the credential at the provider.
    #[serde(with = "text::optional")]
    pub expires_at: Option<Timestamp>,
    /// The time since when the value has been the same.
    #[serde(with = "text")]
    pub rotated_at: Timestamp,
    /// The time of the credential's last disclosure.
    #[serde(with = "text::optional")]
    pub last_accessed_at: Option<Timestamp>,
    /// The actor that it was last disclosed to.
    pub last_accessed_by: Option<String>,
}

/// A token that is due.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DueToken {
    /// The token's id.
    #[serde(with = "text")]
    pub id: TokenId,
    /// The token's name.
    pub name: String,
    /// Role of the token.
    pub role: String,
    /// The actor that created it.
    pub created_by: String,
    /// The time of its creation.
    #[serde(with = "text")]
    pub created_at: Timestamp,
    /// The expiry.
    #[serde(with = "text")]
    pub expires_at: Timestamp,
    /// The time of its last audited use.
    #[serde(with = "text::optional")]
    pub last_used_at: Option<Timestamp>,
    /// The address of its last audited use; unknown once that record was archived.
    pub last_used_from: Option<String>,
    /// The token that succeeds it.
    #[serde(with = "text::optional")]
    pub rolled_to: Option<TokenId>,
}

/// A successor of a token.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rolled {
    /// The id of the successor.
    #[serde(with = "text")]
    pub id: TokenId,
    /// The name of both.
    pub name: String,
    /// Role of both.
    pub role: String,
    /// The successor itself, shown once.
    pub token: SecretText,
    /// The time of its creation.
    #[serde(with = "text")]
    pub created_at: Timestamp,
    /// The expiry of the successor.
    #[serde(with = "text")]
    pub expires_at: Timestamp,
    /// The token before.
    pub rolls: Predecessor,
}

/// A token that was rolled.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Predecessor {
    /// Its id.
    #[serde(with = "text")]
    pub id: TokenId,
    /// Its new expiry.
    #[serde(with = "text")]
    pub expires_at: Timestamp,
}

/// A token, by id and name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NamedToken {
    /// Its id.
    #[serde(with = "text")]
    pub id: TokenId,
    /// Its name.
    pub name: String,
}

/// A user who left.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Left {
    /// The user, disabled.
    pub user: User,
    /// The tokens that were revoked.
    pub revoked_tokens: Vec<NamedToken>,
    /// The tokens that the user created and that stay.
    pub kept_tokens: Vec<NamedToken>,
}

impl Client {
    /// Returns what is due for rotation.
    pub async fn due(&self, filter: &DueFilter) -> Result<Due, Error> {
        let text = |number: Option<u64>| number.map(|number| number.to_string());
        let [within, older_than, limit] =
            [filter.within_days, filter.older_than_days, filter.limit].map(text);
        let parameters = [
            ("within", within.as_deref()),
            ("olderThan", older_than.as_deref()),
            ("limit", limit.as_deref()),
        ];
        self.json(get("/sfp/api/due", &parameters)).await
    }

    /// Creates a token's successor, and ends the token after the overlap; only this answer shows the successor.
    pub async fn roll_token(&self, id: TokenId, overlap: Duration) -> Result<Rolled, Error> {
        let path = format!("/sfp/api/application-tokens/{id}/roll");
        self.post(&path, &json!({ "overlapSeconds": overlap.as_secs() })).await
    }

    /// Disables a user, ends the sessions, and revokes the tokens that the user created, unless they are kept.
    pub async fn leave_user(&self, email: &str, keep_tokens: bool) -> Result<Left, Error> {
        let path = format!("{}/leave", path_of("users", email));
        self.post(&path, &json!({ "keepTokens": keep_tokens })).await
    }
}
