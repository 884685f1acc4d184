//! Labels that people give.

use std::{fmt, str::FromStr};

use super::Invalid;

/// The longest label, in characters.
const CHARS_MAX: usize = 100;

/// A label of 1 to 100 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Name {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let fits = (1..=CHARS_MAX).contains(&text.chars().count());
        if !fits || text.trim().is_empty() || text.chars().any(char::is_control) {
            return Err(Invalid::new("name", "1 to 100 characters, none of them a control character"));
        }
        Ok(Self(text.to_owned()))
    }
}
