//! Who holds how many of the connections: room is kept for others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{auth::limiter::Address, domain::Peer};

/// The places for connections.
pub(super) struct Share {
    places: Arc<Semaphore>,
    /// How many one address may hold; nothing where addresses tell nobody apart, as behind a proxy.
    most: Option<usize>,
    held: Mutex<HashMap<Address, usize>>,
}

/// A connection's place.
pub(super) struct Place {
    share: Arc<Share>,
    address: Option<Address>,
    _permit: OwnedSemaphorePermit,
}

impl Share {
    /// So many places; one address gets at most half of them, unless all are one to us.
    pub(super) fn new(places: usize, behind_proxy: bool) -> Arc<Self> {
        let most = (!behind_proxy).then_some((places / 2).max(1));
        Arc::new(Self { places: Arc::new(Semaphore::new(places)), most, held: Mutex::default() })
    }

    /// A place, if there is one for this peer.
    pub(super) fn take(self: &Arc<Self>, peer: Peer) -> Option<Place> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let address = match (peer, self.most) {
            (Peer::Ip(_), Some(most)) => {
                let (mut held, address) = (self.held(), Address::of(peer));
                let count = held.entry(address).or_default();
                if *count >= most {
                    return None;
                }
                *count += 1;
                Some(address)
            }
            (Peer::Unix, _) | (_, None) => None,
        };
        Some(Place { share: Arc::clone(self), address, _permit: permit })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Address, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut held = self.share.held();
        if let Some(count) = held.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                held.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_gets_half_of_the_places_and_gives_them_back() {
        let share = Share::new(4, false);
        let (one, other): (Peer, Peer) = ("192.0.2.1".parse().unwrap(), "::ffff:192.0.2.2".parse().unwrap());
        let held: Vec<_> = (0..2).map(|_| share.take(one).unwrap()).collect();
        assert!(share.take(one).is_none());
        let others: Vec<_> = (0..2).map(|_| share.take(other).unwrap()).collect();
        assert!(share.take("192.0.2.3".parse().unwrap()).is_none(), "all places are taken");
        drop((held, others));
        assert!(share.held().is_empty());
        assert!(share.take(one).is_some());
    }

    #[test]
    fn behind_a_proxy_and_on_a_socket_file_all_places_are_anybodys() {
        let (proxied, local) = (Share::new(2, true), Share::new(2, false));
        let proxy: Peer = "192.0.2.1".parse().unwrap();
        let held = (proxied.take(proxy), proxied.take(proxy), local.take(Peer::Unix), local.take(Peer::Unix));
        assert!(held.0.is_some() && held.1.is_some() && held.2.is_some() && held.3.is_some());
    }
}
