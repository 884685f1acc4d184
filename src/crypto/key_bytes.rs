//! Key bytes at one place of the heap: a move of the value moves a pointer, and the bytes are wiped where they are.
//!
//! An array that is moved leaves a copy at each place where it was, and only the last one is wiped.

use zeroize::Zeroize;

/// `N` secret bytes.
pub struct KeyBytes<const N: usize>(Box<[u8; N]>);

impl<const N: usize> KeyBytes<N> {
    /// Makes room for a key, to be filled in place.
    pub(super) fn zeroed() -> Self {
        Self(Box::new([0; N]))
    }

    pub(super) const fn bytes(&self) -> &[u8; N] {
        &self.0
    }

    pub(super) const fn bytes_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}

impl<const N: usize> Drop for KeyBytes<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
impl<const N: usize> From<[u8; N]> for KeyBytes<N> {
    fn from(bytes: [u8; N]) -> Self {
        Self(Box::new(bytes))
    }
}
