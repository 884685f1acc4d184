//! From where a request comes.

use crate::domain::Peer;

/// From where a request comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub(super) peer: Peer,
    /// Whether the metrics are open to whoever comes in here.
    pub(super) metrics_open: bool,
}

impl Origin {
    /// The peer as the socket names it.
    pub(super) const fn peer(&self) -> Peer {
        self.peer
    }
}
