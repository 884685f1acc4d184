//! Warnings about a credential that looks wrong: it is stored nevertheless, and no value is repeated.

use serde_json::value::RawValue;
use url::Url;
use zeroize::Zeroizing;

use super::{near::nearest, pair::Pair};
use crate::{
    api::Members,
    domain::{Secret, field_rule},
};

/// Usual field names, for use where no pair defines the fields.
const USUAL: &[&str] =
    &["token", "password", "username", "api_token", "api_key", "client_secret", "base_url"];
/// Placeholders that examples use instead of a secret.
const PLACEHOLDERS: &[&str] = &[
    "changeme",
    "change me",
    "todo",
    "tbd",
    "fixme",
    "placeholder",
    "replaceme",
    "replace me",
    "your token",
    "your token here",
    "your password",
    "your api key",
    "your secret",
    "insert token here",
    "secret",
    "password",
    "token",
    "dummy",
    "null",
    "none",
    "undefined",
    "redacted",
    "n/a",
];

/// A field, with its value still as JSON.
type Field<'a> = (String, &'a RawValue);

/// Returns sentences about what looks wrong; `pair` is the credential's provider and type, if known.
pub(super) fn doubts(pair: Option<Pair>, credentials: &Secret) -> Vec<String> {
    let Some(fields) = std::str::from_utf8(credentials.expose()).ok().and_then(object) else {
        return Vec::new();
    };
    if let Some(doubt) = wrapped(&fields) {
        return vec![doubt];
    }
    let of_value = |(name, raw): &Field<'_>| {
        let value = Zeroizing::new(serde_json::from_str::<String>(raw.get()).ok()?);
        Some(format!("the value of {} {}", field_name(name), odd(name, &value)?))
    };
    mistyped(pair, &fields).into_iter().chain(fields.iter().filter_map(of_value)).collect()
}

fn object(json: &str) -> Option<Vec<Field<'_>>> {
    serde_json::from_str::<Members<'_>>(json).ok().map(|Members(fields)| fields)
}

/// Detects a tool's whole output, wrapped around the credential that the user meant.
fn wrapped(fields: &[Field<'_>]) -> Option<String> {
    let has = |fields: &[Field<'_>], name: &str| fields.iter().any(|(field, _)| field == name);
    if let Some(data) = inner(fields, "data") {
        let is_answer = ["request_id", "lease_id", "lease_duration"].iter().any(|name| has(fields, name));
        let is_second = inner(&data, "data").is_some() && has(&data, "metadata");
        if is_answer || is_second {
            let part = if is_second { "data.data" } else { "data" };
            return Some(format!(
                "this is the whole output of `vault kv get -format=json`; the credential is its {part}"
            ));
        }
    }
    if inner(fields, "credentials").is_some() {
        return Some("the credential is one level down, in credentials".to_owned());
    }
    let [(name, raw)] = fields else { return None };
    object(raw.get())?;
    Some(format!("its one field, {}, has fields of its own: are they the credential?", field_name(name)))
}

/// Returns the fields of the object in the field `name`.
fn inner<'a>(fields: &[Field<'a>], name: &str) -> Option<Vec<Field<'a>>> {
    let (_, raw) = fields.iter().find(|(field, _)| field == name)?;
    object(raw.get())
}

/// Returns warnings about field names that almost match those of the pair.
fn mistyped(pair: Option<Pair>, fields: &[Field<'_>]) -> Vec<String> {
    let rule = pair.and_then(|pair| field_rule(pair.provider, pair.auth_type));
    let known: Vec<&str> = match rule {
        Some(rule) => rule.sets.iter().copied().flatten().copied().collect(),
        None => USUAL.to_vec(),
    };
    let is_near = |name: &str, known: &str| {
        let (name, known) = (plain(name), plain(known));
        // Without a rule another spelling is equally valid, and a plural is always a separate word.
        (name == known && rule.is_some())
            || (strsim::damerau_levenshtein(&name, &known) == 1 && name != format!("{known}s"))
    };
    let doubt = |name: &String| {
        let meant = nearest(name, known.iter().copied().filter(|known| is_near(name, known)))?;
        Some(format!("the field {} looks like a mistyped '{meant}'", field_name(name)))
    };
    let names = fields.iter().map(|(name, _)| name);
    names.filter(|name| !known.contains(&name.as_str())).filter_map(doubt).collect()
}

fn plain(name: &str) -> String {
    name.to_lowercase().replace(['_', '-', ' '], "")
}

/// Returns the end of a sentence about a value that looks wrong.
fn odd(name: &str, value: &str) -> Option<&'static str> {
    let is_key = value.contains("-----BEGIN ");
    let is_url = name == "url" || name.ends_with("_url");
    if value.trim().is_empty() {
        return Some("is empty");
    }
    if value != value.trim() && !is_key {
        return Some("begins or ends with whitespace");
    }
    if value.chars().any(char::is_control) && !is_key {
        return Some("contains a control character such as a line end or a tab");
    }
    if is_placeholder(value) {
        return Some("looks like a placeholder");
    }
    let bytes = value.as_bytes();
    if value.len() > 1 && bytes[0] == bytes[bytes.len() - 1] && matches!(bytes[0], b'"' | b'\'' | b'`') {
        return Some("is in quotation marks");
    }
    if value.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer ")) {
        return Some("begins with Bearer, which belongs to a header");
    }
    if ["sfp_app_", "sfp_usr_", "sfp_ref_"].iter().any(|own| value.starts_with(own)) {
        return Some("is a token of a vault like this one");
    }
    if is_url && !is_web(value) {
        return Some("is no URL that begins with https:// or http://");
    }
    None
}

