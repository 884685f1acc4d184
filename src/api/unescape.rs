//! Unescapes JSON strings (RFC 8259 §7).
//!
//! `serde_json` would unescape into a buffer that is never wiped, and a private key is full of `\n`.

use zeroize::Zeroizing;

/// Unescapes the text between the quotes of a JSON string; `None` for a lone surrogate or invalid text.
///
/// The result is allocated once: growing it would leave unwiped copies.
pub(super) fn unescape(inside: &str) -> Option<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(inside.len()));
    let mut rest = inside;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let (character, after) = escape(&rest[at + 1..])?;
        text.push(character);
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

/// Parses an escape after its backslash; returns its character and the rest.
fn escape(text: &str) -> Option<(char, &str)> {
    let rest = text.get(1..)?;
    let character = match text.as_bytes()[0] {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return code_point(rest),
        _ => return None,
    };
    Some((character, rest))
}

/// Parses four hexadecimal digits, and a second escape if they are the first half of a surrogate pair.
fn code_point(text: &str) -> Option<(char, &str)> {
    let (first, rest) = code_unit(text)?;
    if let Some(character) = char::from_u32(u32::from(first)) {
        return Some((character, rest));
    }
    let (second, rest) = code_unit(rest.strip_prefix("\\u")?)?;
    let character = char::decode_utf16([first, second]).next()?.ok()?;
    Some((character, rest))
}

fn code_unit(text: &str) -> Option<(u16, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    // `from_str_radix` takes a sign, which JSON does not.
    let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u16::from_str_radix(digits, 16).ok()).flatten().map(|unit| (unit, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(inside: &str) -> Option<String> {
        unescape(inside).map(|text| text.to_string())
    }

    #[test]
    fn every_escape_is_understood() {
        assert_eq!(plain(r#"\"\\\/\b\f\n\r\t"#).unwrap(), "\"\\/\u{8}\u{c}\n\r\t");
        assert_eq!(plain(r"\u0000\u00e4\u00E4\uD83D\uDE00").unwrap(), "\0ää😀");
        assert_eq!(plain("ä").unwrap(), "ä");
    }

    #[test]
    fn what_no_text_can_hold_is_refused() {
        for inside in [
            r"\ud800",
            r"\ud800x",
            r"\ud800\n",
            r"\ud800\u0041",
            r"\ud800\ud800",
            r"\udc00",
            r"\udc00\ud800",
            r"\u12",
            r"\u+123",
            r"\x",
            "\\",
            "\\ä",
            r"\u12ä",
        ] {
            assert!(plain(inside).is_none(), "{inside}");
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_serde_json(text: String) {
            let quoted = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(plain(&quoted[1..quoted.len() - 1]), Some(text));
        }

        #[test]
        fn it_never_grows_its_buffer_nor_panics(inside in r#"(\\u[dD][89a-fA-F][0-9]{2}|\\[nu"]|.){0,20}"#) {
            if let Some(text) = unescape(&inside) {
                prop_assert!(text.len() <= inside.len());
            }
        }
    }
}
