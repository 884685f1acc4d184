//! A GitHub App as it is stored: its id, its key, and the options that `config` may have.

use std::collections::BTreeMap;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::{claims, hosts::ApiBase};
use crate::{
    api::{BadRequest, stored},
    crypto::{
        random::RandomError,
        rs256::{BadKey, SigningKey},
    },
    domain::{Json, Secret, Timestamp},
};

/// The most permissions that `config` may name: GitHub has fewer than a hundred.
const PERMISSIONS_MAX: usize = 100;

/// The reason why a stored App cannot be used; holds nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadApp {
    /// There is no id.
    #[error("credentials.app_id must be the App's id or client id")]
    NoId,
    /// There is no key.
    #[error("credentials.private_key must be a PEM private key")]
    NoKey,
    /// The key cannot be used.
    #[error("credentials.private_key must be an RSA private key as PEM: {0}")]
    Key(BadKey),
    /// The installation's id is no number.
    #[error("installation_id must be a whole number")]
    Installation,
    /// The API's URL cannot be used.
    #[error("config.api_base_url must be an https URL of host and path, like https://ghe.example.com/api/v3")]
    Base,
    /// The permissions have another form.
    #[error("config.permissions must be an object like {{\"contents\":\"read\"}}, of read, write and admin")]
    Permissions,
}

impl From<BadApp> for BadRequest {
    fn from(bad: BadApp) -> Self {
        let text = bad.to_string();
        let (field, rule) = text.split_once(" must be ").unwrap_or((&text, "usable"));
        Self::invalid(field, rule)
    }
}

/// The options of an App; others in the same object are not the vault's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppConfig {
    base: ApiBase,
    installation: Option<u64>,
    permissions: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Given {
    #[serde(default)]
    api_base_url: Option<serde_json::Value>,
    #[serde(default)]
    installation_id: Option<serde_json::Value>,
    #[serde(default)]
    permissions: Option<serde_json::Value>,
}

impl AppConfig {
    /// Reads the options.
    ///
    /// # Errors
    /// [`BadApp`] for the first that cannot be used.
    pub fn read(config: Option<&Json>) -> Result<Self, BadApp> {
        let given: Given =
            config.and_then(|json| serde_json::from_str(json.as_str()).ok()).unwrap_or_default();
        let base = match given.api_base_url {
            None => ApiBase::github(),
            Some(url) => url.as_str().and_then(|url| url.parse().ok()).ok_or(BadApp::Base)?,
        };
        let installation = match given.installation_id {
            None => None,
            Some(serde_json::Value::String(text)) => Some(id(&text).ok_or(BadApp::Installation)?),
            Some(number) => Some(number.as_u64().ok_or(BadApp::Installation)?),
        };
        let permissions = match given.permissions {
            None => BTreeMap::new(),
            Some(object) => permissions(object).ok_or(BadApp::Permissions)?,
        };
        Ok(Self { base, installation, permissions })
    }

    /// Returns the base URL of the App's API.
    pub const fn base(&self) -> &ApiBase {
        &self.base
    }
}

