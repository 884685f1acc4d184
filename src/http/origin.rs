//! The origin of a request.

use crate::domain::Peer;

/// The origin of a request: the peer, and what its listener permits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub(super) peer: Peer,
    /// True where the listener serves the metrics without a token.
    pub(super) metrics_open: bool,
    /// True where only this host connects, by TCP: a browser on it does too.
    pub(super) is_loopback: bool,
}

impl Origin {
    /// Returns the socket's peer.
    pub(super) const fn peer(&self) -> Peer {
        self.peer
    }
}
