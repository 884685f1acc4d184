//! The forms in which a program may print a value: as it is, URL-encoded, in JSON, quoted for a shell, in base64.

use std::fmt::Write;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;
use zeroize::Zeroizing;

use crate::cli::client::credentials::{MASKED_BYTES_MIN, secrets_within};

/// RFC 3986 §2.3.
const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Python's `quote` keeps slashes.
const PATH: &AsciiSet = &STRICT.remove(b'/');
/// JavaScript's `encodeURIComponent`.
const COMPONENT: &AsciiSet = &STRICT.remove(b'!').remove(b'*').remove(b'\'').remove(b'(').remove(b')');
/// The widths at which tools break base64: PEM and openssl, then coreutils and MIME.
const WIDTHS: [usize; 2] = [64, 76];

/// A form; wiped on drop.
pub(super) type Form = Zeroizing<Vec<u8>>;

/// Returns every form of a value, of each of its lines, of the password in it if it is a URL, and of the secrets in it
/// if it is JSON.
pub(super) fn forms(value: &str) -> Vec<Form> {
    let mut forms = Forms(Vec::new());
    forms.add_whole(value);
    secrets_within(value).iter().for_each(|part| forms.add_whole(part));
    forms.0
}

struct Forms(Vec<Form>);

impl Forms {
    fn add(&mut self, form: impl Into<Vec<u8>>) {
        let form = Zeroizing::new(form.into());
        if form.len() >= MASKED_BYTES_MIN {
            self.0.push(form);
        }
    }

    /// Adds a text, its lines, its wrapped base64, and the password in it if it is a URL.
    fn add_whole(&mut self, text: &str) {
        self.add_text(text);
        text.split('\n').map(|line| line.trim_end_matches('\r')).for_each(|line| self.add_text(line));
        self.add_wrapped(text);
        if let Some(password) = Url::parse(text).ok().and_then(|url| url.password().map(str::to_owned)) {
            let password = Zeroizing::new(password);
            self.add_text(&password);
            if let Ok(decoded) = percent_decode_str(&password).decode_utf8() {
                self.add_text(&Zeroizing::new(decoded.into_owned()));
            }
        }
    }

    fn add_text(&mut self, text: &str) {
        if text.len() < MASKED_BYTES_MIN {
            return;
        }
        self.add(text);
        for set in [STRICT, PATH, COMPONENT] {
            let encoded = Zeroizing::new(utf8_percent_encode(text, set).to_string());
            self.add(lower_escapes(&encoded));
            self.add(encoded.replace("%20", "+"));
            self.add(encoded.as_str());
        }
        for (escape_slash, escape_html, escape_wide) in
            [(false, false, false), (true, false, true), (false, true, false), (false, false, true)]
        {
            self.add(json(text, escape_slash, escape_html, escape_wide));
        }
        self.add(text.replace('\'', r"'\''"));
        // A literal in single quotes, as Python's `repr` prints one.
        self.add(json(text, false, false, false).replace("\\\"", "\"").replace('\'', "\\'"));
        for alignment in 0..3 {
            self.add_base64(text.as_bytes(), alignment);
        }
    }

    /// Adds the characters of the encoding that follow from the value alone, `alignment` bytes after the start of a
    /// group of three.
    fn add_base64(&mut self, bytes: &[u8], alignment: usize) {
        let padded = Zeroizing::new([&[0; 2][..alignment], bytes].concat());
        // A character whose bits belong to a neighbour too is not the value's own.
        let (first, end) = ([0, 2, 3][alignment], padded.len() * 8 / 6);
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let text = Zeroizing::new(engine.encode(&*padded));
            let own = text.as_bytes().get(first..end).unwrap_or_default();
            self.add(own);
            // If the encoding ends with the value, its last bits and the padding are the value's own too.
            let whole =
                [text.as_bytes().get(first..).unwrap_or_default(), &b"=="[..(4 - text.len() % 4) % 4]];
            self.add(whole[0]);
            self.add(whole.concat());
        }
    }

    /// Adds the lines of the value's own base64, as tools break it, also with the line end that `echo` adds.
    fn add_wrapped(&mut self, value: &str) {
        for text in [Zeroizing::new(value.to_owned()), Zeroizing::new(format!("{value}\n"))] {
            let encoded = Zeroizing::new(STANDARD_NO_PAD.encode(text.as_bytes()));
            for width in WIDTHS.into_iter().filter(|width| encoded.len() > *width) {
                encoded.as_bytes().chunks(width).for_each(|line| self.add(line));
            }
        }
    }
}