fn id(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn permissions(object: serde_json::Value) -> Option<BTreeMap<String, String>> {
    let permissions: BTreeMap<String, String> = serde_json::from_value(object).ok()?;
    let is_name = |name: &str| {
        (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let is_level = |level: &str| matches!(level, "read" | "write" | "admin");
    // An empty object would ask for all that the installation has, though it looks like nothing.
    let fits = (1..=PERMISSIONS_MAX).contains(&permissions.len())
        && permissions.iter().all(|(name, level)| is_name(name) && is_level(level));
    fits.then_some(permissions)
}

/// An App with its opened key.
pub struct App {
    issuer: Zeroizing<String>,
    key: SigningKey,
    config: AppConfig,
}

impl App {
    /// Reads an App's stored credential and options.
    ///
    /// # Errors
    /// [`BadApp`] for what is missing or cannot be used.
    pub fn read(credentials: &Secret, config: Option<&Json>) -> Result<Self, BadApp> {
        let issuer =
            stored::field(credentials, "app_id").filter(|text| !text.is_empty()).ok_or(BadApp::NoId)?;
        let pem = stored::field(credentials, "private_key").ok_or(BadApp::NoKey)?;
        let mut config = AppConfig::read(config)?;
        if let Some(text) = stored::field(credentials, "installation_id") {
            config.installation = Some(id(&text).ok_or(BadApp::Installation)?);
        }
        Ok(Self { issuer, key: SigningKey::from_pem(&pem).map_err(BadApp::Key)?, config })
    }

    /// Signs what authenticates the App for the next minutes; the key is gone afterwards.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn sign(self, now: Timestamp) -> Result<SignedApp, RandomError> {
        let jwt = claims::signed(&self.key, self.issuer.trim(), now)?;
        let AppConfig { base, installation, permissions } = self.config;
        Ok(SignedApp { base, installation, permissions, jwt })
    }
}

/// An App that has signed; without its key.
pub struct SignedApp {
    pub(super) base: ApiBase,
    pub(super) installation: Option<u64>,
    pub(super) permissions: BTreeMap<String, String>,
    pub(super) jwt: Zeroizing<String>,
}

impl SignedApp {
    /// Returns the base URL of its API.
    pub const fn base(&self) -> &ApiBase {
        &self.base
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<AppConfig, BadApp> {
        AppConfig::read(Some(&Json::new_checked(text.to_owned())))
    }

    #[test]
    fn options_are_read_and_others_are_left_alone() {
        assert_eq!(AppConfig::read(None).unwrap().base, ApiBase::github());
        let read = config(
            r#"{"env":"verbatim","api_base_url":"https://ghe.example.com/api/v3/","installation_id":"12","permissions":{"contents":"read"}}"#,
        )
        .unwrap();
        assert_eq!(read.base.to_string(), "https://ghe.example.com/api/v3");
        assert_eq!((read.installation, &*read.permissions["contents"]), (Some(12), "read"));
        assert_eq!(config(r#"{"installation_id":7}"#).unwrap().installation, Some(7));
    }

    #[test]
    fn an_option_of_another_form_is_never_taken_for_none() {
        for (text, bad) in [
            (r#"{"api_base_url":"http://ghe.example.com"}"#, BadApp::Base),
            (r#"{"api_base_url":1}"#, BadApp::Base),
            (r#"{"installation_id":"+1"}"#, BadApp::Installation),
            (r#"{"installation_id":-1}"#, BadApp::Installation),
            (r#"{"installation_id":1.5}"#, BadApp::Installation),
            (r#"{"installation_id":""}"#, BadApp::Installation),
            (r#"{"permissions":{}}"#, BadApp::Permissions),
            (r#"{"permissions":[]}"#, BadApp::Permissions),
            (r#"{"permissions":"contents:read"}"#, BadApp::Permissions),
            (r#"{"permissions":{"contents":"all"}}"#, BadApp::Permissions),
            (r#"{"permissions":{"contents":null}}"#, BadApp::Permissions),
            (r#"{"permissions":{"Contents":"read"}}"#, BadApp::Permissions),
        ] {
            assert_eq!(config(text), Err(bad), "{text}");
            assert!(BadRequest::from(bad).message.contains(" must be "));
        }
    }

    #[test]
    fn a_credential_that_is_no_app_says_what_is_missing_and_nothing_of_it() {
        let fault = |text: &str| {
            let read = App::read(&Secret::from(text.to_owned()), None);
            read.err().map(|bad| BadRequest::from(bad).message)
        };
        let said = fault(r#"{"app_id":1,"private_key":"MIIEcanary"}"#).unwrap();
        assert!(
            said.starts_with("credentials.private_key must be an RSA private key as PEM: it has no line"),
            "{said}"
        );
        assert!(!said.contains("canary"));
        assert!(
            fault(r#"{"app_id":"","private_key":"x"}"#).unwrap().starts_with("credentials.app_id must be")
        );
        assert!(fault(r#"{"app_id":1}"#).unwrap().starts_with("credentials.private_key must be"));
        let id = fault(r#"{"app_id":1,"private_key":"x","installation_id":"x"}"#).unwrap();
        assert_eq!(id, "installation_id must be a whole number");
    }
}
