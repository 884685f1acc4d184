//! The client's requests, encoded.

#![allow(clippy::ref_option_ref, reason = "a reference to the field is what serde's attributes take")]

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    api::{responses::to_secret_json, text},
    domain::{IntegrationId, Secret, Timestamp},
};

/// The scope of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every project that has no integration of its own.
    Global,
    /// These projects.
    Projects(Vec<String>),
}

impl Scope {
    /// Returns the projects that it names; none if it is global.
    pub fn projects(&self) -> &[String] {
        match self {
            Self::Global => &[],
            Self::Projects(projects) => projects,
        }
    }

    fn fields(&self) -> (Option<bool>, Option<&[String]>) {
        match self {
            Self::Global => (Some(true), None),
            Self::Projects(projects) => (None, Some(projects)),
        }
    }
}

/// The treatment of an expiry in the past: stored, or refused as a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expired {
    /// A mistyped year is refused.
    Refused,
    /// An import stores what has ended; owners alone.
    Allowed,
}

impl Expired {
    const fn field(self) -> Option<bool> {
        match self {
            Self::Refused => None,
            Self::Allowed => Some(true),
        }
    }
}

/// A new integration.
pub struct NewIntegration {
    /// The service.
    pub provider: String,
    /// The authentication type of the credential.
    pub auth_type: String,
    /// The credential, a JSON object; it is sent and stored byte for byte.
    pub credentials: Secret,
    /// The scope.
    pub scope: Scope,
    /// The label.
    pub name: Option<String>,
    /// The expiry of the credential at the provider.
    pub expires_at: Option<Timestamp>,
    /// True if that expiry may be in the past.
    pub expired: Expired,
    /// Provider options, sent byte for byte.
    pub config: Option<Box<RawValue>>,
    /// `true` if each read is to raise an alarm; owners alone.
    pub is_canary: bool,
}

/// A change of an integration; what is absent stays, an inner `None` clears.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IntegrationChange {
    /// The label.
    pub name: Option<Option<String>>,
    /// The expiry of the credential at the provider.
    pub expires_at: Option<Option<Timestamp>>,
    /// Provider options, all of them.
    pub config: Option<Option<serde_json::Value>>,
}

impl IntegrationChange {
    pub(super) fn body(&self) -> Secret {
        let mut body = serde_json::Map::new();
        let mut set = |name: &str, value: Option<serde_json::Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        set("name", self.name.as_ref().map(|name| serde_json::json!(name)));
        set("expiresAt", self.expires_at.map(|end| serde_json::json!(end.map(|end| end.to_string()))));
        set("config", self.config.as_ref().map(|config| serde_json::json!(config)));
        to_secret_json(&body)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IntegrationBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_global: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    projects: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", with = "text::optional")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_expired: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    canary: Option<bool>,
}

impl IntegrationBody<'_> {
    const EMPTY: Self = Self {
        provider: None,
        auth_type: None,
        credentials: None,
        is_global: None,
        projects: None,
        name: None,
        expires_at: None,
        allow_expired: None,
        config: None,
        canary: None,
    };
}

impl NewIntegration {
    pub(super) fn body(&self) -> Result<Secret, NotJson> {
        let (is_global, projects) = self.scope.fields();
        Ok(to_secret_json(&IntegrationBody {
            provider: Some(&self.provider),
            auth_type: Some(&self.auth_type),
            credentials: Some(raw(&self.credentials)?),
            is_global,
            projects,
            name: self.name.as_deref(),
            expires_at: self.expires_at,
            allow_expired: self.expired.field(),
            config: self.config.as_deref(),
            canary: self.is_canary.then_some(true),
        }))
    }
}

/// The error of a caller's credentials that are not JSON.
#[derive(Debug)]
pub(super) struct NotJson;

fn raw(json: &Secret) -> Result<&RawValue, NotJson> {
    serde_json::from_slice(json.expose()).map_err(|_| NotJson)
}

pub(super) fn rotation(
    credentials: &Secret,
    expires_at: Option<Timestamp>,
    expired: Expired,
) -> Result<Secret, NotJson> {
    let (credentials, allow_expired) = (Some(raw(credentials)?), expired.field());
    let body = IntegrationBody { credentials, expires_at, allow_expired, ..IntegrationBody::EMPTY };
    Ok(to_secret_json(&body))
}

