//! HMAC-SHA-256 (RFC 2104) over a message for another system.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::domain::Secret;

/// A key that both sides know.
pub struct MacKey(Secret);

impl MacKey {
    /// Takes the key over.
    pub const fn new(key: Secret) -> Self {
        Self(key)
    }

    /// Returns the code of the parts' concatenation.
    pub fn code(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac: Hmac<Sha256> =
            Hmac::new_from_slice(self.0.expose()).expect("HMAC takes a key of any length");
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231 §4.3 and §4.5: a short key, and one beyond a block.
    #[test]
    fn the_published_vectors_hold() {
        let code = |key: &[u8], parts: &[&[u8]]| {
            data_encoding::HEXLOWER.encode(&MacKey::new(Secret::new(key.to_vec())).code(parts))
        };
        assert_eq!(
            code(b"Jefe", &[b"what do ya ", b"", b"want for nothing?"]),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            code(&[0xaa; 131], &[b"Test Using Larger Than Block-Size Key - Hash Key First"]),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }
}
