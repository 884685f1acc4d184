//! The refusal of a body: a stable code for programs, one sentence for people.
//!
//! Owns the codes of a 400 for a body. A message holds a field's name and a rule, never a value.

use super::strict::BadJson;
use crate::domain::Invalid;

/// The body is not strict JSON.
pub const MALFORMED_JSON: &str = "malformed_json";
/// A required field is missing.
pub const MISSING_FIELD: &str = "missing_field";
/// A field is unknown.
pub const UNKNOWN_FIELD: &str = "unknown_field";
/// A field occurs in both of its spellings.
pub const DUPLICATE_FIELD: &str = "duplicate_field";
/// A field has the wrong type or an invalid value.
pub const INVALID_FIELD: &str = "invalid_field";
/// Neither or both of `isGlobal` and `projects`.
pub const INVALID_SCOPE: &str = "invalid_scope";

/// All codes, for the OpenAPI document.
pub const CODES: &[&str] =
    &[MALFORMED_JSON, MISSING_FIELD, UNKNOWN_FIELD, DUPLICATE_FIELD, INVALID_FIELD, INVALID_SCOPE];

/// The longest field name that a message quotes (contract §1).
const NAME_CHARS_MAX: usize = 40;

/// A body that is refused with a 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadRequest {
    /// One of [`CODES`].
    pub code: &'static str,
    /// One sentence for the client.
    pub message: String,
}

impl BadRequest {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn missing(field: &str) -> Self {
        Self::new(MISSING_FIELD, format!("{field} is required"))
    }

    /// Refuses a new password of one's own without the current one.
    pub fn current_password_missing() -> Self {
        Self::new(MISSING_FIELD, "currentPassword is required for a new password of one's own")
    }

    /// Refuses projects for an owner.
    pub fn projects_of_an_owner() -> Self {
        Self::new(INVALID_FIELD, "projects narrows a member: an owner has them all")
    }

    /// Refuses the id of an integration that does not exist, by its place in the list.
    pub fn integration_missing(index: usize) -> Self {
        Self::invalid(&format!("integrations[{index}]"), "the id of a stored integration")
    }

    /// Creates the refusal of a field's value; `rule` follows "must be".
    pub(crate) fn invalid(field: &str, rule: &str) -> Self {
        Self::new(INVALID_FIELD, format!("{field} must be {rule}"))
    }

    /// Creates the refusal of an unknown field. Quotes the name only if it looks like one: it may be a pasted secret.
    pub(super) fn unknown(name: &str, known: &[&str]) -> Self {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let fits = (1..=NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(plain);
        let which = if fits { format!("unknown field {name}") } else { "unknown field".to_owned() };
        Self::new(UNKNOWN_FIELD, format!("{which}; known are {}", known.join(", ")))
    }
}

impl From<BadJson> for BadRequest {
    fn from(bad: BadJson) -> Self {
        Self::new(MALFORMED_JSON, bad.to_string())
    }
}

/// For values outside a field, such as a path segment.
impl From<Invalid> for BadRequest {
    fn from(invalid: Invalid) -> Self {
        Self::invalid(invalid.what, invalid.rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_that_looks_like_one_is_repeated() {
        let message = |name: &str| BadRequest::unknown(name, &["a", "b"]).message;
        assert_eq!(message("auth_typ-E1"), "unknown field auth_typ-E1; known are a, b");
        for name in ["", "a b", "ä", "x=\"y\"", &"x".repeat(41), "a\n"] {
            assert_eq!(message(name), "unknown field; known are a, b");
        }
        assert!(message(&"x".repeat(40)).contains(&"x".repeat(40)));
    }
}
