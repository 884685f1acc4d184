//! The armour of PEM (RFC 7468 §3), as far as a paste needs it: whether a block is open, and whether one is a key.

/// The state of a text's PEM blocks.
#[cfg(unix)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Armour {
    /// There is no block.
    None,
    /// A block has begun and not ended.
    Open,
    /// Every block that began has ended.
    Closed,
}

#[cfg(unix)]
const BEGIN: &[u8] = b"-----BEGIN ";
#[cfg(unix)]
const END: &[u8] = b"-----END ";

/// Returns the state of the blocks at the end of the text. Text may precede, separate and follow blocks (RFC 7468 §2).
#[cfg(unix)]
pub(super) fn armour(text: &[u8]) -> Armour {
    let mut armour = Armour::None;
    for line in text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
        if line.starts_with(BEGIN) {
            armour = Armour::Open;
        }
        // BEGIN and END share a line if line ends were written as `\n`.
        if armour == Armour::Open && line.windows(END.len()).any(|part| part == END) {
            armour = Armour::Closed;
        }
    }
    armour
}

/// Returns whether the text has a complete block of a private key: PKCS#8, PKCS#1, SEC1 or OpenSSH, encrypted or not.
#[cfg(feature = "client")]
pub(super) fn holds_private_key(text: &str) -> bool {
    text.split("-----BEGIN ").skip(1).any(|block| {
        let Some((label, rest)) = block.split_once("-----") else { return false };
        let Some((content, _)) = rest.split_once(&format!("-----END {label}-----")) else { return false };
        label.ends_with("PRIVATE KEY") && content.contains(|c: char| c.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMETERS: &str = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    const KEY: &str = "-----BEGIN EC PRIVATE KEY-----\nZXhhbXBsZQ==\n-----END EC PRIVATE KEY-----\n";

    #[cfg(unix)]
    #[test]
    fn a_text_ends_where_its_last_block_does() {
        for (text, expected) in [
            ("ghp_example".to_owned(), Armour::None),
            (KEY.to_owned(), Armour::Closed),
            (format!("{PARAMETERS}{KEY}"), Armour::Closed),
            (format!("Bag Attributes\n{KEY}# end"), Armour::Closed),
            (format!("{PARAMETERS}-----BEGIN EC PRIVATE KEY-----\nZXhh"), Armour::Open),
            (KEY.replace('\n', "\\n"), Armour::Closed),
            (format!("  {}", KEY.replace('\n', "\n  ")), Armour::Closed),
        ] {
            assert_eq!(armour(text.as_bytes()), expected, "{text}");
        }
    }

    #[cfg(feature = "client")]
    #[test]
    fn only_a_whole_block_of_a_private_key_is_one() {
        for (text, holds) in [
            (KEY.to_owned(), true),
            (KEY.replace("EC ", ""), true),
            (KEY.replace("EC ", "OPENSSH "), true),
            (KEY.replace("EC ", "ENCRYPTED "), true),
            (format!("Bag Attributes\n{PARAMETERS}{KEY}"), true),
            (KEY.replace('\n', "\\n"), true),
            (PARAMETERS.to_owned(), false),
            (KEY.replace("EC PRIVATE", "PUBLIC"), false),
            (KEY.replace("-----END", "-----ENDE"), false),
            ("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----".to_owned(), false),
            ("12345".to_owned(), false),
        ] {
            assert_eq!(holds_private_key(&text), holds, "{text}");
        }
    }
}
