//! The index: every live value and the actors that know it, fed record by record.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::{
    fact::{Did, Fact, Of, Whence},
    lineage::Lineage,
    listing::{Head, Mint},
    names::{Actors, Shared},
    tally::{Known, Tally},
};
use crate::{
    api::responses::{Backups, Stored, Storing},
    audit::record::BadRecord,
    domain::{IntegrationId, Timestamp},
};

/// The number of records in a block, of which the index knows the earliest and the latest time.
pub const BLOCK: u64 = 4_096;
/// The most pairs of actor and value in memory, of about 300 bytes each. With more of them, every question reads the
/// log.
pub const KNOWN_MAX: usize = 1_000_000;
/// The most minted tokens in memory; each ends within an hour.
const MINTED_MAX: usize = 65_536;

/// The index over the records that were pushed.
#[derive(Default)]
pub struct Index {
    /// The first record: those before it are archived.
    pub(super) first: Option<u64>,
    /// The sequence after the archived records, and the newest of their times, as the last archive's record states them.
    archived: Option<(u64, Timestamp)>,
    pub(super) next: u64,
    pub(super) actors: Actors,
    pub(super) projects: Shared,
    pub(super) entries: Vec<Entry>,
    pub(super) places: HashMap<IntegrationId, u32>,
    /// The integrations that each actor knows a value of.
    pub(super) of_actor: Vec<BTreeSet<u32>>,
    pub(super) known: usize,
    pub(super) is_over: bool,
    pub(super) made: Vec<Making>,
    pub(super) unnamed: HashMap<u32, Vec<Timestamp>>,
    pub(super) minted: HashMap<Box<str>, Mint<u32>>,
    pub(super) minted_order: VecDeque<Box<str>>,
    pub(super) backups: HashMap<u32, Backups>,
    /// The earliest and the latest time in each block.
    pub(super) blocks: BTreeMap<u64, (Timestamp, Timestamp)>,
}

/// An integration and the actors that know a value of it, by root and actor.
pub(super) struct Entry {
    pub(super) head: Head,
    pub(super) known: Vec<((u64, u32), Known)>,
}

/// A token or user that an actor made.
pub(super) struct Making {
    pub(super) by: u32,
    pub(super) made: u32,
    pub(super) at: (u64, Timestamp),
}

impl Index {
    /// Returns the sequence of the next record.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Returns the number of pairs of actor and value in memory.
    pub const fn known(&self) -> usize {
        self.known
    }

    /// Returns the sequence after the archived records, and the newest of their times; none if the log does not tell.
    pub const fn archived(&self) -> Option<(u64, Timestamp)> {
        self.archived
    }

    /// Returns whether every record from a time on is at `held` or later. The times of a log may fall: its operator may
    /// accept a clock that was set back.
    pub fn holds_all_from(&self, time: Timestamp, held: u64) -> bool {
        held == 0 || self.archived.is_some_and(|(end, newest)| end >= held && time > newest)
    }

    /// Takes in the record at that sequence. Skips one that it has; after a gap, whose records were archived meanwhile,
    /// it begins anew.
    ///
    /// # Errors
    /// It is no record.
    pub fn push(&mut self, sequence: u64, bytes: &[u8]) -> Result<(), BadRecord> {
        if self.first.is_some() && sequence < self.next {
            return Ok(());
        }
        let fact = Fact::of(bytes)?;
        if self.first.is_some() && sequence > self.next {
            *self = Self::default();
        }
        self.first.get_or_insert(sequence);
        self.next = sequence + 1;
        let block = self.blocks.entry(sequence / BLOCK).or_insert((fact.time, fact.time));
        *block = (block.0.min(fact.time), block.1.max(fact.time));
        let actor = self.actors.number(&fact.actor);
        let Some(did) = fact.did else { return Ok(()) };
        self.take_in(actor, (sequence, fact.time), did);
        if self.known > KNOWN_MAX {
            self.forget_known();
        }
        Ok(())
    }

