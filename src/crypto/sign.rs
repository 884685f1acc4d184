//! The log key: Ed25519 (RFC 8032), sealed in the vault with XChaCha20-Poly1305:
//!
//! ```text
//! wrapped = nonce (24, random) ‖ private key under the wrap key (32) ‖ tag (16)
//! aad     = "sealroom log key 1" ‖ file id ‖ public key
//! ```

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use super::{
    error::WrongKey,
    key_bytes::{KeyBytes, lock_page},
    random::{self, RandomError},
};
use crate::domain::FileId;

const LABEL: &[u8] = b"sealroom log key 1";

/// The key that wraps log keys.
pub struct LogWrapKey(KeyBytes<32>);

impl LogWrapKey {
    pub(super) const fn new(key: KeyBytes<32>) -> Self {
        Self(key)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.0.bytes().into())
    }
}

/// The key that signs checkpoints, at one place of the heap; wiped on drop.
pub struct LogKey(Box<SigningKey>);

impl LogKey {
    pub(super) fn new(private: &[u8; 32]) -> Self {
        let key = Box::new(SigningKey::from_bytes(private));
        lock_page(&*key);
        Self(key)
    }

    /// Generates a log key.
    pub fn generate() -> Result<Self, RandomError> {
        Ok(Self::new(random::secret()?.bytes()))
    }

    /// Returns the public key.
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// Wraps the private key.
    pub fn wrap(&self, key: &LogWrapKey, file: FileId) -> Result<Vec<u8>, RandomError> {
        let nonce: [u8; 24] = random::bytes()?;
        let mut private = KeyBytes::<32>::zeroed();
        private.bytes_mut().copy_from_slice(self.0.as_bytes());
        let tag = key
            .cipher()
            .encrypt_inout_detached(
                &nonce.into(),
                &aad(file, &self.public()),
                private.bytes_mut().as_mut_slice().into(),
            )
            .expect("XChaCha20-Poly1305 takes 32 bytes");
        Ok([nonce.as_slice(), private.bytes(), &tag].concat())
    }

    /// Unwraps a key that [`LogKey::wrap`] wrapped.
    ///
    /// # Errors
    /// The key or the file is another, or the private key does not belong to `public`.
    pub fn unwrap(
        key: &LogWrapKey,
        file: FileId,
        public: [u8; 32],
        wrapped: &[u8],
    ) -> Result<Self, WrongKey> {
        let (nonce, rest) = wrapped.split_first_chunk::<24>().ok_or(WrongKey)?;
        let (body, tag) = rest.split_last_chunk::<16>().ok_or(WrongKey)?;
        let body: &[u8; 32] = body.try_into().map_err(|_| WrongKey)?;
        let mut private = KeyBytes::<32>::zeroed();
        private.bytes_mut().copy_from_slice(body);
        let (nonce, tag) = ((*nonce).into(), (*tag).into());
        key.cipher()
            .decrypt_inout_detached(
                &nonce,
                &aad(file, &public),
                private.bytes_mut().as_mut_slice().into(),
                &tag,
            )
            .map_err(|_| WrongKey)?;
        let key = Self::new(private.bytes());
        if key.public() == public { Ok(key) } else { Err(WrongKey) }
    }
}

/// Returns whether a signature is valid under the strict rules (no small-order keys).
pub fn verify(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let key = VerifyingKey::from_bytes(public);
    key.is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
}

fn aad(file: FileId, public: &[u8; 32]) -> Vec<u8> {
    [LABEL, file.as_bytes(), public].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032 §7.1, test 2.
    #[test]
    fn ed25519_known_answer() {
        let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        let private: [u8; 32] =
            hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").try_into().unwrap();
        let key = LogKey::new(&private);
        assert_eq!(
            key.public()[..],
            hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")[..]
        );
        let signature = key.sign(&[0x72]);
        assert_eq!(signature[..8], hex("92a009a9f0d4cab8")[..]);
        assert!(verify(&key.public(), &[0x72], &signature));
        assert!(!verify(&key.public(), &[0x73], &signature));
    }

    /// With a key of small order, one signature fits every message: whoever publishes such a key could sign any log after
    /// the fact.
    #[test]
    fn a_key_of_small_order_signs_nothing() {
        let identity = {
            let mut point = [0; 32];
            point[0] = 1;
            point
        };
        let signature = [identity, [0; 32]].concat().try_into().unwrap();
        for message in [&b"one"[..], b"another"] {
            assert!(!verify(&identity, message, &signature));
        }
    }

    #[test]
    fn a_wrapped_log_key_opens_only_in_its_own_file() {
        let (wrap, file) = (LogWrapKey::new([5; 32].into()), FileId::from_bytes([1; 16]));
        let key = LogKey::generate().unwrap();
        let wrapped = key.wrap(&wrap, file).unwrap();
        assert!(LogKey::unwrap(&wrap, file, key.public(), &wrapped).is_ok());
        assert!(LogKey::unwrap(&wrap, FileId::from_bytes([2; 16]), key.public(), &wrapped).is_err());
        assert!(LogKey::unwrap(&wrap, file, [0; 32], &wrapped).is_err());
        assert!(LogKey::unwrap(&wrap, file, key.public(), &wrapped[1..]).is_err());
    }
}
