//! The values of an input, whatever its format, and the errors of one that cannot be read.

use std::fmt;

use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// The deepest nesting of an input; a body of the server has the same limit.
pub(super) const DEPTH_MAX: usize = 16;

/// A node of an input: a text, or named nodes in their order.
pub(super) enum Node {
    /// A text; a value that is no text as it is spelt.
    Text(Zeroizing<String>),
    /// A scalar of YAML without quotes: its spelling, which may mean nothing, a truth value or a number.
    Plain(Zeroizing<String>),
    /// Named nodes.
    Map(Members),
    /// A list.
    List(Vec<Node>),
}

/// Named nodes in their order.
pub(super) type Members = Vec<(String, Node)>;

/// The reason why an input cannot be read, and the line; holds no part of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// The line, from 1; 0 if it has none.
    pub(super) line: usize,
    /// The flaw, as the end of a sentence about the input.
    pub(super) flaw: &'static str,
}

impl Unreadable {
    pub(super) const fn at(line: usize, flaw: &'static str) -> Self {
        Self { line, flaw }
    }

    pub(super) const fn whole(flaw: &'static str) -> Self {
        Self { line: 0, flaw }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(self.flaw),
            line => write!(f, "line {line} {}", self.flaw),
        }
    }
}

impl Node {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(Zeroizing::new(text.to_owned()))
    }

    /// Returns the node as text: a list or map inside a value is its JSON.
    pub(super) fn into_text(self) -> Zeroizing<String> {
        match self {
            Self::Plain(text) if is_null(&text) => Zeroizing::default(),
            Self::Text(text) | Self::Plain(text) => text,
            nested => {
                let mut json = Zeroizing::new(String::with_capacity(nested.json_bytes()));
                nested.push_json(&mut json);
                json
            }
        }
    }

    /// Returns an upper bound of the size of the node's JSON.
    fn json_bytes(&self) -> usize {
        // A control character becomes six.
        let text = |text: &str| text.len() * 6 + 3;
        match self {
            Self::Text(value) => text(value),
            Self::Plain(value) => text(value).max("null".len()),
            Self::Map(members) => {
                members.iter().map(|(name, node)| text(name) + node.json_bytes() + 2).sum::<usize>() + 2
            }
            Self::List(items) => items.iter().map(|item| item.json_bytes() + 1).sum::<usize>() + 2,
        }
    }

    fn push_json(&self, json: &mut String) {
        match self {
            Self::Text(text) => push_string(text, json),
            Self::Plain(text) => push_plain(text, json),
            Self::Map(members) => {
                json.push('{');
                for (index, (name, node)) in members.iter().enumerate() {
                    json.push_str(if index > 0 { "," } else { "" });
                    push_string(name, json);
                    json.push(':');
                    node.push_json(json);
                }
                json.push('}');
            }
            Self::List(items) => {
                json.push('[');
                for (index, item) in items.iter().enumerate() {
                    json.push_str(if index > 0 { "," } else { "" });
                    item.push_json(json);
                }
                json.push(']');
            }
        }
    }
}

/// Returns whether a plain scalar means nothing (YAML 1.2.2, section 10.3.2, the core schema).
fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// Appends a plain scalar as the core schema resolves it. A number that JSON would spell otherwise, such as `0123`, stays
/// the text that it may have been.
fn push_plain(text: &str, json: &mut String) {
    match text {
        text if is_null(text) => json.push_str("null"),
        "true" | "True" | "TRUE" => json.push_str("true"),
        "false" | "False" | "FALSE" => json.push_str("false"),
        text if text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
            && serde_json::from_str::<&RawValue>(text).is_ok() =>
        {
            json.push_str(text);
        }
        text => push_string(text, json),
    }
}

/// Appends a JSON string without a copy of it (RFC 8259 §7).
pub(super) fn push_string(text: &str, json: &mut String) {
    use fmt::Write as _;

    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            control if control < ' ' => {
                write!(json, "\\u{:04x}", u32::from(control)).expect("a String takes any text");
            }
            other => json.push(other),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_value_is_its_json_and_a_text_itself() {
        let node = Node::Map(vec![
            ("a\"b".to_owned(), Node::List(vec![Node::text("x\u{1}\n"), Node::text("é")])),
            ("c".to_owned(), Node::Map(Vec::new())),
        ]);
        assert_eq!(*node.into_text(), "{\"a\\\"b\":[\"x\\u0001\\n\",\"é\"],\"c\":{}}");
        assert_eq!(*Node::text("a\nb").into_text(), "a\nb");
    }
}
