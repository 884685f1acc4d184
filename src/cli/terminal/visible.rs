//! Untrusted text, escaped so that it can neither control a terminal nor pass for other text.
//!
//! All text from a server, a file or a log passes through here before
//! people read it: `output.rs` does it for messages, `table.rs` for cells.

use std::borrow::Cow;

use unicode_script::{Script, UnicodeScript};

use crate::domain::is_unseen;

/// Returns text of several lines with every unseen character escaped, except line ends and tabs.
pub(in crate::cli) fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, |c| !matches!(c, '\n' | '\t') && is_unseen(c))
}

/// Returns text that stays on its line: line ends and tabs are escaped too, so that no value forges a row.
///
/// So are the letters of another alphabet within a Latin word: `depl\u{43e}y`, whose `о` is Cyrillic, looks like `deploy`.
pub(in crate::cli) fn on_one_line(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || !words(text).any(is_mixed) {
        return escaped(text, is_unseen);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for word in words(text) {
        let marks = is_mixed(word);
        shown.push_str(&escaped(word, |c| is_unseen(c) || (marks && is_foreign(c))));
    }
    Cow::Owned(shown)
}

/// Returns the text in pieces that end with each character that is no letter.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(|c: char| !c.is_alphabetic())
}

/// Returns whether a word has Latin letters and letters of another alphabet.
fn is_mixed(word: &str) -> bool {
    word.chars().any(|c| c.script() == Script::Latin) && word.chars().any(is_foreign)
}

/// Returns whether a letter is of another alphabet than the Latin one. Chinese, Japanese and Korean are written beside
/// Latin letters, and look like none of them (UTS #39 §5.2).
fn is_foreign(c: char) -> bool {
    !matches!(
        c.script(),
        Script::Latin
            | Script::Common
            | Script::Inherited
            | Script::Unknown
            | Script::Han
            | Script::Hiragana
            | Script::Katakana
            | Script::Hangul
            | Script::Bopomofo
    )
}

fn escaped(text: &str, is_hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_hidden(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

#[cfg(feature = "client")]
/// Returns text unchanged for a file or a pipe, and escaped for a terminal.
pub(in crate::cli) fn for_reader(text: &str) -> Cow<'_, str> {
    if std::io::IsTerminal::is_terminal(&std::io::stdout()) { visible(text) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_steer_a_terminal_reorder_a_line_or_hide_in_it() {
        let hostile = [
            "\x1b]0;title\x07",
            "\x1b[2K",
            "\u{9b}31m",
            "\r",
            "\x7f",
            "\u{202e}yolped",
            "\u{2066}x\u{2069}",
            "de\u{200b}ploy",
            "de\u{200d}ploy",
            "\u{2060}",
            "\u{feff}ploy",
            "\u{e0041}",
            "\u{ad}",
            "\u{61c}",
            "\u{2028}",
            "\u{3164}",
        ];
        for text in hostile {
            for shown in [visible(text), on_one_line(text)] {
                assert!(shown.is_ascii(), "{shown:?} of {text:?}");
                assert!(!shown.chars().any(char::is_control), "{shown:?} of {text:?}");
            }
        }
        assert_eq!(visible("\u{202e}a\tb\n"), "\\u{202e}a\tb\n");
        assert_eq!(on_one_line("a\nstatus  healthy\tx"), "a\\nstatus  healthy\\tx");
    }

    /// Four tokens that looked like one in a list.
    #[test]
    fn a_letter_of_another_alphabet_within_a_latin_word_is_marked() {
        for (text, shown) in [
            ("depl\u{43e}y", "depl\\u{43e}y"),
            ("\u{430}da@example.com", "\\u{430}da@example.com"),
            ("ci-\u{3bf}ps runner", "ci-\\u{3bf}ps runner"),
            ("p\u{3b1}yments", "p\\u{3b1}yments"),
            ("a \u{13a0}b", "a \\u{13a0}b"),
            ("\u{442}est\u{202e}", "\\u{442}est\\u{202e}"),
        ] {
            assert_eq!(on_one_line(text), shown, "{text}");
        }
        for text in
            ["ключ deploy", "deploy ключ-2", "日本語 deploy", "deployキー", "한국어app", "naïve ß", "5 µm"]
        {
            assert!(matches!(on_one_line(text), Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn what_people_write_is_shown_as_it_is() {
        for text in ["deploy key", "ключ", "密钥", "clé d’Ada – 2", "🔑", "— sealroom/x", ""] {
            assert!(matches!(visible(text), Cow::Borrowed(_)), "{text}");
            assert_eq!(on_one_line(text), text);
        }
    }
}
