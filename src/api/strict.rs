//! The one rule for every body: UTF-8, one JSON value, no duplicate keys, not too deep.
//!
//! Owns the check and its error, which holds a position and a kind and never content. Knows no fields.
//!
//! `serde_json` checks the grammar, without recursion and without parsing numbers. A second walk then finds the flaws
//! that `serde_json` accepts: excessive depth, duplicate keys after unescaping, and lone surrogates.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::unescape::unescape;

/// The deepest nesting of arrays and objects. No provider's credential or configuration needs half of it, and it is
/// safe for clients with a recursive parser (contract §1).
pub const DEPTH_MAX: usize = 16;

/// The flaw of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It is empty.
    Empty,
    /// It is not UTF-8.
    Encoding,
    /// It is not JSON, or something follows the value.
    Syntax,
    /// It is incomplete.
    Truncated,
    /// It is deeper than [`DEPTH_MAX`].
    Depth,
    /// An object has a duplicate key.
    DuplicateKey,
    /// A string has an escape for half a surrogate pair.
    LoneSurrogate,
}

/// The error of a body that is not strict JSON; holds no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub struct BadJson {
    /// The flaw.
    pub flaw: Flaw,
    /// The line, from 1.
    pub line: usize,
    /// The byte within the line, from 1; 0 where the line has none.
    pub column: usize,
}

impl fmt::Display for BadJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.flaw {
            Flaw::Empty => return f.write_str("the body is empty where JSON is expected"),
            Flaw::Encoding => "the body is not UTF-8",
            Flaw::Syntax => "the body is not valid JSON",
            Flaw::Truncated => "the body is not valid JSON: it ends too early",
            Flaw::Depth => "the body is nested more than 16 levels deep",
            Flaw::DuplicateKey => "the body has an object with a duplicate key",
            Flaw::LoneSurrogate => "the body has an escape that is half a surrogate pair",
        };
        write!(f, "{text} (line {}, column {})", self.line, self.column)
    }
}

/// Checks a body and returns it as text.
///
/// # Errors
/// [`BadJson`] for the first flaw; encoding is checked first, then the grammar, then the rest.
pub fn check(bytes: &[u8]) -> Result<&str, BadJson> {
    let text = std::str::from_utf8(bytes).map_err(|error| at(bytes, error.valid_up_to(), Flaw::Encoding))?;
    serde_json::from_str::<&RawValue>(text).map_err(|error| BadJson {
        flaw: match error.is_eof() {
            true if text.trim_ascii().is_empty() => Flaw::Empty,
            true => Flaw::Truncated,
            false => Flaw::Syntax,
        },
        line: error.line(),
        column: error.column(),
    })?;
    walk(text).map_err(|(offset, flaw)| at(bytes, offset, flaw))?;
    Ok(text)
}

fn at(bytes: &[u8], offset: usize, flaw: Flaw) -> BadJson {
    let before = &bytes[..offset];
    let (lines_before, line) = before.split(|byte| *byte == b'\n').enumerate().last().unwrap_or((0, before));
    BadJson { flaw, line: lines_before + 1, column: line.len() + 1 }
}

/// The keys of an object so far; empty for an array.
type Level<'a> = HashSet<Key<'a>>;

/// Walks valid JSON; returns the first flaw with its byte offset.
fn walk(text: &str) -> Result<(), (usize, Flaw)> {
    let bytes = text.as_bytes();
    let mut levels: Vec<Level<'_>> = Vec::with_capacity(DEPTH_MAX);
    let mut offset = 0;
    while let Some(byte) = bytes.get(offset) {
        match byte {
            b'{' | b'[' if levels.len() == DEPTH_MAX => return Err((offset, Flaw::Depth)),
            b'{' | b'[' => levels.push(Level::new()),
            b'}' | b']' => drop(levels.pop()),
            b'"' => {
                let inside = string_inside(text, offset);
                let end = offset + inside.len() + 2;
                let key = Key::new(inside).ok_or((offset, Flaw::LoneSurrogate))?;
                if is_key(&bytes[end..]) && !levels.last_mut().is_none_or(|level| level.insert(key)) {
                    return Err((offset, Flaw::DuplicateKey));
                }
                offset = end;
                continue;
            }
            _ => {}
        }
        offset += 1;
    }
    Ok(())
}

/// Returns the text between the quotes of the string that starts at `start`.
fn string_inside(text: &str, start: usize) -> &str {
    let inside = &text[start + 1..];
    let mut escaped = false;
    let end = inside.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    &inside[..end.unwrap_or(inside.len())]
}

/// Returns whether the string before `after` is a key: in valid JSON only a key precedes a colon.
fn is_key(after: &[u8]) -> bool {
    after.trim_ascii_start().first() == Some(&b':')
}

/// An unescaped string. It may turn out to be a value, so a secret: a copy is wiped on drop.
#[derive(PartialEq, Eq, Hash)]
struct Key<'a>(Cow<'a, str>);

impl<'a> Key<'a> {
    fn new(inside: &'a str) -> Option<Self> {
        if !inside.contains('\\') {
            return Some(Self(Cow::Borrowed(inside)));
        }
        unescape(inside).map(|mut text| Self(Cow::Owned(std::mem::take(&mut *text))))
    }
}

