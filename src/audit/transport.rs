//! Damage that transport does to a text: other line ends, a byte order mark, another encoding, a missing end.
//!
//! Recognizes and mends it. None of it is forgery, and all of it breaks a signature as forgery does, so that a verifier
//! looks for it first. Knows nothing of signatures.

use std::borrow::Cow;

/// UTF-8's byte order mark.
const MARK: &[u8] = b"\xef\xbb\xbf";
/// Magic bytes of compressors, with the command that unpacks each.
const COMPRESSED: &[(&[u8], &str)] = &[
    (b"\x1f\x8b", "zcat"),
    (b"\x28\xb5\x2f\xfd", "zstdcat"),
    (b"\xfd7zXZ\x00", "xzcat"),
    (b"BZh", "bzcat"),
    (b"PK\x03\x04", "unzip -p"),
];

/// Damage that a text took on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Each line feed became a carriage return and a line feed, as git's `autocrlf` and FTP do it.
    #[error("line ends were changed (CRLF)")]
    CrLf,
    /// Each line feed became a carriage return.
    #[error("line ends were changed (CR)")]
    Cr,
    /// Something was put before the first character.
    #[error("it begins with a byte order mark")]
    Mark,
    /// It was written anew with two bytes for a character.
    #[error("it was converted to UTF-16")]
    Utf16,
    /// Bytes beyond ASCII were converted.
    #[error("it was converted to another encoding")]
    Encoding,
    /// The last line end is gone.
    #[error("the line end at its end is missing")]
    NoLineEnd,
    /// There are line ends at its start or end that it had not.
    #[error("empty lines were added")]
    EmptyLine,
    /// There are blanks around a line that it had not.
    #[error("blanks were added to its lines")]
    Blanks,
    /// A long line was broken.
    #[error("it was broken into several lines")]
    Wrapped,
    /// It was parsed and written anew.
    #[error("its JSON was written anew")]
    Rewritten,
    /// It is a string within JSON.
    #[error("it is the JSON of --json, and not the text in it")]
    Json,
    /// It has to be unpacked.
    #[error("it is compressed")]
    Compressed {
        /// The command that unpacks it.
        with: &'static str,
    },
}

impl Damage {
    /// Returns what a user can do about it.
    pub fn remedy(self) -> String {
        let again = "take it again as it was written";
        match self {
            Self::CrLf => {
                format!(
                    "{again} (in a git work tree: `* -text` in .gitattributes), or `tr -d '\\r' < FILE > COPY`"
                )
            }
            Self::Cr => format!("{again}, or `tr '\\r' '\\n' < FILE > COPY`"),
            Self::Mark => format!("{again}, or `tail -c +4 FILE > COPY`"),
            Self::Utf16 => {
                format!("{again} (PowerShell's `>` converts), or `iconv -f UTF-16 -t UTF-8 FILE > COPY`")
            }
            Self::NoLineEnd => format!("{again}, or give it back with `echo >> FILE`"),
            Self::EmptyLine | Self::Blanks | Self::Wrapped => format!("{again}, or take them out again"),
            Self::Encoding => again.to_owned(),
            Self::Rewritten => format!("{again}: `sealroom audit export --output FILE`"),
            Self::Json => "take it again without --json".to_owned(),
            Self::Compressed { with } => {
                format!(
                    "unpack it with `{with} FILE > COPY`, or a log with `{with} FILE | sealroom audit verify -`"
                )
            }
        }
    }
}

/// Returns what happened to a text as a whole, by its first bytes.
pub fn of_start(start: &[u8]) -> Option<Damage> {
    let compressed = COMPRESSED.iter().find(|(magic, _)| start.starts_with(magic));
    if let Some((_, with)) = compressed {
        return Some(Damage::Compressed { with });
    }
    let is_wide = |two: &[u8]| matches!(two, [0xff, 0xfe] | [0xfe, 0xff] | [0, 1..=0x7f] | [1..=0x7f, 0]);
    if start.get(..2).is_some_and(is_wide) {
        return Some(Damage::Utf16);
    }
    start.starts_with(MARK).then_some(Damage::Mark)
}

