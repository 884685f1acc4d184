//! The fields of a disclosed credential, and the words in which messages name them.

use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::{api::Members, cli::error::CliError, client::Credential};

/// A field: its name and its value, which is a string's text or the JSON of any other type.
pub(super) struct Field {
    pub(super) name: String,
    pub(super) value: Zeroizing<String>,
}

/// Returns a credential's fields in the order in which they were stored.
pub(super) fn fields(one: &Credential) -> Result<Vec<Field>, CliError> {
    let broken = || {
        CliError::failed(
            format!("the credential of {} is no JSON object of strings and values", described(one)),
            "look at it with --format json",
        )
    };
    let Members(members) = serde_json::from_slice(one.credentials.expose()).map_err(|_| broken())?;
    let field = |(name, raw): (String, &RawValue)| {
        let is_text = raw.get().starts_with('"');
        let value = if is_text { serde_json::from_str(raw.get()).ok()? } else { raw.get().to_owned() };
        Some(Field { name, value: Zeroizing::new(value) })
    };
    members.into_iter().map(|member| field(member).ok_or_else(broken)).collect()
}

/// Returns the type, the id and, if the answer has it, the name: enough to find the integration.
pub(super) fn described(one: &Credential) -> String {
    let name = one.name.as_ref().map(|name| format!(" ({})", shown(name))).unwrap_or_default();
    format!("{}/{} {}{name}", shown(&one.provider), shown(&one.auth_type), one.integration_id)
}

/// Escapes untrusted text as part of one line, so that it cannot control a terminal.
pub(super) fn shown(text: &str) -> String {
    let escaped = |c: char| match c {
        '\'' | '"' | '\\' => c.to_string(),
        // Escapes invisible characters: controls, line ends, direction marks, zero-width characters.
        c => c.escape_debug().to_string(),
    };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(credentials: &str) -> Credential {
        let text = format!(
            r#"{{"integration_id":"01a21198-0ea8-7d5a-987c-6ee7878c59a0","provider":"custom","auth_type":"api_key","credentials":{credentials},"name":"a\u202eb"}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_value_is_a_strings_text_or_the_json_as_it_stands() {
        let one = credential(r#"{"a":"x\ny","b":1e999,"c":{"d":[1, 2]},"e":null}"#);
        let values: Vec<String> = fields(&one).unwrap().iter().map(|field| field.value.to_string()).collect();
        assert_eq!(values, ["x\ny", "1e999", r#"{"d":[1, 2]}"#, "null"]);
    }

    /// A string that does not parse was taken for a number, and its JSON spelling for the value.
    #[test]
    fn a_string_that_is_none_never_becomes_another_value() {
        for text in [r#"{"a":"\ud800"}"#, r#"{"a":"x","b":"\udc00\ud800"}"#] {
            assert!(fields(&credential(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_strangers_text_stays_on_its_line() {
        assert_eq!(shown("a\n\u{1b}[2Jb\u{202e}c\u{200b}'d\\é"), r"a\n\u{1b}[2Jb\u{202e}c\u{200b}'d\é");
        assert!(described(&credential("{}")).ends_with(r"c59a0 (a\u{202e}b)"));
    }
}
