//! One actor and one value: the disclosures between them, and whether the actor stored it.

use std::sync::Arc;

use crate::{
    api::responses::{Received, Stored},
    domain::{Peer, Timestamp},
};

/// The most addresses and projects of one tally.
const NAMED_MAX: usize = 16;

/// The knowledge that one actor has of one value.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// Apart, since a pair that stored and never received has none.
    pub(super) received: Option<Box<Tally>>,
    pub(super) stored: Option<Stored>,
}

impl Known {
    /// Returns the sequence of its newest record.
    pub(super) fn newest(&self) -> u64 {
        let received = self.received.as_ref().map_or(0, |tally| tally.last.0);
        received.max(self.stored.map_or(0, |stored| stored.sequence))
    }
}

/// The disclosures of one value to one actor, in the order of their sequence.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    count: u64,
    first: (u64, Timestamp),
    pub(super) last: (u64, Timestamp),
    peers: Vec<Peer>,
    projects: Vec<Arc<str>>,
    more_peers: bool,
    more_projects: bool,
}

impl Tally {
    /// Counts a disclosure.
    pub(super) fn count(
        tally: &mut Option<Box<Self>>,
        at: (u64, Timestamp),
        peer: Option<Peer>,
        project: Option<Arc<str>>,
    ) {
        let tally = tally.get_or_insert_with(|| {
            Box::new(Self {
                count: 0,
                first: at,
                last: at,
                peers: Vec::new(),
                projects: Vec::new(),
                more_peers: false,
                more_projects: false,
            })
        });
        tally.count += 1;
        tally.last = at;
        tally.more_peers |= peer.is_some_and(|peer| !add(&mut tally.peers, peer));
        tally.more_projects |= project.is_some_and(|project| !add(&mut tally.projects, project));
    }

    /// Returns the tally as the answer has it.
    pub(super) fn shown(&self) -> Received {
        Received {
            count: self.count,
            first_sequence: self.first.0,
            first: self.first.1,
            last_sequence: self.last.0,
            last: self.last.1,
            peers: self.peers.iter().map(ToString::to_string).collect(),
            more_peers: self.more_peers,
            projects: self.projects.iter().map(ToString::to_string).collect(),
            more_projects: self.more_projects,
        }
    }
}

/// Adds what is not there; false if there is no room for it.
fn add<T: PartialEq>(items: &mut Vec<T>, item: T) -> bool {
    if items.contains(&item) {
        return true;
    }
    let has_room = items.len() < NAMED_MAX;
    if has_room {
        // Most have one: a growing list begins with room for four.
        items.reserve_exact(1);
        items.push(item);
    }
    has_room
}
