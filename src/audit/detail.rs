//! Details as JSON: typed values under keys of the allow-list, each form with one spelling.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value, json};

use crate::{
    crypto::digest::sha256,
    domain::{Detail, DetailKey, DetailValue, ProjectId},
};

/// The longest text in a detail; a longer one becomes its length and SHA-256.
const TEXT_BYTES_MAX: usize = 96;
/// The longest list in a detail, as JSON; a longer one becomes a count and a SHA-256.
const LIST_BYTES_MAX: usize = 200;

/// A detail's JSON.
pub(super) fn to_json(detail: &Detail) -> String {
    if detail.entries().is_empty() {
        return "{}".to_owned();
    }
    let entry = |(key, value): &(DetailKey, DetailValue)| {
        let value = match value {
            DetailValue::Text(text) if text.len() > TEXT_BYTES_MAX => {
                summary("bytes", text.len(), text.as_bytes())
            }
            DetailValue::Text(text) => json!(text),
            DetailValue::Number(number) => json!(number),
            DetailValue::Truth(truth) => json!(truth),
            DetailValue::List(items) => list(items),
        };
        format!("\"{key}\":{value}")
    };
    let entries: Vec<String> = detail.entries().iter().map(entry).collect();
    format!("{{{}}}", entries.join(","))
}

/// Summarizes a detail that is too long for its record.
pub(super) fn summarized(detail: &str) -> String {
    summary("bytes", detail.len(), detail.as_bytes()).to_string()
}

/// Summarizes a detail and a project that are too long together.
pub(super) fn summarized_with(detail: &str, project: Option<&ProjectId>) -> String {
    let project = project.map_or("", ProjectId::as_str);
    let mut object = Map::new();
    object.insert("bytes".to_owned(), json!(detail.len()));
    object.insert("sha256".to_owned(), hex(detail.as_bytes()));
    object.insert("project".to_owned(), summary("bytes", project.len(), project.as_bytes()));
    in_order(&object, &["bytes", "sha256", "project"])
}

/// Returns whether this is a detail as [`to_json`] and its summaries write one: known keys, each once, typed values,
/// no white space, one spelling.
pub(super) fn is_canonical(text: &str) -> bool {
    let Ok(Entries(entries)) = serde_json::from_str(text) else { return false };
    let mut keys: Vec<&str> = entries.iter().map(|(key, _)| key.as_str()).collect();
    let known = keys.iter().all(|key| key.parse::<DetailKey>().is_ok());
    keys.sort_unstable();
    let once = keys.windows(2).all(|two| two[0] != two[1]);
    let written: Vec<String> = entries.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
    known
        && once
        && entries.iter().all(|(_, value)| is_typed(value))
        && format!("{{{}}}", written.join(",")) == text
}

fn is_typed(value: &Value) -> bool {
    match value {
        Value::String(_) | Value::Bool(_) => true,
        Value::Number(number) => number.is_u64(),
        Value::Array(items) => items.iter().all(Value::is_string),
        Value::Object(object) => {
            let number = |key| object.get(key).is_some_and(Value::is_u64);
            let hash = object.get("sha256").is_some_and(Value::is_string);
            object.len() == 2 && (number("bytes") || number("count")) && hash
        }
        Value::Null => false,
    }
}

fn list(items: &[String]) -> Value {
    let text = json!(items).to_string();
    if text.len() <= LIST_BYTES_MAX { json!(items) } else { summary("count", items.len(), text.as_bytes()) }
}

fn summary(what: &str, number: usize, bytes: &[u8]) -> Value {
    let mut object = Map::new();
    object.insert(what.to_owned(), json!(number));
    object.insert("sha256".to_owned(), hex(bytes));
    Value::Object(object)
}

fn hex(bytes: &[u8]) -> Value {
    json!(data_encoding::HEXLOWER.encode(&sha256(bytes)))
}

fn in_order(object: &Map<String, Value>, keys: &[&str]) -> String {
    let entries: Vec<String> = keys.iter().map(|key| format!("\"{key}\":{}", object[*key])).collect();
    format!("{{{}}}", entries.join(","))
}

/// An object's members in their order, doubled ones included.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_canonical() {
        let many: Vec<String> = (0..100).map(|n| format!("acme/{n}")).collect();
        let detail = Detail::NONE
            .text(DetailKey::Name, "a \"b\" \\ ü")
            .text(DetailKey::Email, "x".repeat(200))
            .number(DetailKey::Count, u64::MAX)
            .truth(DetailKey::IsGlobal, true)
            .list(DetailKey::Providers, &["npm"])
            .list(DetailKey::Projects, &many);
        let text = to_json(&detail);
        assert!(is_canonical(&text), "{text}");
        assert!(text.contains(r#""email":{"bytes":200,"sha256":""#), "{text}");
        assert!(text.contains(r#""projects":{"count":100,"sha256":""#), "{text}");
        assert!(is_canonical(&summarized(&text)));
        assert!(is_canonical(&summarized_with(&text, Some(&"a/b".parse().unwrap()))));
        assert!(is_canonical("{}"));
    }

    #[test]
    fn what_only_looks_alike_is_not() {
        for text in [
            "{ }",
            r#"{"count":1 }"#,
            r#"{"count":1,"count":1}"#,
            r#"{"count":1.0}"#,
            r#"{"count":-1}"#,
            r#"{"count":null}"#,
            r#"{"secret":"x"}"#,
            r#"{"name":"\u0041"}"#,
            r#"{"projects":[1]}"#,
            r#"{"projects":["a", "b"]}"#,
            r#"{"projects":{"count":1}}"#,
            r#"{"projects":{"count":1,"x":2}}"#,
            r#"{"projects":{"count":"1","sha256":"x"}}"#,
            r#"{"projects":{"sha256":"x","x":2}}"#,
            r#"{"projects":{"count":1,"sha256":"x","x":2}}"#,
            "[]",
            "null",
        ] {
            assert!(!is_canonical(text), "{text}");
        }
    }
}
