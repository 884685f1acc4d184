//! The printed recovery key: 20 random bytes as Crockford base32 in groups of four; the last group is a checksum.

use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};
use zeroize::Zeroizing;

use super::{
    key_bytes::KeyBytes,
    random::{self, RandomError},
};
use crate::domain::{Invalid, Secret};

/// The digits.
const SYMBOLS: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// The number of digits: nine groups of four.
const DIGITS: usize = 36;

/// Crockford's alphabet; ambiguous letters are read as their digits, and blanks and hyphens are skipped.
static CROCKFORD: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str(SYMBOLS);
    spec.translate.from.push_str("abcdefghjkmnpqrstvwxyzOoIiLl");
    spec.translate.to.push_str("ABCDEFGHJKMNPQRSTVWXYZ001111");
    spec.ignore.push_str("- ");
    spec.encoding().expect("the alphabet has 32 symbols, none twice")
});

/// A recovery key.
pub struct RecoveryKey(KeyBytes<20>);

impl RecoveryKey {
    /// Generates a recovery key.
    pub fn generate() -> Result<Self, RandomError> {
        random::secret().map(Self)
    }

    /// Returns `ABCD-EFGH-…`: eight groups of key and one of checksum.
    pub fn to_text(&self) -> Secret {
        let digits = Zeroizing::new(CROCKFORD.encode(self.0.bytes()) + &checksum(self.0.bytes()));
        let groups: Vec<&str> = digits
            .as_bytes()
            .chunks(4)
            .map(|group| std::str::from_utf8(group).expect("base32 is ASCII"))
            .collect();
        Secret::from(groups.join("-"))
    }

    /// Parses a typed key, in any case, with or without hyphens.
    ///
    /// # Errors
    /// The text is no recovery key, or the checksum finds a typing mistake.
    pub fn from_text(text: &str) -> Result<Self, Invalid> {
        let wrong = Invalid {
            what: "recovery key",
            rule: "the nine groups of four that `init` printed; look for a typing mistake",
        };
        let digits: Zeroizing<String> =
            Zeroizing::new(text.trim().chars().filter(|c| !matches!(c, '-' | ' ')).collect());
        let (key, sum) = digits.split_at_checked(32).ok_or(wrong)?;
        let bytes = Zeroizing::new(CROCKFORD.decode(key.as_bytes()).map_err(|_| wrong)?);
        let mut key = KeyBytes::zeroed();
        key.bytes_mut().copy_from_slice(bytes.get(..20).filter(|_| bytes.len() == 20).ok_or(wrong)?);
        let expected =
            CROCKFORD.decode(format!("{}0000", checksum(key.bytes())).as_bytes()).map_err(|_| wrong)?;
        let found = CROCKFORD.decode(format!("{sum}0000").as_bytes()).map_err(|_| wrong)?;
        if sum.len() == 4 && expected == found { Ok(Self(key)) } else { Err(wrong) }
    }

    /// Finds the group of a mistyped key, counted from 1: the only group in which one other digit, or two swapped
    /// ones, makes the checksum fit. `None` if the text has not a recovery key's length, is right, or has more mistakes
    /// than one.
    pub fn mistyped_group(text: &str) -> Option<usize> {
        let digits: Zeroizing<Vec<u8>> =
            Zeroizing::new(text.trim().bytes().filter(|byte| !matches!(byte, b'-' | b' ')).collect());
        let fits =
            |digits: &[u8]| std::str::from_utf8(digits).is_ok_and(|text| Self::from_text(text).is_ok());
        let is_one = digits.len() == DIGITS && digits.iter().all(u8::is_ascii_alphanumeric);
        if !is_one || fits(&digits) {
            return None;
        }
        let mut groups = Vec::new();
        let mut tried = digits.clone();
        for at in 0..DIGITS {
            for digit in SYMBOLS.bytes() {
                tried[at] = digit;
                if fits(&tried) {
                    groups.push(at / 4 + 1);
                }
            }
            tried[at] = digits[at];
            if at + 1 < DIGITS {
                tried.swap(at, at + 1);
                if fits(&tried) {
                    groups.push(at / 4 + 1);
                }
                tried.swap(at, at + 1);
            }
        }
        groups.dedup();
        // By chance a second group may explain the mistake too.
        match groups[..] {
            [group] => Some(group),
            _ => None,
        }
    }