pub(super) fn new_config(config: Option<&RawValue>) -> Secret {
    #[derive(Serialize)]
    struct Body<'a> {
        config: Option<&'a RawValue>,
    }
    to_secret_json(&Body { config })
}

pub(super) fn new_scope(scope: &Scope) -> Secret {
    let (is_global, projects) = scope.fields();
    to_secret_json(&IntegrationBody { is_global, projects, ..IntegrationBody::EMPTY })
}

/// A filter of the credentials to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CredentialFilter {
    /// Only of this service.
    pub provider: Option<String>,
    /// For this project: its own, else the global ones.
    pub project: Option<String>,
    /// Only with this label.
    pub name: Option<String>,
}

/// A listing that is read as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// The projects.
    Projects,
    /// The users, without their passwords.
    Users,
    /// The application tokens, described and without themselves.
    Tokens,
}

/// The request to register a project.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewProject {
    /// The identifier, which names it in every other call.
    pub identifier: String,
    /// URL of its repository, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_url: Option<String>,
    /// The hosting platform; derived from the URL if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Configuration to store with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Box<RawValue>>,
}

/// The request to create a token.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewToken {
    /// A name for the token.
    pub name: String,
    /// Days until its expiry.
    pub expires_in: u64,
    /// Role of the token.
    pub role: String,
    /// The only projects that it may name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub projects: Vec<String>,
    /// The only providers that it may read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    /// The only integrations whose credentials it may read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub integrations: Vec<String>,
}

/// The request to create a user.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewUser {
    /// The address.
    pub email: String,
    /// Role of the user.
    pub role: String,
    /// The first name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// The last name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// The password; the server generates one if absent.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub password: Option<Secret>,
    /// The only projects that the user may name; `Some(None)` means all, and absent the server's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projects: Option<Option<Vec<String>>>,
}

/// A change of a user; absent fields stay as they are.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserChange {
    /// Role of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// `true` disables the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// The only projects that the user may name; `Some(None)` lifts the restriction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projects: Option<Option<Vec<String>>>,
    /// A new password.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub password: Option<Secret>,
    /// The current password, if it is the caller's own.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub current_password: Option<Secret>,
}

#[allow(clippy::ref_option, reason = "serde's signature")]
fn exposed<S: serde::Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => expose_as_text(&secret, serializer),
        None => serializer.serialize_none(),
    }
}

/// The body of `POST /auth/login`.
#[derive(Serialize)]
pub(super) struct LoginBody<'a> {
    pub(super) email: &'a str,
    #[serde(serialize_with = "expose_as_text")]
    pub(super) password: &'a Secret,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed_reference")]
    pub(super) otp: Option<&'a Secret>,
}

/// The body of the calls that change one's own second factor.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OwnOtpBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed_reference")]
    pub(super) current_password: Option<&'a Secret>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed_reference")]
    pub(super) otp: Option<&'a Secret>,
}

#[allow(clippy::ref_option, clippy::ref_option_ref, reason = "serde's signature")]
fn exposed_reference<S: serde::Serializer>(
    secret: &Option<&Secret>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => expose_as_text(secret, serializer),
        None => serializer.serialize_none(),
    }
}

/// The body of `POST /auth/refresh`.
#[derive(Serialize)]
pub(super) struct RefreshBody<'a> {
    #[serde(serialize_with = "expose_as_text")]
    pub(super) refresh_token: &'a Secret,
}

fn expose_as_text<S: serde::Serializer>(secret: &&Secret, serializer: S) -> Result<S::Ok, S::Error> {
    let text = secret.expose_text().ok_or_else(|| serde::ser::Error::custom("a secret is not UTF-8"))?;
    serializer.serialize_str(text)
}

/// A question about an exposure; the texts are the server's own parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExposureQuestion {
    /// The actor, as `user:<email>`, `app:<token id>` or `host:<os user>`.
    pub actor: Option<String>,
    /// The integration.
    pub integration: Option<IntegrationId>,
    /// Only values received or stored at or after this time.
    pub since: Option<Timestamp>,
    /// Only values received or stored before this time.
    pub until: Option<Timestamp>,
    /// Adds the values of the tokens and users that the actor made, and of those that they made.
    pub transitive: bool,
}

/// A filter of the events to read; the texts follow the contract's §9.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Name and value of each parameter.
    pub parameters: Vec<(&'static str, String)>,
}
