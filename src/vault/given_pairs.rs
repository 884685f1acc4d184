//! The pairs of tokens that refreshes gave out a moment ago, for a client whose answer got lost.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    auth::limiter::Address,
    domain::{Digest, Peer, Secret, Timestamp, seconds},
};

/// The time for which a used refresh token gives its pair again.
const GRACE: Duration = seconds(30);
/// The most pairs that are kept for it: 34 refreshes a second, all the time.
const GIVEN_MAX: usize = 1_024;

/// The pairs that were given out within the grace period, by the digest of the used token.
#[derive(Default)]
pub(super) struct GivenPairs(Mutex<HashMap<Digest, Given>>);

/// A pair, and to whom it was given.
pub(super) struct Given {
    at: Timestamp,
    peer: Option<Address>,
    access: Secret,
    refresh: Secret,
    /// The end of the access token.
    ends: Timestamp,
}

impl Given {
    pub(super) fn new(peer: Option<Peer>, at: Timestamp, ends: Timestamp, pair: (&Secret, &Secret)) -> Self {
        let [access, refresh] = [pair.0, pair.1].map(|text| Secret::new(text.expose().to_vec()));
        Self { at, peer: peer.map(Address::of), access, refresh, ends }
    }

    fn is_over(&self, now: Timestamp) -> bool {
        // A use far in the future was noted before the clock was corrected: do not wait for that day.
        now.since(self.at).max(self.at.since(now)) > GRACE
    }
}

impl GivenPairs {
    pub(super) fn keep(&self, digest: Digest, given: Given, now: Timestamp) {
        let mut pairs = self.lock();
        pairs.retain(|_, given| !given.is_over(now));
        if pairs.len() >= GIVEN_MAX {
            let oldest = pairs.iter().min_by_key(|(_, given)| given.at).map(|(digest, _)| *digest);
            oldest.and_then(|digest| pairs.remove(&digest));
        }
        pairs.insert(digest, given);
    }

    /// Returns the pair and the rest of its access token's life.
    pub(super) fn again(
        &self,
        digest: &Digest,
        peer: Option<Peer>,
        now: Timestamp,
    ) -> Option<(Secret, Secret, Duration)> {
        let pairs = self.lock();
        let given = pairs.get(digest)?;
        if given.is_over(now) || given.peer != peer.map(Address::of) {
            return None;
        }
        let [access, refresh] =
            [&given.access, &given.refresh].map(|text| Secret::new(text.expose().to_vec()));
        Some((access, refresh, given.ends.since(now)))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Given>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
