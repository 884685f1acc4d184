//! The file of `sealroom export --all`: the server's own answers, byte for byte, under one version number.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::found::Unreadable;
use crate::domain::Timestamp;

/// The value of the first member, `sealroom`.
pub(in crate::cli::client) const KIND: &str = "export";
/// The version of the format.
pub(in crate::cli::client) const VERSION: u64 = 1;

/// The bytes in which the first member must begin.
const HEAD_BYTES: usize = 4096;

/// A whole export; credentials are borrowed from its text.
#[derive(Deserialize)]
pub(super) struct Own<'a> {
    sealroom: String,
    version: u64,
    #[serde(borrow)]
    pub(super) projects: Vec<Project<'a>>,
    pub(super) users: Vec<User>,
    #[serde(default)]
    pub(super) tokens: Vec<serde::de::IgnoredAny>,
    #[serde(borrow)]
    pub(super) integrations: Vec<Entry<'a>>,
}

/// A project, as the server lists it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Project<'a> {
    pub(super) identifier: String,
    pub(super) remote_url: Option<String>,
    pub(super) platform: String,
    #[serde(borrow)]
    pub(super) configuration: &'a RawValue,
}

/// A user, as the server lists it: without a password.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct User {
    pub(super) email: String,
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
    pub(super) role: String,
    pub(super) projects: Option<Vec<String>>,
    pub(super) disabled: bool,
}

/// An integration with its kept revisions, as the server discloses them.
#[derive(Deserialize)]
pub(super) struct Entry<'a> {
    #[serde(borrow)]
    pub(super) integration: Integration<'a>,
    #[serde(borrow)]
    pub(super) revisions: Vec<Revision<'a>>,
}

/// The metadata, as far as an import uses it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Integration<'a> {
    pub(super) provider: String,
    pub(super) auth_type: String,
    pub(super) name: Option<String>,
    pub(super) is_global: bool,
    pub(super) projects: Vec<String>,
    pub(super) revision: u64,
    #[serde(borrow)]
    pub(super) config: &'a RawValue,
    #[serde(default)]
    pub(super) canary: bool,
}

/// One revision; the current one comes first.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Revision<'a> {
    pub(super) expires_at: Option<String>,
    #[serde(borrow)]
    pub(super) credentials: &'a RawValue,
}

impl Revision<'_> {
    /// Returns the expiry.
    ///
    /// # Errors
    /// It is no time.
    pub(super) fn expiry(&self) -> Result<Option<Timestamp>, Unreadable> {
        let bad = Unreadable::whole("has an expiresAt that is no time");
        self.expires_at.as_deref().map(|end| end.parse().map_err(|_| bad)).transpose()
    }
}

/// Returns whether the beginning of a text is that of an export, however it was indented since.
pub(super) fn is_begun(start: &[u8]) -> bool {
    let start = start.iter().copied().take(HEAD_BYTES);
    let start: Vec<u8> = start.filter(|byte| !byte.is_ascii_whitespace()).take(12).collect();
    start.starts_with(br#"{"sealroom":"#)
}

/// Parses an export.
///
/// # Errors
/// [`Unreadable`]: it is truncated, edited beyond recognition, or of a newer version.
pub(super) fn parse(text: &str) -> Result<Own<'_>, Unreadable> {
    #[derive(Deserialize)]
    struct Head {
        version: u64,
    }
    let broken = |error: serde_json::Error| {
        let flaw = if error.is_eof() { "ends too early for an export" } else { "is no part of an export" };
        // The parser's own text may quote the input.
        Unreadable::at(error.line(), flaw)
    };
    if let Ok(Head { version }) = serde_json::from_str(text)
        && version > VERSION
    {
        return Err(Unreadable::whole("was exported by a newer version of sealroom"));
    }
    let own: Own<'_> = serde_json::from_str(text).map_err(broken)?;
    if own.sealroom != KIND || own.version != VERSION {
        return Err(Unreadable::whole("is no export of this version of sealroom"));
    }
    if own.integrations.iter().any(|entry| entry.revisions.is_empty()) {
        return Err(Unreadable::whole("has an integration without a credential"));
    }
    Ok(own)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHOLE: &str = r#"{"sealroom":"export","version":1,"exportedAt":"x","projects":[],"users":[],"tokens":[{"id":"x"}],
"integrations":[
{"integration":{"provider":"github","authType":"pat","name":null,"isGlobal":true,"projects":[],"revision":2,"config":{},"id":"x"},
"revisions":[{"revision":2,"expiresAt":null,"credentials":{ "token":"zq1" }}]}
]}"#;

    #[test]
    fn a_whole_export_is_read_byte_for_byte() {
        assert!(
            is_begun(WHOLE.as_bytes()) && is_begun(b" {\n\t\"sealroom\": \"export\"") && !is_begun(b"{}")
        );
        let own = parse(WHOLE).unwrap();
        assert_eq!(own.integrations[0].revisions[0].credentials.get(), r#"{ "token":"zq1" }"#);
        assert_eq!(own.tokens.len(), 1);
    }

    #[test]
    fn a_truncated_a_newer_and_an_edited_export_are_told_apart() {
        let of = |text: &str| parse(text).err().unwrap().to_string();
        assert!(of(&WHOLE[..WHOLE.len() - 3]).contains("ends too early"));
        assert!(of(&WHOLE.replace("\"version\":1", "\"version\":2")).contains("newer version"));
        assert!(of(&WHOLE.replace("\"version\":1", "\"version\":0")).contains("no export of this version"));
        assert!(of(&WHOLE.replace("\"users\":[]", "\"users\":7")).contains("is no part"));
        let none = r#""revisions":[{"revision":2,"expiresAt":null,"credentials":{ "token":"zq1" }}]"#;
        assert!(of(&WHOLE.replace(none, "\"revisions\":[]")).contains("without a credential"));
    }

    proptest! {
        #[test]
        fn an_export_that_is_cut_or_changed_anywhere_is_refused_or_read_and_never_quoted(
            at in 0..WHOLE.len(), byte in "[ -~]",
        ) {
            let changed = format!("{}{byte}{}", &WHOLE[..at], &WHOLE[at + 1..]);
            for text in [&WHOLE[..at], changed.as_str()] {
                if let Err(error) = parse(text) {
                    prop_assert!(!error.to_string().contains("zq1"));
                }
            }
        }
    }
}
