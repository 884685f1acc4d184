//! The request as handlers see it: argument, query and body, each parsed strictly.

use std::{str::FromStr, sync::Arc};

use bytes::Bytes;
use hyper::{
    HeaderMap,
    header::{self, HeaderValue},
};
use percent_encoding::percent_decode_str;
use tokio::sync::watch;

use super::error::HttpError;
use crate::{
    api::{self, BadRequest, requests::Request},
    auth::token,
    clock::Clock,
    domain::{Bearer, Invalid, TokenRef},
    vault::{Admitted, Context, Error, Vault},
};

/// The largest page of a list.
pub(super) const PAGE_MAX: usize = 1_000;

/// The longest parameter name that a message quotes.
const NAME_CHARS_MAX: usize = 40;

/// An admitted request.
pub(super) struct Call {
    pub(super) vault: Arc<Vault>,
    pub(super) clock: Clock,
    /// Set to true once the server shuts down.
    pub(super) closing: watch::Sender<bool>,
    pub(super) context: Context,
    pub(super) caller: Option<Admitted>,
    pub(super) argument: String,
    pub(super) query: Query,
    pub(super) if_match: Option<HeaderValue>,
    pub(super) body: Bytes,
}

impl Call {
    pub(super) fn caller(&self) -> Result<&Admitted, HttpError> {
        self.caller.as_ref().ok_or(HttpError::Vault(Error::Unauthenticated))
    }

    /// Parses the argument in the path, before any lookup.
    pub(super) fn argument<T: FromStr<Err = Invalid>>(&self) -> Result<T, HttpError> {
        argument(&self.argument)
    }

    /// Parses the token in the path: its id, or the token itself.
    pub(super) fn token(&self) -> Result<TokenRef, HttpError> {
        match token::parse_application(&self.argument) {
            Some(digest) => Ok(TokenRef::Digest(digest)),
            None => Ok(TokenRef::Id(self.argument()?)),
        }
    }

    pub(super) fn parse<T: Request>(&self) -> Result<T, HttpError> {
        Ok(api::parse(&self.body)?)
    }
}

/// Decodes and parses a path's argument.
pub(super) fn argument<T: FromStr<Err = Invalid>>(encoded: &str) -> Result<T, HttpError> {
    let invalid = || BadRequest::from(Invalid { what: "path", rule: "percent-encoded UTF-8" });
    let text = percent_decode_str(encoded).decode_utf8().map_err(|_| invalid())?;
    Ok(text.parse()?)
}

/// Returns the bearer token of a request; the scheme is case-insensitive.
pub(super) fn bearer(headers: &HeaderMap) -> Option<Bearer> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, credentials) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    token::parse_bearer(credentials.trim())
}

/// Query parameters, each taken once; a leftover is an error.
#[derive(Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// Takes and parses a parameter that may occur once.
    pub(super) fn take<T: FromStr<Err = Invalid>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, HttpError> {
        self.text(name)?.map(|text| text.parse()).transpose().map_err(HttpError::from)
    }

    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, HttpError> {
        let Some(at) = self.0.iter().position(|(found, _)| found == name) else { return Ok(None) };
        let (_, value) = self.0.remove(at);
        if self.0.iter().any(|(found, _)| found == name) {
            return Err(bad("repeated_parameter", format!("Query parameter {name} is given twice")));
        }
        if value.is_empty() {
            return Err(bad("empty_parameter", format!("Query parameter {name} is empty")));
        }
        Ok(Some(value))
    }

    /// Takes a whole number from 1 to `most`.
    pub(super) fn number(&mut self, name: &'static str, most: usize) -> Result<Option<usize>, HttpError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let number = digits(&text).filter(|number| (1..=most).contains(number));
        let wrong = || {
            bad(
                "invalid_parameter",
                format!("Query parameter {name} must be a whole number from 1 to {most}"),
            )
        };
        number.map(Some).ok_or_else(wrong)
    }

    /// Rejects a leftover parameter: a mistyped filter must not disclose everything.
    pub(super) fn finish(&self) -> Result<(), HttpError> {
        let Some((name, _)) = self.0.first() else { return Ok(()) };
        let plain = name.len() <= NAME_CHARS_MAX
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        let name = if plain { format!(" {name}") } else { String::new() };
        Err(bad("unknown_parameter", format!("Unknown query parameter{name}")))
    }
}

/// Parses a number of digits only; `parse` would accept a sign too.
pub(super) fn digits<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Returns whether two hexadecimal digits follow every `%`, and the decoded text is UTF-8.
pub(super) fn is_well_formed(encoded: &str) -> bool {
    if !encoded.contains('%') {
        return true;
    }
    let escape =
        |rest: &str| rest.as_bytes().get(..2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    encoded.split('%').skip(1).all(escape) && percent_decode_str(encoded).decode_utf8().is_ok()
}

pub(super) fn bad(code: &'static str, message: String) -> HttpError {
    HttpError::Bad(BadRequest { code, message })
}
