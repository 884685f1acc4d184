//! JSON of other tools: `sops decrypt`, `vault kv get -format=json`, Infisical, Doppler.

use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::found::{Members as Nodes, Node, Unreadable};
use crate::api::Members;

/// The tool that a document comes from, as far as its shape tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Names and values.
    Plain,
    /// The data of one secret of Vault, which the document does not name.
    Vault,
    Infisical,
    Doppler,
    /// A file of SOPS that is still encrypted.
    Sealed,
}

/// One object's members, still as JSON.
type Raw<'a> = Vec<(String, &'a RawValue)>;

/// Recognizes a document that `api::strict` has checked, and reads its values.
///
/// # Errors
/// [`Unreadable`] for a shape that no known tool writes.
pub(super) fn parse(text: &str) -> Result<(Shape, Nodes), Unreadable> {
    if text.trim_start().starts_with('[') {
        return infisical(text).map(|nodes| (Shape::Infisical, nodes));
    }
    let members = object(text).ok_or(Unreadable::whole("is no JSON object or array"))?;
    if inner(&members, "sops").is_some_and(|sops| has(&sops, "mac")) {
        return Ok((Shape::Sealed, Nodes::new()));
    }
    if let Some(data) = vault(&members) {
        return Ok((Shape::Vault, nodes(&data)?));
    }
    if let Some(computed) = doppler(&members)? {
        return Ok((Shape::Doppler, computed));
    }
    Ok((Shape::Plain, nodes(&members)?))
}

fn object(text: &str) -> Option<Raw<'_>> {
    serde_json::from_str::<Members<'_>>(text).ok().map(|Members(members)| members)
}

fn has(members: &Raw<'_>, name: &str) -> bool {
    members.iter().any(|(known, _)| known == name)
}

fn member<'a>(members: &Raw<'a>, name: &str) -> Option<&'a RawValue> {
    members.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
}

fn inner<'a>(members: &Raw<'a>, name: &str) -> Option<Raw<'a>> {
    object(member(members, name)?.get())
}

/// Returns the data of a secret: `data.data` of KV version 2, `data` of version 1.
fn vault<'a>(members: &Raw<'a>) -> Option<Raw<'a>> {
    if !["request_id", "lease_id", "lease_duration"].iter().any(|name| has(members, name)) {
        return None;
    }
    let data = inner(members, "data")?;
    let second = inner(&data, "data").filter(|_| inner(&data, "metadata").is_some());
    Some(second.unwrap_or(data))
}

/// Returns the computed values of `doppler secrets --json`; the flat object of `download` is plain JSON.
fn doppler(members: &Raw<'_>) -> Result<Option<Nodes>, Unreadable> {
    let computed = |(name, value): &(String, &RawValue)| {
        let value = object(value.get()).and_then(|inside| member(&inside, "computed"))?;
        Some(node(value).map(|node| (name.clone(), node)))
    };
    let all: Option<Vec<_>> = members.iter().map(computed).collect();
    all.filter(|all| !all.is_empty()).map(|all| all.into_iter().collect()).transpose()
}

/// Reads the array of `infisical export --format=json`.
fn infisical(text: &str) -> Result<Nodes, Unreadable> {
    let unknown = || Unreadable::whole("is a JSON array, but none of objects with key and value");
    let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| unknown())?;
    let pair = |item: &&RawValue| {
        let item = object(item.get())?;
        let name: String = serde_json::from_str(member(&item, "key")?.get()).ok()?;
        Some((name, node(member(&item, "value")?).ok()?))
    };
    items.iter().map(pair).collect::<Option<Nodes>>().ok_or_else(unknown)
}

fn nodes(members: &Raw<'_>) -> Result<Nodes, Unreadable> {
    members.iter().map(|(name, value)| Ok((name.clone(), node(value)?))).collect()
}

/// Reads a value: a string's text, nothing for `null`, nested names, and any other value as it is spelt.
fn node(value: &RawValue) -> Result<Node, Unreadable> {
    let raw = value.get();
    match raw.as_bytes().first() {
        Some(b'"') => {
            let text =
                serde_json::from_str(raw).map_err(|_| Unreadable::whole("has a text that is no Unicode"))?;
            Ok(Node::Text(Zeroizing::new(text)))
        }
        Some(b'{') => {
            let members = object(raw).ok_or(Unreadable::whole("is not valid JSON"))?;
            nodes(&members).map(Node::Map)
        }
        Some(b'n') => Ok(Node::text("")),
        _ => Ok(Node::text(raw)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Shape, Vec<(String, String)>) {
        let (shape, nodes) = parse(text).unwrap();
        (shape, nodes.into_iter().map(|(name, node)| (name, node.into_text().to_string())).collect())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn each_tools_shape_is_known_and_its_values_are_read() {
        for (text, shape, values) in [
            (
                r#"{"A":"x","B":1.50,"C":null,"D":true}"#,
                Shape::Plain,
                pairs(&[("A", "x"), ("B", "1.50"), ("C", ""), ("D", "true")]),
            ),
            (
                r#"{"db":{"user":"u","list":[1, 2]}}"#,
                Shape::Plain,
                pairs(&[("db", r#"{"user":"u","list":"[1, 2]"}"#)]),
            ),
            (
                r#"{"request_id":"r","lease_id":"","lease_duration":0,"renewable":false,"data":{"data":{"user":"u"},"metadata":{"version":3}},"warnings":null}"#,
                Shape::Vault,
                pairs(&[("user", "u")]),
            ),
            (
                r#"{"request_id":"r","lease_id":"","lease_duration":2764800,"data":{"user":"u","data":"x"}}"#,
                Shape::Vault,
                pairs(&[("user", "u"), ("data", "x")]),
            ),
            (
                r#"[{"key":"A","workspace":"w","value":"x","type":"shared","_id":"1","tags":[],"comment":""}]"#,
                Shape::Infisical,
                pairs(&[("A", "x")]),
            ),
            ("[]", Shape::Infisical, Vec::new()),
            (
                r#"{"A":{"computed":"x","note":""},"B":{"computed":null}}"#,
                Shape::Doppler,
                pairs(&[("A", "x"), ("B", "")]),
            ),
            (r#"{"A":"ENC[AES256_GCM,data:x]","sops":{"mac":"m"}}"#, Shape::Sealed, Vec::new()),
            ("{}", Shape::Plain, Vec::new()),
        ] {
            assert_eq!(read(text), (shape, values), "{text}");
        }
    }

    #[test]
    fn another_shape_is_refused_without_a_word_of_it() {
        for text in [r#"["zq1"]"#, r#"[{"key":"zq1"}]"#, r#"[{"key":1,"value":"zq1"}]"#, r#""zq1""#, "1"] {
            let error = parse(text).err().unwrap_or_else(|| panic!("{text}")).to_string();
            assert!(!error.contains("zq1"), "{error}");
        }
    }
}
