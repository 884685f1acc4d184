//! The error of a key that does not open a ciphertext.

/// The key does not open the ciphertext.
#[derive(Debug, thiserror::Error)]
#[error("the key does not fit")]
pub struct WrongKey;
