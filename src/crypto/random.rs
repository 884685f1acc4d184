//! The only random source: the operating system's.

use super::key_bytes::KeyBytes;
use crate::domain::Secret;

/// The operating system gives no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no random bytes")]
pub struct RandomError;

/// Returns `N` random bytes.
pub fn bytes<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| RandomError)?;
    Ok(bytes)
}

/// Returns `N` random bytes that are wiped on drop.
pub fn secret<const N: usize>() -> Result<KeyBytes<N>, RandomError> {
    let mut bytes = KeyBytes::zeroed();
    getrandom::fill(bytes.bytes_mut()).map_err(|_| RandomError)?;
    Ok(bytes)
}

/// Returns a secret of `count` random bytes, made where it stays.
pub fn bytes_of_secret(count: usize) -> Result<Secret, RandomError> {
    let mut bytes = vec![0; count];
    getrandom::fill(&mut bytes).map_err(|_| RandomError)?;
    Ok(Secret::new(bytes))
}

/// The number of bytes that a thread fetches at a time for [`for_id`].
const STOCK: usize = 1024;

thread_local! {
    static LEFT: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Returns `N` random bytes for a frequent id that is no secret: one system call serves about a hundred ids.
pub fn for_id<const N: usize>() -> Result<[u8; N], RandomError> {
    LEFT.with_borrow_mut(|left| {
        if left.len() < N {
            left.clear();
            left.extend_from_slice(&bytes::<STOCK>()?);
        }
        let from = left.len() - N;
        left.drain(from..).as_slice().try_into().map_err(|_| RandomError)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_comes_twice() {
        let ids: std::collections::BTreeSet<[u8; 10]> = (0..1000).map(|_| for_id().unwrap()).collect();
        assert_eq!(ids.len(), 1000);
    }
}
