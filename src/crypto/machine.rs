//! The machine key: 32 random bytes in a file or a systemd credential, for starts without a person.
//!
//! Its text is `sealroom_machine_` and the bytes as base64url (RFC 4648 §5) without padding: scanners for leaked
//! secrets recognize it, and no passphrase is mistaken for it.

use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

use super::{
    key_bytes::KeyBytes,
    random::{self, RandomError},
};
use crate::domain::Secret;

/// The start of a machine key's text.
const PREFIX: &str = "sealroom_machine_";

/// A machine key.
pub struct MachineKey(KeyBytes<32>);

impl MachineKey {
    /// Generates a machine key.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn generate() -> Result<Self, RandomError> {
        random::secret().map(Self)
    }

    /// Returns the text for the key file.
    pub fn to_text(&self) -> Secret {
        Secret::from(PREFIX.to_owned() + &Zeroizing::new(BASE64URL_NOPAD.encode(self.0.bytes())))
    }

    /// Reads the text; `None` if it is not a machine key.
    pub fn from_text(text: &str) -> Option<Self> {
        let digits = text.trim().strip_prefix(PREFIX)?;
        let bytes = Zeroizing::new(BASE64URL_NOPAD.decode(digits.as_bytes()).ok()?);
        let mut key = KeyBytes::zeroed();
        key.bytes_mut().copy_from_slice(bytes.get(..32).filter(|_| bytes.len() == 32)?);
        Some(Self(key))
    }

    /// Returns the input of the slot's key derivation: the 32 bytes.
    pub fn to_secret(&self) -> Secret {
        Secret::new(self.0.bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_key_reads_back_and_nothing_else_passes_for_one() {
        let key = MachineKey::generate().unwrap();
        let text = key.to_text().expose_text().unwrap().to_owned();
        for text in [text.clone(), format!("{text}\n"), format!(" {text}\r\n")] {
            assert_eq!(MachineKey::from_text(&text).unwrap().0.bytes(), key.0.bytes());
        }
        let of_length = |length| format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&vec![7; length]));
        let [shorter, longer] = [31, 33].map(of_length);
        let cut = &text[..text.len() - 1];
        for other in ["", PREFIX, "a passphrase", cut, &text[1..], &shorter, &longer] {
            assert!(MachineKey::from_text(other).is_none(), "{other}");
        }
    }
}
