//! Key bytes at one place of the heap: a move of the value moves a pointer, and the bytes are wiped where they are.
//!
//! An array that is moved leaves a copy at each place where it was, and only the last one is wiped.

use std::sync::atomic::{AtomicBool, Ordering};

use zeroize::Zeroize;

/// True once the system has refused to lock a key's page.
static MAY_BE_SWAPPED: AtomicBool = AtomicBool::new(false);

/// Returns whether the system may write a key of this process to a swap device, as far as it is known.
pub fn may_be_swapped() -> bool {
    MAY_BE_SWAPPED.load(Ordering::Relaxed)
}

/// Locks the page of a key into memory, for the life of the process: pages are locked whole, so that the end of one key
/// would unlock its neighbours.
pub(super) fn lock_page<T>(key: &T) {
    match region::lock(std::ptr::from_ref(key), size_of::<T>()) {
        Ok(guard) => std::mem::forget(guard),
        Err(_) => MAY_BE_SWAPPED.store(true, Ordering::Relaxed),
    }
}

/// `N` secret bytes.
pub struct KeyBytes<const N: usize>(Box<[u8; N]>);

impl<const N: usize> KeyBytes<N> {
    /// Makes room for a key, to be filled in place.
    pub(super) fn zeroed() -> Self {
        let key = Box::new([0; N]);
        lock_page(&*key);
        Self(key)
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
