//! Labels that people give.

use std::{fmt, str::FromStr};

use super::{Invalid, is_unseen};

/// The longest label, in characters.
const CHARS_MAX: usize = 100;

/// A label of 1 to 100 characters that can be seen: no two labels that look alike differ by what nobody sees.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Reads a label that a row holds: characters that nobody sees were let in once.
    pub fn recorded(text: &str) -> Option<Self> {
        let fits = (1..=CHARS_MAX).contains(&text.chars().count());
        let is_label = fits && !text.trim().is_empty() && !text.chars().any(char::is_control);
        is_label.then(|| Self(text.to_owned()))
    }

    /// Reads a label that a row may hold.
    pub fn recorded_option(text: Option<String>) -> Option<Option<Self>> {
        text.map_or(Some(None), |text| Self::recorded(&text).map(Some))
    }

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
        let invalid =
            Invalid::new("name", "1 to 100 characters, none of them a control character or invisible");
        if text.chars().any(is_unseen) {
            return Err(invalid);
        }
        Self::recorded(text).ok_or(invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `deploy`, `deploy` with a zero-width space and `yolped` behind an override were three tokens that looked alike.
    #[test]
    fn a_label_has_nothing_that_nobody_sees_and_one_of_before_still_reads() {
        for text in ["deploy", "clé d’Ada – 2", "ключ", "密钥", "🔑", "a b"] {
            assert_eq!(text.parse::<Name>().unwrap().as_str(), text);
        }
        for text in [
            "de\u{200b}ploy",
            "\u{202e}yolped",
            "a\u{2066}b",
            "a\u{ad}b",
            "a\u{feff}",
            "\u{2800}",
            "a\u{e0041}",
        ] {
            assert!(text.parse::<Name>().is_err(), "{text:?}");
            assert_eq!(Name::recorded(text).unwrap().as_str(), text);
        }
        for text in ["", " ", "a\nb", "a\u{7f}", &"x".repeat(101)] {
            assert!(text.parse::<Name>().is_err() && Name::recorded(text).is_none(), "{text:?}");
        }
    }
}
