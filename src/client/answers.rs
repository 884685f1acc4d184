//! The server's answers, parsed.
//!
//! Ids and times are the domain's own types. Closed sets of today (providers, roles, actions) stay text, so that an
//! older client can read the answers of a newer server.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::{
    api::text,
    domain::{IntegrationId, Secret, Timestamp, TokenId, UserId},
};

/// A stored integration's metadata; never its credential.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Integration {
    /// The id, which names it in every other call.
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
    /// Provider options.
    pub config: serde_json::Value,
    /// The expiry of the credential at the provider.
    #[serde(with = "text::optional")]
    pub expires_at: Option<Timestamp>,
    /// The number of the credential's current revision.
    pub revision: u64,
    /// The time of its creation.
    #[serde(with = "text")]
    pub created_at: Timestamp,
    /// The actor that stored it.
    pub created_by: String,
    /// The time of the last change.
    #[serde(with = "text")]
    pub updated_at: Timestamp,
    /// The time of the credential's last disclosure.
    #[serde(with = "text::optional")]
    pub last_accessed_at: Option<Timestamp>,
    /// The actor that it was last disclosed to.
    pub last_accessed_by: Option<String>,
    /// `true` if each read raises an alarm; only owners see it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub canary: bool,
    /// The others of the same provider and scope, in the answer to a create.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadows: Vec<String>,
}

/// A project, with the integrations scoped to it if the caller may see them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    /// The identifier, which names it in every other call.
    pub identifier: String,
    /// URL of its repository, if it has one.
    pub remote_url: Option<String>,
    /// The hosting platform.
    pub platform: String,
    /// The time of its registration.
    #[serde(with = "text")]
    pub created_at: Timestamp,
    /// The time of the last change.
    #[serde(with = "text")]
    pub updated_at: Timestamp,
    /// The number of its current version.
    pub version: u64,
    /// Configuration that its owner stores with it.
    pub configuration: serde_json::Value,
    /// The integrations scoped to it.
    pub integrations: Vec<Scoped>,
}

/// An integration, as a project lists it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Scoped {
    /// Its id.
    #[serde(with = "text")]
    pub id: IntegrationId,
    /// The service.
    pub provider: String,
    /// The authentication type of the credential.
    #[serde(rename = "authType")]
    pub auth_type: String,
    /// The time of its creation.
    #[serde(with = "text")]
    pub created_at: Timestamp,
}

/// An application token; only the answer to a create has `token`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// The id, which names it in every other call.
    #[serde(with = "text")]
    pub id: TokenId,
    /// A name for the token.
    pub name: String,
    /// Role of the token.
    pub role: String,
    /// The token itself, shown once.
    #[serde(default, skip_serializing)]
    pub token: Option<SecretText>,
    /// The only projects that it may name.
    #[serde(default)]
    pub projects: Option<Vec<String>>,
    /// The only providers that it may read.
    #[serde(default)]
    pub providers: Option<Vec<String>>,
    /// The only integrations whose credentials it may read.
    #[serde(default)]
    pub integrations: Option<Vec<String>>,
    /// The actor that created it.
    #[serde(default)]
    pub created_by: Option<String>,
    /// The time of its creation.
    #[serde(with = "text")]
    pub created_at: Timestamp,
    /// The expiry.
    #[serde(with = "text")]
    pub expires_at: Timestamp,
    /// The time of its last audited use.
    #[serde(default, with = "text::optional")]
    pub last_used_at: Option<Timestamp>,
    /// The status, which says whether the token still grants access.
    #[serde(default)]
    pub status: Option<String>,
    /// The token that this one succeeds.
    #[serde(default, with = "text::optional", skip_serializing_if = "Option::is_none")]
    pub rolls: Option<TokenId>,
    /// The token that succeeds this one.
    #[serde(default, with = "text::optional", skip_serializing_if = "Option::is_none")]
    pub rolled_to: Option<TokenId>,
    /// The time of the first audited use of a token that succeeds another.
    #[serde(default, with = "text::optional", skip_serializing_if = "Option::is_none")]
    pub first_used_at: Option<Timestamp>,
}

/// A user; only the answer to a create has `initial_password`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The id, which never changes.
    #[serde(with = "text")]
    pub id: UserId,
    /// The address, which names the user in every other call.
    pub email: String,
    /// The first name.
    pub first_name: Option<String>,
    /// The last name.
    pub last_name: Option<String>,
    /// Role of the user.
    pub role: String,
    /// The only projects that the user may name.
    pub projects: Option<Vec<String>>,
    /// `true` if the user may not log in.
    pub disabled: bool,
    /// The time of its creation.
    #[serde(with = "text")]
    pub created_at: Timestamp,
    /// The time of the last login.
    #[serde(with = "text::optional")]
    pub last_login_at: Option<Timestamp>,
    /// `true` if the user has a second factor.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub otp: bool,
    /// The generated password, shown once.
    #[serde(default, skip_serializing)]
    pub initial_password: Option<SecretText>,
}

