//! Bytes that must not be seen.

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::Invalid;

/// A credential, password, passphrase or bearer token: wiped on drop, and read only through [`Secret::expose`].
///
/// It has no `Clone`, `Debug`, `Display`, `Serialize`, `Deref` or `PartialEq`, so it cannot reach a log by accident.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes the bytes over; the caller keeps no copy.
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Opens the secret: grep for `expose(` to find every place that sees one.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The secret as text; `None` where it is not UTF-8. Nothing else may turn a secret into text: a reading that
    /// repairs makes two secrets one.
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Checks that a person can type a new secret again, at a prompt and on another system; `what` names it.
    ///
    /// Blanks inside it are letters like others (RFC 8265 §4.2, NIST SP 800-63B §3.1.1.2).
    ///
    /// # Errors
    /// It is not UTF-8, begins or ends with a blank, or holds a control character or a byte order mark.
    pub fn check_typable(&self, what: &'static str) -> Result<(), Invalid> {
        let invalid = |rule| Err(Invalid { what, rule });
        let Some(text) = self.expose_text() else { return invalid("UTF-8 text") };
        if text.contains(char::is_control) {
            return invalid("one line without control characters such as a tab");
        }
        if text.contains('\u{feff}') {
            return invalid("free of byte order marks, which no keyboard types");
        }
        if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
            return invalid("free of blanks at its beginning and its end");
        }
        Ok(())
    }

    /// Returns whether it has no bytes.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_secret_is_what_a_person_can_type_again() {
        for text in
            ["nine words", "ein süßes Geheimnis", "パスワード", "a b  c", "👩\u{200d}🚀 two", "\"quoted\""]
        {
            assert_eq!(Secret::from(text.to_owned()).check_typable("passphrase"), Ok(()), "{text}");
        }
        for (text, rule) in [
            ("a\tb", "control"),
            ("a\nb", "control"),
            ("a\u{85}b", "control"),
            ("a\0", "control"),
            ("\u{feff}a", "byte order"),
            ("a\u{feff}b", "byte order"),
            (" a", "blanks"),
            ("a ", "blanks"),
            ("a\u{a0}", "blanks"),
            ("\u{3000}a", "blanks"),
            ("a\u{2028}", "blanks"),
        ] {
            let told = Secret::from(text.to_owned()).check_typable("passphrase").unwrap_err().to_string();
            assert!(told.starts_with("passphrase must be ") && told.contains(rule), "{text:?}: {told}");
        }
        assert!(Secret::new(vec![b'a', 0xe9, b'b']).check_typable("x").unwrap_err().rule.contains("UTF-8"));
    }
}
