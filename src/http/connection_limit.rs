//! The limit on connections: a total, half of it for any one address, and room for newcomers.
//!
//! Once all places are taken, a newcomer gets the place of a connection that waits for a request, or for the rest of one:
//! the youngest one of the address that holds the most. So nobody keeps others out by holding connections open, however
//! often it comes back. A tenth of the places is kept for addresses from which somebody has authenticated.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

use crate::{auth::limiter::Address, domain::Peer};

/// The most addresses that are remembered as authenticated.
const KNOWN_MAX: usize = 10_000;

/// Limits the connections, in total and by address.
pub(super) struct ConnectionLimiter {
    places: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The number of connections that count.
    taken: usize,
    /// The connections of each address, by age; the oldest first.
    open: HashMap<Address, BTreeMap<u64, Arc<Place>>>,
    next: u64,
    /// Addresses from which somebody has authenticated, the newest last.
    known: VecDeque<Address>,
}

/// A connection's place.
#[derive(Default)]
struct Place {
    /// True from the end of a request that a handler decides to the end of its answer.
    busy: AtomicBool,
    evicted: AtomicBool,
    notify: Notify,
}

/// One connection's share of the limit, returned on drop.
pub(super) struct Slot {
    limiter: Arc<ConnectionLimiter>,
    /// The address and its connection's number; none where addresses do not tell clients apart.
    address: Option<(Address, u64)>,
    place: Arc<Place>,
}

impl ConnectionLimiter {
    /// Creates a limiter of that many connections.
    pub(super) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self { places, state: Mutex::default() })
    }

    /// Acquires a slot for a connection from this peer; `None` once a limit is reached. Without a peer, as behind a
    /// proxy, only the total counts.
    pub(super) fn acquire(self: &Arc<Self>, peer: Option<Peer>) -> Option<Slot> {
        let mut state = self.state();
        let address = peer.filter(|peer| matches!(peer, Peer::Ip(_))).map(Address::of);
        if let Some(address) = &address {
            let held = state.open.get(address).map_or(0, BTreeMap::len);
            if held >= (self.places / 2).max(1) {
                return None;
            }
            let is_known = state.known.contains(address);
            let kept = if is_known { 0 } else { self.places / 10 };
            if state.taken >= self.places - kept && !state.evict(held) {
                return None;
            }
        } else if state.taken >= self.places {
            return None;
        }
        state.taken += 1;
        state.next += 1;
        let (number, place) = (state.next, Arc::new(Place::default()));
        if let Some(address) = address {
            state.open.entry(address).or_default().insert(number, Arc::clone(&place));
        }
        let address = address.map(|address| (address, number));
        Some(Slot { limiter: Arc::clone(self), address, place })
    }

    /// Notes that somebody authenticated from that peer.
    pub(super) fn know(&self, peer: Peer) {
        let address = Address::of(peer);
        let mut state = self.state();
        if state.known.back() == Some(&address) {
            return;
        }
        state.known.retain(|known| *known != address);
        if state.known.len() >= KNOWN_MAX {
            state.known.pop_front();
        }
        state.known.push_back(address);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Frees the place of the youngest idle connection of the address with the most, if that has more than `held`.
    fn evict(&mut self, held: usize) -> bool {
        let idle = |place: &&Arc<Place>| !place.busy.load(Ordering::Relaxed);
        let most = self
            .open
            .iter()
            .filter(|(_, open)| open.len() > held + 1 && open.values().any(|place| idle(&place)))
            .max_by_key(|(_, open)| open.len())
            .map(|(address, _)| *address);
        let Some(open) = most.and_then(|address| self.open.get_mut(&address)) else { return false };
        let youngest = open.iter().rev().find(|(_, place)| idle(place)).map(|(number, _)| *number);
        let Some(place) = youngest.and_then(|number| open.remove(&number)) else { return false };
        place.evicted.store(true, Ordering::Relaxed);
        place.notify.notify_one();
        self.taken -= 1;
        true
    }
}

