//! Shares of the calls that run at a time, so that whoever makes many slow ones leaves room for the others.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Semaphore;

use super::calls::CALLS_MAX;

/// One share for each key, for as long as a call of that key runs or waits.
pub struct Shares<K> {
    calls: usize,
    held: Mutex<HashMap<K, Share>>,
}

/// The calls that one key may make at a time; further ones wait, within the time limit of their own.
#[derive(Debug, Clone)]
pub struct Share(pub(super) Arc<Semaphore>);

impl<K: Eq + Hash> Shares<K> {
    /// Gives each key this part of all calls: `2` is a half.
    pub fn new(part: usize) -> Self {
        Self { calls: CALLS_MAX / part, held: Mutex::default() }
    }

    /// Returns the share of a key; hold it until the call is over.
    pub fn of(&self, key: K) -> Share {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, share| Arc::strong_count(&share.0) > 1);
        held.entry(key).or_insert_with(|| Share(Arc::new(Semaphore::new(self.calls)))).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_share_while_it_is_in_use_and_none_is_kept_after() {
        let shares = Shares::new(4);
        let first = shares.of(1);
        let turns: Vec<_> = (0..CALLS_MAX / 4).map(|_| first.0.try_acquire().unwrap()).collect();
        assert!(shares.of(1).0.try_acquire().is_err(), "the same share");
        assert!(shares.of(2).0.try_acquire().is_ok(), "another's");
        drop(turns);
        drop(first);
        for key in 0..100 {
            drop(shares.of(key));
        }
        assert_eq!(shares.held.lock().unwrap().len(), 1);
    }
}