/// The answer to a change of a user.
#[derive(Deserialize)]
pub(super) struct Changed {
    pub(super) user: User,
}

/// The answer to a login or refresh.
#[derive(Deserialize)]
pub struct Pair {
    /// The access token.
    pub access_token: SecretText,
    /// The token that obtains the next pair.
    pub refresh_token: SecretText,
    /// Seconds until the access token expires.
    pub expires_in: u64,
    /// The user of both tokens.
    pub user: WhoLoggedIn,
}

/// The user that logged in.
#[derive(Debug, Clone, Deserialize)]
pub struct WhoLoggedIn {
    /// The address.
    pub email: String,
    /// Role of the user.
    pub role: String,
}

/// The health object.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// `healthy` or `unhealthy`.
    pub status: String,
    /// The server's version.
    pub version: String,
    /// `true` if the vault is locked.
    pub locked: bool,
    /// The state of the audit log: `writable`, `unavailable` or `locked`.
    pub audit: String,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// The reasons for a state that is not healthy, and what else needs attention.
    #[serde(default)]
    pub detail: Vec<String>,
}

/// One audit event, as far as a table shows it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// The record's sequence number in the log.
    pub sequence: u64,
    /// The time.
    #[serde(with = "text")]
    pub time: Timestamp,
    /// The actor.
    pub actor: String,
    /// The action.
    pub action: String,
    /// The outcome.
    pub outcome: String,
    /// The integration that the event is about.
    #[serde(default)]
    pub integration_id: Option<String>,
    /// Its revision.
    #[serde(default)]
    pub revision: Option<u64>,
    /// The service.
    pub provider: Option<String>,
    /// The project that the event is about.
    pub project: Option<String>,
    /// The request that it belongs to.
    #[serde(default)]
    pub request_id: Option<String>,
    /// The peer's address.
    pub peer: Option<String>,
    /// Further details.
    #[serde(default)]
    pub detail: serde_json::Value,
}

/// A text that is wiped on drop, and readable only through [`SecretText::expose`].
pub struct SecretText(Secret);

impl SecretText {
    /// Returns the text.
    pub fn expose(&self) -> &str {
        std::str::from_utf8(self.0.expose()).expect("it was made of a String")
    }

    /// Returns the secret itself.
    pub fn into_secret(self) -> Secret {
        self.0
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::from(text)))
    }
}

/// A credential's JSON, byte for byte as it was stored; wiped on drop.
pub struct SecretJson(Secret);

impl SecretJson {
    /// Returns the bytes.
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

impl<'de> Deserialize<'de> for SecretJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw: Box<str> = Box::<RawValue>::deserialize(deserializer)?.into();
        Ok(Self(Secret::from(String::from(raw))))
    }
}

/// One disclosed credential.
#[derive(Deserialize)]
pub struct Credential {
    /// The integration that it belongs to.
    #[serde(with = "text")]
    pub integration_id: IntegrationId,
    /// The service.
    pub provider: String,
    /// The authentication type.
    pub auth_type: String,
    /// The credential.
    pub credentials: SecretJson,
    /// The expiry at the provider.
    #[serde(default, with = "text::optional")]
    pub expires_at: Option<Timestamp>,
    /// The label of a `custom` one, which distinguishes it from others.
    #[serde(default)]
    pub name: Option<String>,
    /// Provider options, if any are set.
    #[serde(default)]
    pub config: Option<serde_json::Value>,
}

/// A token for one repository.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryToken {
    /// The token.
    pub token: SecretText,
    /// The time at which it ends at the provider, if that is known.
    #[serde(with = "text::optional")]
    pub expires_at: Option<Timestamp>,
    /// `pat`, or `installation` for a token that a GitHub App minted for the repository alone.
    pub r#type: String,
    /// The service.
    pub provider: String,
    /// The project that it is for.
    pub scope: String,
    /// `audit-receipt`: evidence to check against the log later.
    #[serde(skip)]
    pub receipt: Option<String>,
}

/// The result of a disclosing read.
pub struct Credentials {
    /// The array as the server sent it.
    pub body: Secret,
    /// `audit-receipt`: evidence to check against the log later.
    pub receipt: Option<String>,
    /// The cursor of the next page, while more remain.
    pub next: Option<String>,
    pub(super) server: String,
}

impl Credentials {
    /// Returns the credentials one by one, newest first.
    ///
    /// # Errors
    /// The answer does not follow this API.
    pub fn items(&self) -> Result<Vec<Credential>, super::Error> {
        serde_json::from_slice(self.body.expose())
            .map_err(|_| super::Error::Foreign { server: self.server.clone(), status: 200 })
    }
}
