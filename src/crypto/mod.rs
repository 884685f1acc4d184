//! L1. Cryptography: the only module that names argon2, aes-gcm, chacha20poly1305, hkdf, hmac, sha2, ed25519, ring,
//! rcgen, totp-rs and the random source.
//!
//! ```text
//! passphrase ──argon2id(salt, m, t, p)──▶ master key ──XChaCha20-Poly1305──▶ vault key (random, 32 bytes)
//! vault key ──HKDF-SHA256(label)──▶ row root key · state key · log-key wrap key
//! row root key ──HKDF-Expand(label ‖ salt ‖ SHA-256(aad))──▶ AES-256-GCM key and nonce of one single sealing
//! ```
//!
//! Callers never choose a nonce, a salt or an associated-data string.

mod areas;
pub mod authority;
pub mod digest;
mod error;
pub mod kdf;
mod key_bytes;
pub mod keys;
pub mod known_answers;
pub mod mac;
pub mod machine;
pub mod otp;
pub mod random;
pub mod recovery;
pub mod rs256;
pub mod seal;
pub mod sign;
pub mod stack;

pub use error::WrongKey;
pub use key_bytes::{KeyBytes, may_be_swapped};
