//! Spellings of a secret that people type: one word, several byte strings.
//!
//! Keyboards and systems differ in how they compose a letter: `é` arrives as one code point or as two. A new secret is
//! stored in NFC, the form of RFC 8265 §4.2; what is submitted is tried as it came, in NFC and in NFKC (NIST SP 800-63B
//! §3.1.1.2 allows both), so that a secret that an earlier version stored as it came still opens.
//!
//! The list depends only on the submitted text, never on what is stored. A caller tries all of it, even after a match:
//! the work does not reveal which spelling is stored, nor whether one is.

use icu_normalizer::ComposingNormalizerBorrowed;

use crate::domain::Secret;

const NFC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfc();
const NFKC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfkc();

/// The form in which a new secret is stored: NFC. Bytes that are not UTF-8 have no other form.
pub fn stored(secret: &Secret) -> Secret {
    secret.expose_text().map_or_else(|| copy(secret.expose()), |text| normalized(&NFC, text))
}

/// The spellings of a submitted password, each once: as it came, NFC, NFKC. ASCII has one.
pub fn of_password(secret: &Secret) -> Vec<Secret> {
    let mut list = vec![copy(secret.expose())];
    if let Some(text) = secret.expose_text() {
        push(&mut list, normalized(&NFC, text));
        push(&mut list, normalized(&NFKC, text));
    }
    list
}

/// The spellings of a submitted passphrase: those of a password, and then those of the passphrase without a byte order
/// mark and line ends at its end, which a file of it may have.
///
/// An earlier version took both for parts of the passphrase; a vault that was made so opens with the same file.
pub fn of_passphrase(secret: &Secret) -> Vec<Secret> {
    let mut list = vec![copy(secret.expose())];
    if let Some(text) = secret.expose_text() {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_end_matches(['\r', '\n']);
        push(&mut list, copy(text.as_bytes()));
        push(&mut list, normalized(&NFC, text));
        push(&mut list, normalized(&NFKC, text));
    }
    list
}

fn normalized(form: &ComposingNormalizerBorrowed<'_>, text: &str) -> Secret {
    Secret::from(form.normalize(text).into_owned())
}

fn copy(bytes: &[u8]) -> Secret {
    Secret::new(bytes.to_vec())
}

fn push(list: &mut Vec<Secret>, spelling: Secret) {
    // The comparison of two spellings of one text says nothing about what is stored: constant time is not needed.
    if list.iter().all(|known| known.expose() != spelling.expose()) {
        list.push(spelling);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &[Secret]) -> Vec<&str> {
        list.iter().map(|one| one.expose_text().unwrap()).collect()
    }

    #[test]
    fn a_submitted_password_is_tried_as_it_came_then_composed_then_compatible() {
        for (text, spellings) in [
            ("plain ascii", &["plain ascii"][..]),
            ("caf\u{e9}", &["caf\u{e9}"]),
            ("cafe\u{301}", &["cafe\u{301}", "caf\u{e9}"]),
            ("\u{212b}ngstr\u{f6}m", &["\u{212b}ngstr\u{f6}m", "\u{c5}ngstr\u{f6}m"]),
            // U+FB01 is one letter in NFC and two in NFKC; the accent makes all three differ.
            ("\u{fb01}e\u{301}", &["\u{fb01}e\u{301}", "\u{fb01}\u{e9}", "fi\u{e9}"]),
            ("\u{ff41}\u{ff42}", &["\u{ff41}\u{ff42}", "ab"]),
        ] {
            assert_eq!(texts(&of_password(&Secret::from(text.to_owned()))), spellings, "{text}");
            assert_eq!(texts(&of_passphrase(&Secret::from(text.to_owned()))), spellings, "{text}");
        }
        assert_eq!(of_password(&Secret::new(vec![0xe9])).len(), 1);
    }

    #[test]
    fn a_passphrase_is_tried_with_and_without_what_a_file_puts_around_it() {
        for text in ["\u{feff}nine words", "nine words\n", "nine words\r\n\r\n", "\u{feff}nine words\n\n"] {
            let list = of_passphrase(&Secret::from(text.to_owned()));
            assert_eq!(texts(&list), [text, "nine words"]);
        }
        assert_eq!(texts(&of_passphrase(&Secret::from("nine words ".to_owned()))), ["nine words "]);
    }

    #[test]
    fn what_is_stored_has_one_form() {
        for text in ["caf\u{e9}", "cafe\u{301}"] {
            assert_eq!(stored(&Secret::from(text.to_owned())).expose_text(), Some("caf\u{e9}"));
        }
        assert_eq!(stored(&Secret::new(vec![0xe9])).expose(), [0xe9]);
    }
}