impl Slot {
    /// Notes whether a request of the connection is under way; such a connection is not dropped for a newcomer.
    pub(super) fn set_busy(&self, busy: bool) {
        self.place.busy.store(busy, Ordering::Relaxed);
    }

    /// Resolves when the connection has to make room.
    pub(super) async fn evicted(&self) {
        self.place.notify.notified().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.limiter.state();
        if let Some((address, number)) = self.address
            && let Some(open) = state.open.get_mut(&address)
        {
            open.remove(&number);
            if open.is_empty() {
                state.open.remove(&address);
            }
        }
        // Its place was given away already.
        if !self.place.evicted.load(Ordering::Relaxed) {
            state.taken -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "as `acquire` takes it")]
    fn peer(text: &str) -> Option<Peer> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn one_address_gets_half_of_the_slots_and_gives_them_back() {
        let limiter = ConnectionLimiter::new(4);
        let (one, other) = (peer("192.0.2.1"), peer("::ffff:192.0.2.2"));
        let held: Vec<_> = (0..2).map(|_| limiter.acquire(one).unwrap()).collect();
        assert!(limiter.acquire(one).is_none());
        let others: Vec<_> = (0..2).map(|_| limiter.acquire(other).unwrap()).collect();
        held.iter().chain(&others).for_each(|slot| slot.set_busy(true));
        assert!(limiter.acquire(peer("192.0.2.3")).is_none(), "all slots are taken by requests");
        drop((held, others));
        assert!(limiter.state().open.is_empty() && limiter.state().taken == 0);
        assert!(limiter.acquire(one).is_some());
    }

    #[test]
    fn behind_a_proxy_and_on_a_socket_file_any_peer_gets_any_slot() {
        let (proxied, local) = (ConnectionLimiter::new(2), ConnectionLimiter::new(2));
        let held = (
            proxied.acquire(None),
            proxied.acquire(None),
            local.acquire(Some(Peer::Unix)),
            local.acquire(Some(Peer::Unix)),
        );
        assert!(held.0.is_some() && held.1.is_some() && held.2.is_some() && held.3.is_some());
        assert!(proxied.acquire(None).is_none() && local.acquire(Some(Peer::Unix)).is_none());
    }

    /// Two addresses with idle connections, which came back whenever one ended, kept everybody else out.
    #[test]
    fn nobody_keeps_others_out_by_holding_connections() {
        let limiter = ConnectionLimiter::new(20);
        let mut held: Vec<_> = (0..10).map(|_| limiter.acquire(peer("192.0.2.1")).unwrap()).collect();
        held.extend((0..8).map(|_| limiter.acquire(peer("192.0.2.2")).unwrap()));
        assert_eq!(limiter.state().taken, 18, "two places are kept");
        held.push(limiter.acquire(peer("192.0.2.2")).unwrap());
        assert_eq!(limiter.state().taken, 18, "which came at the cost of the other one");
        let honest: Vec<_> =
            (3..9).map(|n| limiter.acquire(peer(&format!("192.0.2.{n}"))).unwrap()).collect();
        assert_eq!(limiter.state().taken, 18);
        let evicted = held.iter().filter(|slot| slot.place.evicted.load(Ordering::Relaxed)).count();
        assert_eq!(evicted, 7);
        assert!(!honest.iter().any(|slot| slot.place.evicted.load(Ordering::Relaxed)));
        assert!(!held[0].place.evicted.load(Ordering::Relaxed), "the oldest stays");
        // Requests under way are not dropped; an address that has authenticated still gets a place.
        held.iter().chain(&honest).for_each(|slot| slot.set_busy(true));
        assert!(limiter.acquire(peer("192.0.2.99")).is_none());
        limiter.know("192.0.2.99".parse().unwrap());
        let known = [limiter.acquire(peer("192.0.2.99")), limiter.acquire(peer("192.0.2.99"))];
        assert!(known.iter().all(Option::is_some));
        assert!(limiter.acquire(peer("192.0.2.99")).is_none(), "the total holds");
        drop((held, honest, known));
        assert!(limiter.state().open.is_empty() && limiter.state().taken == 0);
    }
}
