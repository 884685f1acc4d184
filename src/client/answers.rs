//! What a server answers, read.
//!
//! Ids and times are the domain's own types. What is a closed set today (providers, roles, actions) stays text, so that
//! an older client reads the answers of a newer server.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::text;
use crate::domain::{IntegrationId, Secret, Timestamp, TokenId, UserId};

/// A stored integration's metadata; never its credential.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Integration {
    /// Its name in every other call.
    #[serde(with = "text")]
    pub id: IntegrationId,
    /// The service.
    pub provider: String,
    /// How the credential authenticates.
    pub auth_type: String,
    /// A name for the token.
    pub name: Option<String>,
    /// Whether every project may use it.
    pub is_global: bool,
    /// The projects that may.
    pub projects: Vec<String>,
    /// Provider options.
    pub config: serde_json::Value,
    /// When the credential ends at the provider.
    #[serde(with = "text::optional")]
    pub expires_at: Option<Timestamp>,
    /// Counts the credential's changes.
    pub revision: u64,
    /// When it was stored.
    #[serde(with = "text")]
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it last changed.
    #[serde(with = "text")]
    pub updated_at: Timestamp,
    /// When its credential was last disclosed.
    #[serde(with = "text::optional")]
    pub last_accessed_at: Option<Timestamp>,
    /// To whom.
    pub last_accessed_by: Option<String>,
    /// The others of the same provider and reach, in the answer to a create.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadows: Vec<String>,
}

/// A project, with the integrations that are scoped to it where the caller may see them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    /// Its name in every other call.
    pub identifier: String,
    /// URL of its repository, if it has one.
    pub remote_url: Option<String>,
    /// Where it is hosted.
    pub platform: String,
    /// When it was registered.
    #[serde(with = "text")]
    pub created_at: Timestamp,
    /// When it last changed.
    #[serde(with = "text")]
    pub updated_at: Timestamp,
    /// Counts its changes.
    pub version: u64,
    /// What its owner keeps with it.
    pub configuration: serde_json::Value,
    /// What is scoped to it.
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
    /// How the credential authenticates.
    #[serde(rename = "authType")]
    pub auth_type: String,
    /// When it was stored.
    #[serde(with = "text")]
    pub created_at: Timestamp,
}

/// An application token; `token` is there in the answer to a create alone.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// Its name in every other call.
    #[serde(with = "text")]
    pub id: TokenId,
    /// A name for the token.
    pub name: String,
    /// Role of the token.
    pub role: String,
    /// The token itself, shown once.
    #[serde(default, skip_serializing)]
    pub token: Option<SecretText>,
    /// The only projects it may name.
    #[serde(default)]
    pub projects: Option<Vec<String>>,
    /// The only providers it may read.
    #[serde(default)]
    pub providers: Option<Vec<String>>,
    /// Who made it.
    #[serde(default)]
    pub created_by: Option<String>,
    /// When.
    #[serde(with = "text")]
    pub created_at: Timestamp,
    /// When it ends.
    #[serde(with = "text")]
    pub expires_at: Timestamp,
    /// When it was last used for something audited.
    #[serde(default, with = "text::optional")]
    pub last_used_at: Option<Timestamp>,
    /// Whether it still lets its holder in.
    #[serde(default)]
    pub status: Option<String>,
}

/// A user; `initial_password` is there in the answer to a create alone.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Names the user for good.
    #[serde(with = "text")]
    pub id: UserId,
    /// Its name in every other call.
    pub email: String,
    /// The first name.
    pub first_name: Option<String>,
    /// The last name.
    pub last_name: Option<String>,
    /// Role of the user.
    pub role: String,
    /// The only projects it may name.
    pub projects: Option<Vec<String>>,
    /// Whether it is kept out.
    pub disabled: bool,
    /// When it was made.
    #[serde(with = "text")]
    pub created_at: Timestamp,
    /// When it last logged in.
    #[serde(with = "text::optional")]
    pub last_login_at: Option<Timestamp>,
    /// The password that was generated, shown once.
    #[serde(default, skip_serializing)]
    pub initial_password: Option<SecretText>,
}

/// The answer to a login or refresh.
#[derive(Deserialize)]
pub struct Pair {
    /// The access token.
    pub access_token: SecretText,
    /// What gets the next pair.
    pub refresh_token: SecretText,
    /// Seconds until the access token ends.
    pub expires_in: u64,
    /// Whose they are.
    pub user: WhoLoggedIn,
}

/// Who logged in.
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
    /// Whether the vault is locked.
    pub locked: bool,
    /// Whether events can be recorded: `writable`, `unavailable` or `locked`.
    pub audit: String,
    /// Since the start.
    pub uptime_seconds: u64,
}

/// One audit event, as far as a table shows it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its place in the log.
    pub sequence: u64,
    /// When.
    #[serde(with = "text")]
    pub time: Timestamp,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// How it ended.
    pub outcome: String,
    /// Which integration.
    #[serde(default)]
    pub integration_id: Option<String>,
    /// Which service.
    pub provider: Option<String>,
    /// Only events about this project.
    pub project: Option<String>,
    /// From where.
    pub peer: Option<String>,
    /// What else is worth knowing of it.
    #[serde(default)]
    pub detail: serde_json::Value,
}

/// A text that is wiped, and shown by nothing but [`SecretText::expose`].
pub struct SecretText(Secret);

impl SecretText {
    /// Opens it.
    pub fn expose(&self) -> &str {
        std::str::from_utf8(self.0.expose()).expect("it was made of a String")
    }

    /// Takes it out.
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
    /// Opens it.
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
    /// Whose it is.
    #[serde(with = "text")]
    pub integration_id: IntegrationId,
    /// The service.
    pub provider: String,
    /// How it authenticates.
    pub auth_type: String,
    /// The credential.
    pub credentials: SecretJson,
    /// When it ends at the provider.
    #[serde(default, with = "text::optional")]
    pub expires_at: Option<Timestamp>,
    /// The label of a `custom` one, by which it is told from others.
    #[serde(default)]
    pub name: Option<String>,
}

/// What a read disclosed.
pub struct Credentials {
    /// The array as the server sent it.
    pub body: Secret,
    /// `audit-receipt`: what the log can be held against later.
    pub receipt: Option<String>,
    /// Where the next page begins, while more remain.
    pub next: Option<String>,
    pub(super) server: String,
}

impl Credentials {
    /// The credentials one by one, newest first.
    ///
    /// # Errors
    /// The answer is none of this API.
    pub fn items(&self) -> Result<Vec<Credential>, super::Error> {
        serde_json::from_slice(self.body.expose())
            .map_err(|_| super::Error::Foreign { server: self.server.clone(), status: 200 })
    }
}