impl Drop for Key<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            drop(Zeroizing::new(std::mem::take(text)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn flaw(body: impl AsRef<[u8]>) -> Option<Flaw> {
        check(body.as_ref()).err().map(|bad| bad.flaw)
    }

    fn nested(depth: usize) -> String {
        "[".repeat(depth) + &"]".repeat(depth)
    }

    #[test]
    fn any_single_value_is_json() {
        for body in [
            "{}",
            " [1, 2.50, -0, 1e999, 123456789012345678901234567890] ",
            "null",
            "\"x\"",
            r#"{"a":{"a":1},"b":[{"a":2},{"a":3}]}"#,
            r#"{"":"","\\":"\\","a\"":1,"a":"\":"}"#,
            r#"{"a":"a","b":"a","c":["a","a"]}"#,
            r#""\ud83d\ude00 \u0000""#,
        ] {
            assert_eq!(check(body.as_bytes()), Ok(body));
        }
    }

    #[test]
    fn what_is_not_one_json_value_is_refused() {
        for body in [
            "{} {}",
            "{},",
            "{}x",
            "{a:1}",
            "{'a':1}",
            "[1,]",
            "01",
            "+1",
            "NaN",
            "\u{feff}{}",
            "\0",
            "{}\0",
            "\"\0\"",
            "\"\n\"",
            r#""\x""#,
            "// x",
            "}",
            "[}",
        ] {
            assert_eq!(flaw(body), Some(Flaw::Syntax), "{body:?}");
        }
        for body in ["{", "[1", "nul", "\"", r#"{"a"#, r#"{"a":"#] {
            assert_eq!(flaw(body), Some(Flaw::Truncated), "{body:?}");
        }
        for body in ["", " ", "\n\t "] {
            assert_eq!(flaw(body), Some(Flaw::Empty), "{body:?}");
        }
        for body in [&b"\xff"[..], b"\"\xc3\"", b"\"\xed\xa0\x80\"", b"\xff\xfe{\0}\0"] {
            assert_eq!(flaw(body), Some(Flaw::Encoding));
        }
    }

    #[test]
    fn sixteen_levels_are_allowed_and_seventeen_are_not() {
        assert_eq!(flaw(nested(16)), None);
        assert_eq!(flaw(nested(17)), Some(Flaw::Depth));
        assert_eq!(flaw(r#"{"a":"#.repeat(17) + "1" + &"}".repeat(17)), Some(Flaw::Depth));
        assert_eq!(flaw("[[[[[[[[[[[[[[[[\"[[[[\"]]]]]]]]]]]]]]]]"), None);
        assert_eq!(flaw(nested(1_000_000)), Some(Flaw::Depth));
        assert_eq!(flaw("[".repeat(1_000_000)), Some(Flaw::Truncated));
    }

    #[test]
    fn a_key_twice_is_found_however_it_is_spelt() {
        for body in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"\u0061":1,"a":2}"#,
            r#"{"😀":1,"\ud83d\ude00":2}"#,
            r#"{"\/":1 , "/" : 2}"#,
            r#"[{"b":{"a":[],"c":1,"a":1}}]"#,
            r#"{"":1,"":2}"#,
        ] {
            assert_eq!(flaw(body), Some(Flaw::DuplicateKey), "{body}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_refused_in_keys_and_values() {
        for body in [r#""\ud800""#, r#"{"\udc00":1}"#, r#"["\ud800\u0041"]"#, r#"{"a":"\udbff\udbff"}"#] {
            assert_eq!(flaw(body), Some(Flaw::LoneSurrogate), "{body}");
        }
    }

    #[test]
    fn a_refusal_names_the_place_and_no_content() {
        let bad = check(b"{\"a\":1,\n  \"hunter2\": 1, \"hunter2\": 2}").unwrap_err();
        assert_eq!(bad, BadJson { flaw: Flaw::DuplicateKey, line: 2, column: 17 });
        assert_eq!(bad.to_string(), "the body has an object with a duplicate key (line 2, column 17)");
        assert_eq!(
            check(b"{\"a\": hunter2}").unwrap_err().to_string(),
            "the body is not valid JSON (line 1, column 7)"
        );
        let bad = check(b"\n\n\"\xff\"").unwrap_err();
        assert_eq!((bad.line, bad.column), (3, 2));
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,5})?",
            any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        ];
        leaf.prop_recursive(6, 60, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5)
                    .prop_map(|items| format!("[{}]", items.join(" , "))),
                prop::collection::btree_map(any::<String>(), inner, 0..5).prop_map(|members| {
                    let member = |(key, value): (String, String)| {
                        format!("{} :{value}", serde_json::to_string(&key).unwrap())
                    };
                    format!("{{{}}}", members.into_iter().map(member).collect::<Vec<_>>().join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_json_with_unique_keys_passes(body in json()) {
            prop_assert_eq!(check(body.as_bytes()), Ok(&*body));
        }

        #[test]
        fn a_repeated_key_never_passes(key: String, body in json()) {
            let plain = serde_json::to_string(&key).unwrap();
            let escaped = key.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat();
            let doubled = format!("{{{plain}:{body},\"x\":1,\"{escaped}\":{body}}}");
            prop_assume!(key != "x");
            prop_assert_eq!(flaw(doubled), Some(Flaw::DuplicateKey));
        }

        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..200), text in r#"[\[\]{}":,\\u0-9 a]{0,60}"#) {
            let _ = check(&body);
            let _ = check(text.as_bytes());
        }

        #[test]
        fn what_passes_is_what_serde_json_takes(text in r#"[\[\]{}":,\\u1 a]{0,12}"#) {
            if check(text.as_bytes()).is_ok() {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
            }
        }
    }
}
