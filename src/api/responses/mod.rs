//! Answers, built from domain values and the facts stored beside a row.
//!
//! One file for each subject of the contract; key order is the contract's, and golden texts in the tests pin it. An
//! answer that holds a secret is a [`Secret`] itself: written once into a buffer of its final size, wiped after it was
//! sent.

mod credentials;
mod due;
mod error;
mod exposure;
mod health;
mod integrations;
mod projects;
mod removed;
mod revisions;
mod tokens;
mod users;

use std::{
    fmt::Display,
    io::{self, Write},
};

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::domain::{Json, Secret};

pub use credentials::{RepositoryToken, TokenKind, credentials_array};
pub use due::{DueBody, DueCredential, DueTokenBody};
pub use error::ErrorBody;
pub use exposure::{Backups, ExposedValue, Exposure, Left, Made, MintedToken, Received, Stored, Storing};
pub use health::{AuditState, Health};
pub use integrations::{IntegrationBody, LastAccess};
pub use projects::ProjectBody;
pub use removed::Removed;
pub use revisions::RevisionsBody;
pub use tokens::{CreatedToken, RolledToken, TokenBody};
pub use users::{BegunOtp, LeftUser, LoginBody, OneTimeCodes, UpdatedUser, UserBody};

/// Serializes an answer without a secret: a body, or a slice of bodies for an array.
pub fn to_json<T: Serialize + ?Sized>(body: &T) -> Vec<u8> {
    serde_json::to_vec(body).expect("bodies have text keys and write to memory")
}

/// Serializes an answer with a secret into a buffer that never grows: growing would leave unwiped copies.
pub fn to_secret_json<T: Serialize + ?Sized>(body: &T) -> Secret {
    let mut length = Length(0);
    serde_json::to_writer(&mut length, body).expect("bodies have text keys and counting cannot fail");
    let mut bytes = Vec::with_capacity(length.0);
    serde_json::to_writer(&mut bytes, body).expect("bodies have text keys and write to memory");
    Secret::new(bytes)
}

/// Counts what is written to it.
struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A value, serialized through `Display`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<T>(pub(crate) T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Wraps each value in [`Text`].
fn texts<T: Display>(values: &[T]) -> Vec<Text<&T>> {
    values.iter().map(Text).collect()
}

/// A secret, serialized as its text.
struct Exposed<'a>(&'a Secret);

impl Serialize for Exposed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Only tokens and generated passwords are serialized so.
        serializer.serialize_str(self.0.expose_text().expect("what this program generates is ASCII"))
    }
}

/// Returns stored JSON, verbatim; `null` should a row hold anything else, since JSON is checked on its way in.
fn verbatim(json: &Json) -> &RawValue {
    serde_json::from_str(json.as_str()).unwrap_or(RawValue::NULL)
}

/// Returns stored JSON, or `{}` if absent.
fn verbatim_or_empty(json: Option<&Json>) -> &RawValue {
    const EMPTY: &str = "{}";
    json.map_or_else(|| serde_json::from_str(EMPTY).unwrap_or(RawValue::NULL), verbatim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        AuthType, Integration, IntegrationId, KeptRevision, Provider, Revision, Scope, Timestamp,
    };

    pub(super) const NOW: Timestamp = Timestamp::from_millis(1_764_000_000_000);
    pub(super) const NOW_TEXT: &str = "2025-11-24T16:00:00.000Z";

    /// A global Jira integration, created on the host.
    pub(super) fn integration() -> Integration {
        Integration {
            id: IntegrationId::from_bytes([0x11; 16]),
            provider: Provider::Jira,
            auth_type: AuthType::BasicAuth,
            name: None,
            scope: Scope::Global,
            config: None,
            kept: vec![KeptRevision { revision: Revision::FIRST, expires_at: None, stored_at: None }],
            created_at: NOW,
            created_by: "user:ada@acme.com".parse().unwrap(),
            creator: None,
            updated_at: NOW,
            is_canary: false,
            version: 1,
        }
    }

    /// Its id.
    pub(super) const ID: &str = "11111111-1111-1111-1111-111111111111";

    /// The body's text.
    pub(super) fn text<T: Serialize + ?Sized>(body: &T) -> String {
        let plain = String::from_utf8(to_json(body)).unwrap();
        let secret = to_secret_json(body);
        assert_eq!(plain.as_bytes(), secret.expose());
        plain
    }

    #[test]
    fn json_is_given_back_as_it_came() {
        let given = Json::new_checked("{ \"b\":1.50, \"a\":1e999 }".to_owned());
        assert_eq!(text(verbatim(&given)), given.as_str());
        assert_eq!(text(verbatim_or_empty(None)), "{}");
    }

    #[test]
    fn a_row_that_holds_no_json_does_not_panic() {
        assert_eq!(text(verbatim(&Json::new_checked("{".to_owned()))), "null");
    }
}