    /// Returns whether a text has the form of a recovery key, right or mistyped: 36 letters and digits in groups of
    /// four.
    pub fn looks_like_one(text: &str) -> bool {
        let groups: Vec<&str> = text.trim().split(['-', ' ']).filter(|group| !group.is_empty()).collect();
        let is_group =
            |group: &&str| group.len() == 4 && group.bytes().all(|byte| byte.is_ascii_alphanumeric());
        groups.len() == DIGITS / 4 && groups.iter().all(is_group)
    }

    /// Returns the input of the slot's key derivation: the 20 bytes.
    pub fn to_secret(&self) -> Secret {
        Secret::new(self.0.bytes().to_vec())
    }
}

/// Returns the first 20 bits of SHA-256 over the key, as four digits.
fn checksum(key: &[u8; 20]) -> String {
    let hash = super::digest::sha256_parts(&[b"sealroom recovery key", key]);
    CROCKFORD.encode(&hash[..5])[..4].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(key: &RecoveryKey) -> String {
        String::from_utf8(key.to_text().expose().to_vec()).unwrap()
    }

    #[test]
    fn a_recovery_key_reads_back_however_it_is_typed() {
        let key = RecoveryKey([0x1f; 20].into());
        let text = text(&key);
        assert!(RecoveryKey::looks_like_one(&text.replace('-', " - ")));
        assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [4; 9]);
        for typed in [
            text.clone(),
            text.to_lowercase(),
            text.replace('-', ""),
            text.replace('-', " "),
            text.replace('0', "O").replace('1', "l"),
        ] {
            let read = RecoveryKey::from_text(&typed).unwrap_or_else(|_| panic!("{typed}"));
            assert_eq!(read.0.bytes(), &[0x1f; 20]);
        }
    }

    #[test]
    fn the_group_of_a_single_mistake_is_named_and_no_wrong_one() {
        let text = text(&RecoveryKey([0x5a; 20].into()));
        assert_eq!(RecoveryKey::mistyped_group(&text), None);
        let mut named = 0;
        for at in (0..text.len()).filter(|at| text.as_bytes()[*at] != b'-') {
            let mut typed = text.clone().into_bytes();
            typed[at] = if typed[at] == b'7' { b'8' } else { b'7' };
            let typed = String::from_utf8(typed).unwrap();
            let group = RecoveryKey::mistyped_group(&typed);
            assert!(RecoveryKey::looks_like_one(&typed) && group.is_none_or(|group| group == at / 5 + 1));
            named += usize::from(group.is_some());
        }
        assert!(named >= 34, "one mistake in a thousand has two explanations: {named}");
        // Two swapped digits, also those around a hyphen.
        let digits = text.replace('-', "");
        for at in [0, 3, 18, 34] {
            let mut typed = digits.clone().into_bytes();
            typed.swap(at, at + 1);
            let group = RecoveryKey::mistyped_group(std::str::from_utf8(&typed).unwrap());
            assert_eq!(group, Some(at / 4 + 1), "{at}");
        }
        for text in ["", "ABCD", "ä", "a passphrase of some length and words"] {
            assert!(RecoveryKey::mistyped_group(text).is_none() && !RecoveryKey::looks_like_one(text));
        }
    }

    #[test]
    fn every_single_mistyped_digit_is_found() {
        // One fixed key: a checksum of 20 bits misses one mistake in a million.
        let text = text(&RecoveryKey([0x5a; 20].into()));
        for at in (0..text.len()).filter(|at| text.as_bytes()[*at] != b'-') {
            let mut typed = text.clone().into_bytes();
            typed[at] = if typed[at] == b'7' { b'8' } else { b'7' };
            assert!(RecoveryKey::from_text(std::str::from_utf8(&typed).unwrap()).is_err());
        }
        for text in ["", "ABCD", "ä", &"é".repeat(18)] {
            assert!(RecoveryKey::from_text(text).is_err());
        }
    }
}
