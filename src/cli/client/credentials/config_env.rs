//! `config.env` of an integration: the names that it gives its own fields.

use serde_json::Value;

use super::{fields::shown, selector::is_variable};
use crate::{cli::error::CliError, client::Credential};

/// The names that an integration gives its fields.
pub(super) enum ConfigEnv<'a> {
    /// None: the table decides.
    Table,
    /// Each field is the variable.
    Verbatim,
    /// These; the table decides for the others.
    Names(&'a serde_json::Map<String, Value>),
}

/// The error of a `config.env` that yields no name.
pub(super) enum BadEnv {
    /// It is neither `"verbatim"` nor an object.
    Shape,
    /// It names no variable.
    Name(String),
}

impl<'a> ConfigEnv<'a> {
    pub(super) fn of(credential: &'a Credential) -> Result<Self, BadEnv> {
        match credential.config.as_ref().and_then(|config| config.get("env")) {
            None | Some(Value::Null) => Ok(Self::Table),
            Some(Value::String(word)) if word == "verbatim" => Ok(Self::Verbatim),
            Some(Value::Object(names)) => Ok(Self::Names(names)),
            Some(_) => Err(BadEnv::Shape),
        }
    }

    /// Returns the name of a field, if this gives it one.
    pub(super) fn name(&self, field: &str) -> Result<Option<String>, BadEnv> {
        let name = match self {
            Self::Table => return Ok(None),
            Self::Verbatim => field,
            Self::Names(names) => match names.get(field) {
                None => return Ok(None),
                Some(Value::String(name)) => name,
                Some(_) => return Err(BadEnv::Shape),
            },
        };
        if is_variable(name) { Ok(Some(name.to_owned())) } else { Err(BadEnv::Name(name.to_owned())) }
    }
}

impl BadEnv {
    /// Returns the error for a field.
    pub(super) fn of(self, field: &str, prevented: &str) -> CliError {
        let message = match self {
            Self::Shape => {
                format!(
                    "{field}: the integration's config.env is neither \"verbatim\" nor an object of names"
                )
            }
            Self::Name(name) => {
                format!("{field}: '{}' of the integration's config.env is no variable's name", shown(&name))
            }
        };
        CliError::failed(
            message,
            format!(
                "{prevented}; an owner mends it: sealroom integration update INTEGRATION --env FIELD=NAME"
            ),
        )
    }
}
