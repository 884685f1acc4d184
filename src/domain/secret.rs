//! Bytes that must not be seen.

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A credential, password, passphrase or bearer token: wiped on drop, and read only through [`Secret::expose`].
///
/// It has no `Clone`, `Debug`, `Display`, `Serialize`, `Deref` or `PartialEq`, so it cannot reach a log by accident.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes the bytes over; the caller keeps no copy.
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Opens the secret: grep for `expose(` to find every place that sees one.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}