fn is_web(value: &str) -> bool {
    Url::parse(value).is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
}

/// Returns whether a value is a word from examples, bracketed or braced text, an unexpanded variable or one repeated
/// character.
fn is_placeholder(value: &str) -> bool {
    let plain = value.to_lowercase().replace(['_', '-'], " ");
    let within = |start: &str, end: &str| value.starts_with(start) && value.ends_with(end);
    let first = value.chars().next();
    let is_repeated = value.chars().count() > 2 && value.chars().all(|c| Some(c) == first);
    let is_variable = value.strip_prefix('$').is_some_and(|name| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    });
    PLACEHOLDERS.contains(&plain.as_str())
        || [("<", ">"), ("${", "}"), ("{{", "}}")].iter().any(|(start, end)| within(start, end))
        || value.starts_with("$(")
        || is_repeated
        || is_variable
        || value == "…"
}

/// Returns a field's name if it looks like one; a secret may stand in its place.
fn field_name(name: &str) -> String {
    let is_name =
        name.len() <= 40 && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if is_name { format!("'{name}'") } else { "a field with a strange name".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pair: &str, json: &str) -> String {
        doubts(pair.parse().ok(), &Secret::from(json.to_owned())).join("\n")
    }

    #[test]
    fn what_looks_wrong_is_said_and_no_value_is_repeated() {
        for (pair, json, said) in [
            ("github/pat", r#"{"tokn":"zq1"}"#, "'tokn' looks like a mistyped 'token'"),
            ("github/pat", r#"{"token":"zq1","tokn":"zq1"}"#, "mistyped 'token'"),
            ("github/pat", r#"{"Token":"zq1"}"#, "mistyped 'token'"),
            (
                "jira/basic_auth",
                r#"{"base_url":"https://a.example","username":"u","api-token":"zq1"}"#,
                "mistyped 'api_token'",
            ),
            ("gitlab/pat", r#"{"tokne":"zq1"}"#, "mistyped 'token'"),
            (
                "jira/basic_auth",
                r#"{"base_url":"acme.atlassian.net","username":"u","api_token":"zq1"}"#,
                "'base_url' is no URL",
            ),
            ("custom/api_key", r#"{"webhook_url":"zq1"}"#, "'webhook_url' is no URL"),
            ("github/pat", r#"{"token":" zq1"}"#, "whitespace"),
            ("github/pat", r#"{"token":"zq1\n"}"#, "whitespace"),
            ("github/pat", r#"{"token":"zq1\u00a0"}"#, "whitespace"),
            ("github/pat", r#"{"token":"zq1\nzq1"}"#, "control character"),
            ("github/pat", r#"{"token":"'zq1'"}"#, "quotation marks"),
            ("github/pat", r#"{"token":"Bearer zq1"}"#, "begins with Bearer"),
            ("github/pat", r#"{"token":"sfp_app_zq1"}"#, "a vault like this one"),
            ("github/pat", r#"{"token":"changeme"}"#, "placeholder"),
            ("github/pat", r#"{"token":"<zq1>"}"#, "placeholder"),
            ("github/pat", r#"{"token":"YOUR-TOKEN-HERE"}"#, "placeholder"),
            ("github/pat", r#"{"token":"…"}"#, "placeholder"),
            ("github/pat", r#"{"token":"xxxxxxxx"}"#, "placeholder"),
            ("github/pat", r#"{"token":"${ZQ1}"}"#, "placeholder"),
            ("github/pat", r#"{"token":"$ZQ1"}"#, "placeholder"),
            ("custom/api_key", r#"{"a":""}"#, "is empty"),
            (
                "custom/api_key",
                r#"{"request_id":"x","lease_id":"","data":{"data":{"a":"zq1"},"metadata":{}}}"#,
                "its data.data",
            ),
            ("custom/api_key", r#"{"request_id":"x","lease_duration":1,"data":{"a":"zq1"}}"#, "its data"),
            ("custom/api_key", r#"{"provider":"github","credentials":{"token":"zq1"}}"#, "in credentials"),
            ("custom/api_key", r#"{"secret":{"token":"zq1"}}"#, "its one field, 'secret'"),
            ("custom/api_key", r#"{"zq1 zq1":""}"#, "a field with a strange name"),
        ] {
            let doubt = of(pair, json);
            assert!(doubt.contains(said), "{json}: {doubt}");
            assert!(!doubt.contains("zq1") && !doubt.contains("ZQ1"), "{doubt}");
        }
    }

    #[test]
    fn what_is_right_raises_no_doubt() {
        for (pair, json) in [
            ("github/pat", r#"{"token":"ghp_example"}"#),
            (
                "github/app",
                r#"{"app_id":7,"private_key":"-----BEGIN PRIVATE KEY-----\nzq1\n-----END PRIVATE KEY-----\n"}"#,
            ),
            (
                "jira/basic_auth",
                r#"{"base_url":"https://acme.atlassian.net","username":"bot@acme.com","api_token":"tok_example"}"#,
            ),
            ("azure-devops/service_principal", r#"{"app_id":"a","password":"correct horse","tenant":"t"}"#),
            ("custom/api_key", r#"{"key":"k_example","data":{"a":"b"}}"#),
            ("custom/api_key", r#"{"apikey":"k","tokens":"a,b","callback_url":"http://127.0.0.1:1/x"}"#),
            ("custom/api_key", r#"{"list":["a"],"n":1,"flag":true,"nothing":null}"#),
        ] {
            assert_eq!(of(pair, json), "", "{json}");
        }
    }
}