/// Returns percent-encoded text with lower-case digits.
fn lower_escapes(encoded: &str) -> String {
    // Two digits follow each percent sign.
    let mut out = String::with_capacity(encoded.len());
    let mut left: u8 = 0;
    for c in encoded.chars() {
        out.push(if left > 0 { c.to_ascii_lowercase() } else { c });
        left = if c == '%' { 2 } else { left.saturating_sub(1) };
    }
    out
}

/// Returns the text within a JSON string; encoders differ in what they escape beyond the necessary.
fn json(text: &str, escape_slash: bool, escape_html: bool, escape_wide: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    for c in text.chars() {
        let is_escaped =
            c < ' ' || (escape_html && matches!(c, '<' | '>' | '&')) || (escape_wide && !c.is_ascii());
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '/' if escape_slash => out.push_str("\\/"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if is_escaped => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // A String accepts every write.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(value: &str, form: &str) -> bool {
        forms(value).iter().any(|one| one.as_slice() == form.as_bytes())
    }

    #[test]
    fn each_form_is_the_one_that_tools_print() {
        let value = "p&s/w\"ö x'<";
        for form in [
            value,
            "p%26s%2Fw%22%C3%B6%20x%27%3C",
            "p%26s%2fw%22%c3%b6%20x%27%3c",
            "p%26s/w%22%C3%B6%20x%27%3C",
            "p%26s%2Fw%22%C3%B6+x%27%3C",
            "p%26s%2Fw%22%C3%B6%20x'%3C",
            "p&s/w\\\"ö x'<",
            "p&s\\/w\\\"\\u00f6 x'<",
            "p\\u0026s/w\\\"ö x'\\u003c",
            "p&s/w\"ö x'\\''<",
            "p&s/w\"ö x\\'<",
        ] {
            assert!(has(value, form), "{form}");
        }
        assert!(has("one line\nand two", "and two") && has("one line\nand two", "one line\\nand two"));
        assert!(has("postgres://u:s%40cret@h/d", "s@cret") && has("postgres://u:s%40cret@h/d", "s%40cret"));
        let key = r#"{"private_key":"-----BEGIN EXAMPLE-----\nzq1example"}"#;
        assert!(has(key, "zq1example") && has(key, "-----BEGIN EXAMPLE-----\nzq1example"));
        assert!(forms("abc").is_empty() && forms("").is_empty());
    }

    #[test]
    fn base64_holds_the_form_of_its_alignment_whatever_stands_around_the_value() {
        let value = "gh\u{fe}p_ex?mple~";
        for before in ["", "u", "us", "user:", "user2:"] {
            for after in ["", "x", "xy", "xyz"] {
                let whole = format!("{before}{value}{after}");
                for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                    let text = engine.encode(&whole);
                    let covered = forms(value).iter().any(|form| {
                        form.len() > value.len()
                            && text.as_bytes().windows(form.len()).any(|at| at == form.as_slice())
                    });
                    assert!(covered, "{whole}: {text}");
                }
            }
        }
    }

    #[test]
    fn every_line_of_wrapped_base64_is_a_form() {
        let key = format!("-----BEGIN EXAMPLE-----\n{}\n-----END EXAMPLE-----\n", "QUJD/+".repeat(40));
        let text = STANDARD_NO_PAD.encode(&key);
        for width in WIDTHS {
            for line in text.as_bytes().chunks(width) {
                let line = std::str::from_utf8(line).unwrap();
                assert!(line.len() < MASKED_BYTES_MIN || has(&key, line), "{line}");
            }
        }
    }
}
