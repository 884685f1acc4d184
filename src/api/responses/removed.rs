//! Contract §3 to §6: the answer to a DELETE.

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::Text;
use crate::domain::{Email, IntegrationId, ProjectId, TokenId};

/// A removed object, by its name: `{"success":true,"id":"…"}`.
#[derive(Debug, Clone, Copy)]
pub enum Removed<'a> {
    /// An integration.
    Integration(IntegrationId),
    /// A project.
    Project(&'a ProjectId),
    /// An application token.
    Token(TokenId),
    /// A user.
    User(&'a Email),
}

impl Serialize for Removed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_struct("Removed", 2)?;
        body.serialize_field("success", &true)?;
        match self {
            Self::Integration(id) => body.serialize_field("id", &Text(id))?,
            Self::Token(id) => body.serialize_field("id", &Text(id))?,
            Self::Project(identifier) => body.serialize_field("identifier", &Text(identifier))?,
            Self::User(email) => body.serialize_field("email", &Text(email))?,
        }
        body.end()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{ID, text},
        *,
    };

    #[test]
    fn what_is_gone_is_named() {
        let (project, email) = ("acme/app".parse().unwrap(), "ada@acme.com".parse().unwrap());
        for (removed, key, name) in [
            (Removed::Integration(IntegrationId::from_bytes([0x11; 16])), "id", ID),
            (Removed::Token(TokenId::from_bytes([0x11; 16])), "id", ID),
            (Removed::Project(&project), "identifier", "acme/app"),
            (Removed::User(&email), "email", "ada@acme.com"),
        ] {
            assert_eq!(text(&removed), format!(r#"{{"success":true,"{key}":"{name}"}}"#));
        }
    }
}