/// Returns what happened to an export, by its first bytes.
pub fn of_export(start: &[u8]) -> Option<Damage> {
    if let Some(damage) = of_start(start) {
        return Some(damage);
    }
    let trimmed = start.trim_ascii_start();
    if trimmed.len() < start.len() && trimmed.starts_with(b"{") {
        let is_line_end = matches!(start[0], b'\r' | b'\n');
        return Some(if is_line_end { Damage::EmptyLine } else { Damage::Blanks });
    }
    // A record has no white space between its tokens, and is an element of no array.
    let is_loose = |rest: &[u8]| rest.first().is_some_and(u8::is_ascii_whitespace);
    let array = start.strip_prefix(b"[").map(<[u8]>::trim_ascii_start);
    let is_rewritten = start.strip_prefix(b"{").is_some_and(is_loose)
        || start.strip_prefix(br#"{"v":"#).is_some_and(is_loose)
        || array.is_some_and(|rest| rest.starts_with(b"{"));
    is_rewritten.then_some(Damage::Rewritten)
}

/// Returns what happened to a line of an export, without its line feed.
pub fn of_line(line: &[u8]) -> Option<Damage> {
    match line {
        [] => Some(Damage::EmptyLine),
        [.., b'\r'] => Some(Damage::CrLf),
        // JSON text has no such byte: within strings it is escaped.
        _ if line.contains(&b'\r') => Some(Damage::Cr),
        [b' ' | b'\t', ..] | [.., b' ' | b'\t'] => Some(Damage::Blanks),
        _ => None,
    }
}

/// Returns what happened to a signed note.
pub fn of_note(note: &[u8]) -> Option<Damage> {
    if let Some(damage) = of_start(note) {
        return Some(damage);
    }
    let Ok(text) = std::str::from_utf8(note) else { return Some(Damage::Encoding) };
    if text.contains("\r\n") {
        return Some(Damage::CrLf);
    }
    if text.contains('\r') {
        return Some(Damage::Cr);
    }
    if text.trim_start().starts_with(r#"{"checkpoint":"#) {
        return Some(Damage::Json);
    }
    let body = text.trim_matches('\n');
    if body.is_empty() {
        return None;
    }
    // The dash before a signature is the only character beyond ASCII that a checkpoint of ours has.
    let is_replaced = || ["\n? ", "\n- ", "\n-- "].iter().any(|dash| body.contains(dash));
    if !body.contains("\u{2014} ") && (!body.is_ascii() || is_replaced()) {
        return Some(Damage::Encoding);
    }
    if body.lines().any(|line| line != line.trim()) {
        return Some(Damage::Blanks);
    }
    let (before, after) =
        (text.len() - text.trim_start_matches('\n').len(), text.trim_end_matches('\n').len());
    match (before, text.len() - after) {
        (0, 1) => None,
        (0, 0) => Some(Damage::NoLineEnd),
        _ => Some(Damage::EmptyLine),
    }
}

/// Returns what happened to a verifier key; white space around it does no harm.
pub fn of_key(key: &[u8]) -> Option<Damage> {
    if let Some(damage) = of_start(key) {
        return Some(damage);
    }
    let Ok(text) = std::str::from_utf8(key) else { return Some(Damage::Encoding) };
    let text = text.trim();
    if text.starts_with(r#"{"key":"#) {
        return Some(Damage::Json);
    }
    let parts = text.split_whitespace().collect::<String>();
    (parts != text && parts.starts_with("sealroom/")).then_some(Damage::Wrapped)
}

/// Returns a signed note as it most likely was before; its signature says whether that is so.
pub fn mended_note(note: &[u8]) -> String {
    let text = decoded(note).replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<&str> = text.trim().lines().map(str::trim).collect();
    lines.join("\n") + "\n"
}

fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    if of_start(bytes) != Some(Damage::Utf16) {
        return String::from_utf8_lossy(bytes.strip_prefix(MARK).unwrap_or(bytes));
    }
    let is_little = matches!(bytes, [0xff, 0xfe, ..] | [_, 0, ..]);
    let unit = |two: &[u8; 2]| if is_little { u16::from_le_bytes(*two) } else { u16::from_be_bytes(*two) };
    let units: Vec<u16> = bytes.as_chunks().0.iter().map(unit).collect();
    Cow::Owned(String::from_utf16_lossy(&units).trim_start_matches('\u{feff}').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: &str = "sealroom/x\n41\nAAAA\n\n\u{2014} sealroom/x BBBB\n";

    fn wide(text: &str, unit: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    }

    /// Journeys of a note, with the name of the damage that each does.
    fn journeys() -> Vec<(Vec<u8>, Damage)> {
        let text = |text: String| text.into_bytes();
        vec![
            (text(NOTE.replace('\n', "\r\n")), Damage::CrLf),
            (text(NOTE.replace('\n', "\r")), Damage::Cr),
            (text(format!("\u{feff}{NOTE}")), Damage::Mark),
            (wide(&format!("\u{feff}{NOTE}"), u16::to_le_bytes), Damage::Utf16),
            (wide(&format!("\u{feff}{NOTE}"), u16::to_be_bytes), Damage::Utf16),
            (wide(NOTE, u16::to_le_bytes), Damage::Utf16),
            (wide(NOTE, u16::to_be_bytes), Damage::Utf16),
            (text(NOTE.trim_end().to_owned()), Damage::NoLineEnd),
            (text(format!("{NOTE}\n")), Damage::EmptyLine),
            (text(format!("\n{NOTE}")), Damage::EmptyLine),
            (text(NOTE.replace('\n', " \n")), Damage::Blanks),
            (text(format!("  {}", NOTE.trim_end().replace('\n', "\n  ")) + "\n"), Damage::Blanks),
        ]
    }

    #[test]
    fn a_note_that_was_damaged_on_its_way_is_named_and_mended_and_a_whole_one_left_alone() {
        for (bytes, damage) in journeys() {
            assert_eq!(of_note(&bytes), Some(damage), "{bytes:?}");
            assert_eq!(mended_note(&bytes), NOTE, "{damage}");
        }
        assert_eq!((of_note(NOTE.as_bytes()), mended_note(NOTE.as_bytes())), (None, NOTE.to_owned()));
        for dash in ["\u{e2}\u{20ac}\u{201d}", "?", "-", "--"] {
            assert_eq!(of_note(NOTE.replace('\u{2014}', dash).as_bytes()), Some(Damage::Encoding), "{dash}");
        }
        assert_eq!(of_note(b"sealroom/x\n41\nAAAA\n\n\x97 sealroom/x BBBB\n"), Some(Damage::Encoding));
        assert_eq!(of_note(br#"{"checkpoint":"sealroom/x\n"}"#), Some(Damage::Json));
        // A forged note is not damaged by transport, whatever it looks like.
        for text in ["", "\n\n", "x", &NOTE.replace("41", "42"), &NOTE.replace("\n\n", "\n")] {
            let damage = of_note(text.as_bytes());
            assert!(matches!(damage, None | Some(Damage::NoLineEnd)), "{text:?}: {damage:?}");
        }
    }

    #[test]
    fn a_key_and_an_export_are_told_from_what_became_of_them() {
        let key = "sealroom/x+00000000+AAAA";
        for text in [key.to_owned(), format!("{key}\r\n"), format!(" {key}\n\n"), "nonsense here".to_owned()]
        {
            assert_eq!(of_key(text.as_bytes()), None, "{text:?}");
        }
        for (bytes, damage) in [
            (format!("\u{feff}{key}").into_bytes(), Damage::Mark),
            (wide(key, u16::to_le_bytes), Damage::Utf16),
            (key.replace("+A", "\n+A").into_bytes(), Damage::Wrapped),
            (format!(r#"{{"key":"{key}"}}"#).into_bytes(), Damage::Json),
            (b"sealroom/\xe9".to_vec(), Damage::Encoding),
        ] {
            assert_eq!(of_key(&bytes), Some(damage), "{damage}");
        }
        assert_eq!(of_export(br#"{"v":1,"sequence":0,"time""#), None);
        for (start, damage) in [
            (&b"\xef\xbb\xbf{\"v\":1,"[..], Damage::Mark),
            (b"\xff\xfe{\0\"\0", Damage::Utf16),
            (b"{\0\"\0v\0", Damage::Utf16),
            (b"\r\n{\"v\":1,", Damage::EmptyLine),
            (b"  {\"v\":1,", Damage::Blanks),
            (b"{\n  \"v\": 1,", Damage::Rewritten),
            (b"{\"v\": 1, ", Damage::Rewritten),
            (b"[{\"v\":1,", Damage::Rewritten),
            (b"\x1f\x8b\x08", Damage::Compressed { with: "zcat" }),
        ] {
            assert_eq!(of_export(start), Some(damage));
        }
        for (line, damage) in [
            (&b"{}\r"[..], Some(Damage::CrLf)),
            (b"{}\r{}", Some(Damage::Cr)),
            (b"", Some(Damage::EmptyLine)),
            (b"{} ", Some(Damage::Blanks)),
            (b"{\"a\":\" \"}", None),
            (b"{}\x00", None),
        ] {
            assert_eq!(of_line(line), damage, "{line:?}");
        }
    }
}
