//! Single fields of a stored credential.
//!
//! A credential is kept and disclosed unparsed; only a use case that works with one field reads it, and only here.

use zeroize::Zeroizing;

use super::{fields::Members, unescape::unescape};
use crate::domain::Secret;

/// Returns a field of a credential: a string's text, or a whole number's digits; `None` if it is anything else.
pub fn field(credentials: &Secret, name: &str) -> Option<Zeroizing<String>> {
    let Members(members) = serde_json::from_slice(credentials.expose()).ok()?;
    let raw = members.iter().find(|(key, _)| key == name).map(|(_, value)| value.get())?;
    match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inside) => unescape(inside),
        None => raw.bytes().all(|byte| byte.is_ascii_digit()).then(|| Zeroizing::new(raw.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_a_strings_text_or_a_numbers_digits() {
        let credentials = Secret::from(
            r#"{"a":"x\ny","b":12,"c":-1,"d":true,"e":["x"],"f":"","g":1e3,"k\u0065y":"z"}"#.to_owned(),
        );
        let read = |name| field(&credentials, name).map(|text| text.to_string());
        assert_eq!(read("a").as_deref(), Some("x\ny"));
        assert_eq!(read("b").as_deref(), Some("12"));
        assert_eq!(read("f").as_deref(), Some(""));
        assert_eq!(read("key").as_deref(), Some("z"));
        for name in ["c", "d", "e", "g", "none"] {
            assert_eq!(read(name), None, "{name}");
        }
        assert_eq!(field(&Secret::from("[1]".to_owned()), "a"), None);
    }
}
