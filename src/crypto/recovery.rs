//! The printed recovery key: 20 random bytes as Crockford base32 in groups of four; the last group is a checksum.

use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};
use zeroize::Zeroizing;

use super::random::{self, RandomError};
use crate::domain::{Invalid, Secret};

/// Crockford's alphabet; ambiguous letters are read as their digits, and blanks and hyphens are skipped.
static CROCKFORD: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("0123456789ABCDEFGHJKMNPQRSTVWXYZ");
    spec.translate.from.push_str("abcdefghjkmnpqrstvwxyzOoIiLl");
    spec.translate.to.push_str("ABCDEFGHJKMNPQRSTVWXYZ001111");
    spec.ignore.push_str("- ");
    spec.encoding().expect("the alphabet has 32 symbols, none twice")
});

/// A recovery key.
pub struct RecoveryKey(Zeroizing<[u8; 20]>);

impl RecoveryKey {
    /// Generates a recovery key.
    pub fn generate() -> Result<Self, RandomError> {
        random::secret().map(Self)
    }

    /// Returns `ABCD-EFGH-…`: eight groups of key and one of checksum.
    pub fn to_text(&self) -> Secret {
        let digits = Zeroizing::new(CROCKFORD.encode(self.0.as_slice()) + &checksum(&self.0));
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
        let mut key = Zeroizing::new([0; 20]);
        key.copy_from_slice(bytes.get(..20).filter(|_| bytes.len() == 20).ok_or(wrong)?);
        let expected = CROCKFORD.decode(format!("{}0000", checksum(&key)).as_bytes()).map_err(|_| wrong)?;
        let found = CROCKFORD.decode(format!("{sum}0000").as_bytes()).map_err(|_| wrong)?;
        if sum.len() == 4 && expected == found { Ok(Self(key)) } else { Err(wrong) }
    }

    /// Returns the input of the slot's key derivation: the 20 bytes.
    pub fn to_secret(&self) -> Secret {
        Secret::new(self.0.to_vec())
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
        let key = RecoveryKey(Zeroizing::new([0x1f; 20]));
        let text = text(&key);
        assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [4; 9]);
        for typed in [
            text.clone(),
            text.to_lowercase(),
            text.replace('-', ""),
            text.replace('-', " "),
            text.replace('0', "O").replace('1', "l"),
        ] {
            assert_eq!(*RecoveryKey::from_text(&typed).unwrap_or_else(|_| panic!("{typed}")).0, [0x1f; 20]);
        }
    }

    #[test]
    fn every_single_mistyped_digit_is_found() {
        // One fixed key: a checksum of 20 bits misses one mistake in a million.
        let text = text(&RecoveryKey(Zeroizing::new([0x5a; 20])));
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