    fn take_in(&mut self, actor: u32, at: (u64, Timestamp), did: Did<'_>) {
        match did {
            Did::Received(of, Whence { peer, project }) => {
                let project = project.map(|project| self.projects.of(&project));
                let place = self.place(of);
                let root = self.entries[place as usize].head.lineage.root(of.revision);
                if let Some(known) = self.known_by(place, root, actor) {
                    Tally::count(&mut known.received, at, peer, project);
                }
            }
            Did::ReceivedMinted { of, hash, ends, whence } => {
                self.take_minted(actor, at, of, hash, ends, whence);
            }
            Did::Stored(of, action) => self.store(actor, at, of, action),
            Did::RolledBack { of, from } => {
                let place = self.place(of);
                self.entries[place as usize].head.lineage.roll_back(of.revision, from);
                self.prune(place);
            }
            Did::Updated(of) => {
                let place = self.place(of);
                self.entries[place as usize].head.lineage.state(of.revision);
            }
            Did::Deleted { of, name } => {
                let place = self.place(of);
                let head = &mut self.entries[place as usize].head;
                head.lineage.state(of.revision);
                head.deleted = Some(at.1);
                head.name = name.map(String::into_boxed_str);
                self.prune(place);
            }
            Did::Made(Some(made)) => {
                let made = self.actors.number(&made);
                self.made.push(Making { by: actor, made, at });
            }
            Did::Made(None) => self.unnamed.entry(actor).or_default().push(at.1),
            Did::BackedUp => {
                let taken = Backups { count: 0, sequence: at.0, last: at.1 };
                let backups = self.backups.entry(actor).or_insert(taken);
                *backups = Backups { count: backups.count + 1, ..taken };
            }
            Did::Archived { end, newest } => self.archived = newest.map(|newest| (end, newest)),
        }
    }

    fn store(&mut self, actor: u32, at: (u64, Timestamp), of: Of, action: Storing) {
        let place = self.place(of);
        self.entries[place as usize].head.lineage.store(of.revision);
        self.prune(place);
        if let Some(known) = self.known_by(place, of.revision, actor) {
            known.stored = Some(Stored { sequence: at.0, time: at.1, action });
        }
    }

    fn take_minted(
        &mut self,
        actor: u32,
        at: (u64, Timestamp),
        of: Of,
        hash: String,
        ends: Timestamp,
        whence: Whence<'_>,
    ) {
        let hash = hash.into_boxed_str();
        if !self.minted.contains_key(&hash) {
            self.minted_order.push_back(hash.clone());
            if self.minted_order.len() > MINTED_MAX
                && let Some(oldest) = self.minted_order.pop_front()
            {
                self.minted.remove(&oldest);
            }
        }
        let project = whence.project.map(|project| self.projects.of(&project));
        let empty = || Mint { integration: of.integration, ends, received: BTreeMap::new() };
        let mint = self.minted.entry(hash).or_insert_with(empty);
        Tally::count(mint.received.entry(actor).or_default(), at, whence.peer, project);
    }

    /// Returns the place of an integration, a new one if it is not known.
    fn place(&mut self, of: Of) -> u32 {
        if let Some(place) = self.places.get(&of.integration) {
            return *place;
        }
        let place = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let head = Head {
            id: of.integration,
            provider: of.provider,
            name: None,
            lineage: Lineage::default(),
            deleted: None,
        };
        self.entries.push(Entry { head, known: Vec::new() });
        self.places.insert(of.integration, place);
        place
    }

    /// Returns an actor's knowledge of a value; `None` if that value can never be live again.
    fn known_by(&mut self, place: u32, root: u64, actor: u32) -> Option<&mut Known> {
        let entry = &mut self.entries[place as usize];
        if self.is_over || !entry.head.lineage.keeps(root) {
            return None;
        }
        let at = match entry.known.binary_search_by_key(&(root, actor), |(key, _)| *key) {
            Ok(at) => at,
            Err(at) => {
                let actor_at = actor as usize;
                if self.of_actor.len() <= actor_at {
                    self.of_actor.resize_with(actor_at + 1, BTreeSet::new);
                }
                self.of_actor[actor_at].insert(place);
                self.known += 1;
                // Most have one or two: a growing list begins with room for four.
                if entry.known.len() < 4 {
                    entry.known.reserve_exact(1);
                }
                entry.known.insert(at, ((root, actor), Known::default()));
                at
            }
        };
        Some(&mut entry.known[at].1)
    }

    /// Drops what is known of values that no rollback can bring back; of a deleted integration, of all but the last.
    fn prune(&mut self, place: u32) {
        let Entry { head, known } = &mut self.entries[place as usize];
        let lineage = &head.lineage;
        let is_kept = |root: u64| match head.deleted {
            Some(_) => lineage.live() == Some(root),
            None => lineage.keeps(root),
        };
        if known.iter().all(|((root, _), _)| is_kept(*root)) {
            return;
        }
        let before = known.len();
        let actors: BTreeSet<u32> = known.iter().map(|((_, actor), _)| *actor).collect();
        known.retain(|((root, _), _)| is_kept(*root));
        known.shrink_to_fit();
        self.known -= before - known.len();
        let left: BTreeSet<u32> = known.iter().map(|((_, actor), _)| *actor).collect();
        for actor in actors.difference(&left) {
            self.of_actor[*actor as usize].remove(&place);
        }
    }

    fn forget_known(&mut self) {
        self.is_over = true;
        self.known = 0;
        self.of_actor = Vec::new();
        self.entries.iter_mut().for_each(|entry| entry.known = Vec::new());
    }
}
