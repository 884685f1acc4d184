//! The limit on connections: a total, and half of it for any one address.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{auth::limiter::Address, domain::Peer};

/// Limits the connections, in total and by address.
pub(super) struct ConnectionLimiter {
    free: Arc<Semaphore>,
    /// The limit of one address; `None` where addresses do not tell clients apart, as behind a proxy.
    per_address: Option<usize>,
    open: Mutex<HashMap<Address, usize>>,
}

/// One connection's share of the limit, returned on drop.
pub(super) struct Slot {
    limiter: Arc<ConnectionLimiter>,
    address: Option<Address>,
    _permit: OwnedSemaphorePermit,
}

impl ConnectionLimiter {
    /// Creates a limiter of `slots` connections; one address gets at most half of them unless `behind_proxy`.
    pub(super) fn new(slots: usize, behind_proxy: bool) -> Arc<Self> {
        let per_address = (!behind_proxy).then_some((slots / 2).max(1));
        Arc::new(Self { free: Arc::new(Semaphore::new(slots)), per_address, open: Mutex::default() })
    }

    /// Acquires a slot for a connection from this peer; `None` once a limit is reached.
    pub(super) fn acquire(self: &Arc<Self>, peer: Peer) -> Option<Slot> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        let address = match (peer, self.per_address) {
            (Peer::Ip(_), Some(most)) => {
                let (mut open, address) = (self.open(), Address::of(peer));
                let count = open.entry(address).or_default();
                if *count >= most {
                    return None;
                }
                *count += 1;
                Some(address)
            }
            (Peer::Unix, _) | (_, None) => None,
        };
        Some(Slot { limiter: Arc::clone(self), address, _permit: permit })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Address, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut open = self.limiter.open();
        if let Some(count) = open.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_gets_half_of_the_slots_and_gives_them_back() {
        let limiter = ConnectionLimiter::new(4, false);
        let (one, other): (Peer, Peer) = ("192.0.2.1".parse().unwrap(), "::ffff:192.0.2.2".parse().unwrap());
        let held: Vec<_> = (0..2).map(|_| limiter.acquire(one).unwrap()).collect();
        assert!(limiter.acquire(one).is_none());
        let others: Vec<_> = (0..2).map(|_| limiter.acquire(other).unwrap()).collect();
        assert!(limiter.acquire("192.0.2.3".parse().unwrap()).is_none(), "all slots are taken");
        drop((held, others));
        assert!(limiter.open().is_empty());
        assert!(limiter.acquire(one).is_some());
    }

    #[test]
    fn behind_a_proxy_and_on_a_socket_file_any_peer_gets_any_slot() {
        let (proxied, local) = (ConnectionLimiter::new(2, true), ConnectionLimiter::new(2, false));
        let proxy: Peer = "192.0.2.1".parse().unwrap();
        let held = (
            proxied.acquire(proxy),
            proxied.acquire(proxy),
            local.acquire(Peer::Unix),
            local.acquire(Peer::Unix),
        );
        assert!(held.0.is_some() && held.1.is_some() && held.2.is_some() && held.3.is_some());
    }
}
