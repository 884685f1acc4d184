//! A reading of single records: the answer to a question about a range in time.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    ops::Range,
    sync::Arc,
};

use super::{
    fact::{Did, Fact, Of, Whence},
    listing::{Head, Line, Mint, Question, list_minted, list_values},
    names::Shared,
    tally::{Known, Tally},
};
use crate::{
    api::responses::{Backups, Exposure, Stored, Storing},
    audit::record::BadRecord,
    domain::{IntegrationId, Timestamp},
};

/// A question, the blocks that it still has to read, and what it found.
pub struct Reading {
    question: Question,
    now: Timestamp,
    /// The actors asked about; all if there are none.
    actors: Option<HashSet<Arc<str>>>,
    heads: HashMap<IntegrationId, Head>,
    blocks: VecDeque<Range<u64>>,
    names: Shared,
    found: BTreeMap<(IntegrationId, Arc<str>), Known>,
    minted: BTreeMap<Box<str>, Mint<Arc<str>>>,
    backups: Option<Backups>,
    /// Set once archived records decide whether a value is live.
    is_unclear: bool,
    answer: Exposure,
}

impl Reading {
    pub(super) fn new(
        question: Question,
        now: Timestamp,
        actors: Option<HashSet<Arc<str>>>,
        heads: HashMap<IntegrationId, Head>,
        blocks: VecDeque<Range<u64>>,
        answer: Exposure,
    ) -> Self {
        Self {
            question,
            now,
            actors,
            heads,
            blocks,
            names: Shared::default(),
            found: BTreeMap::new(),
            minted: BTreeMap::new(),
            backups: None,
            is_unclear: false,
            answer,
        }
    }

    /// Returns the next records to push.
    pub fn next_block(&mut self) -> Option<Range<u64>> {
        self.blocks.pop_front()
    }

    /// Takes in a record.
    ///
    /// # Errors
    /// It is none.
    pub fn push(&mut self, sequence: u64, bytes: &[u8]) -> Result<(), BadRecord> {
        let Fact { time, actor, did, .. } = Fact::of(bytes)?;
        let is_asked = self.actors.as_ref().is_none_or(|actors| actors.contains(&*actor));
        if let Some(did) = did.filter(|_| is_asked && self.question.spans(time)) {
            let actor = self.names.of(&actor);
            self.take_in(&actor, (sequence, time), did);
        }
        Ok(())
    }

    fn take_in(&mut self, actor: &Arc<str>, at: (u64, Timestamp), did: Did<'_>) {
        match did {
            Did::Received(of, Whence { peer, project }) => {
                let project = project.map(|project| self.names.of(&project));
                if let Some(known) = self.known_by(of, actor) {
                    Tally::count(&mut known.received, at, peer, project);
                }
            }
            Did::ReceivedMinted { of, hash, ends, whence } if self.question.is_about(of.integration) => {
                let project = whence.project.map(|project| self.names.of(&project));
                let empty = || Mint { integration: of.integration, ends, received: BTreeMap::new() };
                let mint = self.minted.entry(hash.into_boxed_str()).or_insert_with(empty);
                Tally::count(mint.received.entry(Arc::clone(actor)).or_default(), at, whence.peer, project);
            }
            Did::Stored(of, action) => self.store(actor, at, of, action),
            Did::BackedUp if self.question.integration.is_none() => {
                let count = self.backups.map_or(0, |backups| backups.count) + 1;
                self.backups = Some(Backups { count, sequence: at.0, last: at.1 });
            }
            Did::ReceivedMinted { .. }
            | Did::RolledBack { .. }
            | Did::Updated(_)
            | Did::Deleted { .. }
            | Did::Made(_)
            | Did::BackedUp
            | Did::Archived { .. } => {}
        }
    }

    fn store(&mut self, actor: &Arc<str>, at: (u64, Timestamp), of: Of, action: Storing) {
        if let Some(known) = self.known_by(of, actor) {
            known.stored = Some(Stored { sequence: at.0, time: at.1, action });
        }
    }

    /// Returns the actor's knowledge of the value of a revision, if that value is the last one.
    fn known_by(&mut self, of: Of, actor: &Arc<str>) -> Option<&mut Known> {
        let head = self.heads.get(&of.integration)?;
        self.is_unclear |= head.lineage.is_unclear(of.revision);
        let is_last = head.lineage.live() == Some(head.lineage.root(of.revision));
        if !is_last {
            return None;
        }
        Some(self.found.entry((of.integration, Arc::clone(actor))).or_default())
    }

    /// Returns the answer, once every block was pushed.
    ///
    /// # Errors
    /// Archived records decide if a value is live.
    pub fn finish(self) -> Result<Exposure, NeedsArchive> {
        let Self { now, heads, found, minted, backups, mut answer, is_unclear, .. } = self;
        if is_unclear {
            return Err(NeedsArchive);
        }
        let lines =
            found.iter().filter_map(|((id, actor), known)| Some(Line { actor, head: heads.get(id)?, known }));
        list_values(lines.collect(), &mut answer);
        let minted = minted.iter().flat_map(|(hash, mint)| {
            mint.received.iter().filter_map(|(actor, tally)| {
                Some((&**hash, &**actor, mint.integration, mint.ends, tally.as_deref()?))
            })
        });
        list_minted(minted, now, &mut answer);
        answer.backups = backups;
        Ok(answer)
    }
}

/// Archived records decide whether a value is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("archived records decide whether a value is live")]
pub struct NeedsArchive;
