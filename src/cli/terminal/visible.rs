//! Untrusted text, escaped so that it can neither control a terminal nor pass for other text.
//!
//! Owns the set of characters that are escaped. All text from a server, a file or a log passes through here before
//! people read it: `output.rs` does it for messages, `table.rs` for cells.

use std::borrow::Cow;

/// Characters that have no shape of their own, or that reorder others: Unicode 17's category `Cf`, the line and
/// paragraph separators, and the letters that render as nothing.
const UNSEEN: &[(char, char)] = &[
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Returns text of several lines with every unseen character escaped, except line ends and tabs.
pub(in crate::cli) fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, |c| !matches!(c, '\n' | '\t') && is_unseen(c))
}

/// Returns text that stays on its line: line ends and tabs are escaped too, so that no value forges a row.
pub(in crate::cli) fn on_one_line(text: &str) -> Cow<'_, str> {
    escaped(text, is_unseen)
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

fn is_unseen(c: char) -> bool {
    c.is_control() || UNSEEN.iter().any(|(first, last)| (*first..=*last).contains(&c))
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

    #[test]
    fn what_people_write_is_shown_as_it_is() {
        for text in ["deploy key", "ключ", "密钥", "clé d’Ada – 2", "🔑", "— sealroom/x", ""] {
            assert!(matches!(visible(text), Cow::Borrowed(_)), "{text}");
            assert_eq!(on_one_line(text), text);
        }
    }
}
