//! JSON that is kept as it came.

/// A JSON value as the client wrote it, already checked; kept verbatim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json(String);

impl Json {
    /// Takes text that a JSON parser has accepted.
    pub const fn new_checked(text: String) -> Self {
        Self(text)
    }

    /// `{}`.
    pub fn empty_object() -> Self {
        Self("{}".to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
