//! The answers of an index.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    ops::Range,
};

use super::{
    fact::own_name,
    index::{BLOCK, Entry, Index, Making},
    listing::{Head, Line, Question, list_made, list_minted, list_values},
    reading::Reading,
};
use crate::{
    api::responses::{Backups, Exposure, Made},
    domain::{IntegrationId, Timestamp},
};

/// Similarity that two names must exceed (Jaro-Winkler), as in the commands.
const LIKE: f64 = 0.8;

/// The result of a question.
pub enum Answer {
    /// The answer, without what only rows tell: labels, expiries and the state of what was made.
    Ready(Box<Exposure>),
    /// Single records are needed: a reading of them.
    Read(Box<Reading>),
    /// The question is about records that were archived, the last of them this one.
    Archived {
        /// The last archived record.
        last: u64,
    },
}

impl Index {
    /// Answers a question at that time. `held` is the first record that can be read; the index may know of records
    /// before it, which were archived since. `current` returns the revision of an integration of which the records do
    /// not state it, since they were archived.
    pub fn answer(
        &self,
        question: &Question,
        now: Timestamp,
        held: u64,
        current: &mut dyn FnMut(IntegrationId) -> Option<u64>,
    ) -> Answer {
        let held = held.max(self.first.unwrap_or(0));
        if let Some(last) = self.last_archived(question, held) {
            return Answer::Archived { last };
        }
        let actors = question.actor.as_deref().map(|actor| self.actors_of(actor, question.transitive));
        let mut answer = Exposure { actor: question.actor.clone(), size: self.next, ..Exposure::default() };
        self.introduce(question, &mut answer);
        self.list_makings(question, actors.as_ref(), &mut answer);
        if self.needs_records(question) {
            let actors = actors.map(|all| all.iter().map(|one| self.actors.name(*one).clone()).collect());
            let heads = self.heads(question, current);
            let blocks = self.blocks(question, held);
            let reading = Reading::new(question.clone(), now, actors, heads, blocks, answer);
            return Answer::Read(Box::new(reading));
        }
        list_values(self.lines(question, actors.as_ref()), &mut answer);
        let wanted = |actor: &u32| actors.as_ref().is_none_or(|actors| actors.contains(actor));
        let minted = self.minted.iter().filter(|(_, mint)| question.is_about(mint.integration));
        let minted = minted.flat_map(|(hash, mint)| {
            let of = mint.received.iter().filter(|(actor, _)| wanted(actor));
            of.filter_map(|(actor, tally)| {
                let actor: &str = self.actors.name(*actor);
                Some((&**hash, actor, mint.integration, mint.ends, tally.as_deref()?))
            })
        });
        list_minted(minted, now, &mut answer);
        answer.backups = self.backups_of(question, actors.as_ref());
        Answer::Ready(Box::new(answer))
    }

    /// Returns whether the log has or had an integration of that id; `None` if only archived records can tell.
    pub fn has(&self, integration: IntegrationId) -> Option<bool> {
        let is_whole = self.first.is_none_or(|first| first == 0);
        let is_known = self.places.contains_key(&integration);
        (is_known || is_whole).then_some(is_known)
    }

    /// Returns whether the answer takes single records.
    const fn needs_records(&self, question: &Question) -> bool {
        question.has_range() || self.is_over
    }

    /// Returns the last archived record, if the question may be about it.
    fn last_archived(&self, question: &Question, held: u64) -> Option<u64> {
        let unknown = self.first.unwrap_or(0).checked_sub(1);
        if !self.needs_records(question) {
            return unknown;
        }
        let last = held.checked_sub(1)?;
        let is_later = question.since.is_some_and(|since| self.holds_all_from(since, held));
        // Only the log from its beginning tells who made whom.
        let is_known = !question.transitive || unknown.is_none();
        if is_later && is_known { None } else { Some(last) }
    }

    /// Returns the actor, and with `transitive` those that it made, and so on.
    fn actors_of(&self, actor: &str, transitive: bool) -> BTreeSet<u32> {
        let mut found: BTreeSet<u32> = self.actors.known(actor).into_iter().collect();
        if transitive {
            // In the order of the log: a maker precedes what it makes.
            for making in &self.made {
                if found.contains(&making.by) {
                    found.insert(making.made);
                }
            }
        }
        found
    }

    /// Says whether the actor is known, and which name is the nearest if not.
    fn introduce(&self, question: &Question, answer: &mut Exposure) {
        let Some(actor) = question.actor.as_deref() else {
            answer.known = true;
            return;
        };
        answer.known = self.actors.known(actor).is_some();
        if answer.known {
            return;
        }
        let kind = actor.split(':').next().unwrap_or_default();
        let is_alike = |one: &&str| one.split(':').next() == Some(kind);
        let likeness = |one: &str| strsim::jaro_winkler(own_name(actor), own_name(one));
        let all = self.actors.all().filter(is_alike).map(|one| (likeness(one), one));
        let nearest = all.filter(|(likeness, _)| *likeness > LIKE).max_by(|a, b| a.0.total_cmp(&b.0));
        answer.nearest = nearest.map(|(_, one)| one.to_owned());
    }

    fn list_makings(&self, question: &Question, actors: Option<&BTreeSet<u32>>, answer: &mut Exposure) {
        if question.integration.is_some() {
            return;
        }
        let is_of = |actor: &u32| actors.is_none_or(|actors| actors.contains(actor));
        let is_asked = |making: &&Making| is_of(&making.by) && question.spans(making.at.1);
        let shown = |making: &Making| Made {
            actor: self.actors.name(making.made).to_string(),
            by: self.actors.name(making.by).to_string(),
            sequence: making.at.0,
            time: making.at.1,
            name: None,
            role: None,
            status: None,
        };
        let made = self.made.iter().filter(is_asked).map(shown).collect();
        let unnamed = self.unnamed.iter().filter(|(actor, _)| is_of(actor)).flat_map(|(_, times)| times);
        let unnamed = unnamed.filter(|time| question.spans(**time)).count() as u64;
        list_made(made, unnamed, answer);
    }

    fn backups_of(&self, question: &Question, actors: Option<&BTreeSet<u32>>) -> Option<Backups> {
        let actors = actors.filter(|_| question.integration.is_none())?;
        let taken = actors.iter().filter_map(|actor| self.backups.get(actor));
        taken.copied().reduce(|a, b| {
            let newest = if a.sequence > b.sequence { a } else { b };
            Backups { count: a.count + b.count, ..newest }
        })
    }

    /// Returns the pairs of an actor and the last value of an integration.
    fn lines(&self, question: &Question, actors: Option<&BTreeSet<u32>>) -> Vec<Line<'_>> {
        let mut lines = Vec::new();
        let mut list = |place: u32, wanted: &dyn Fn(u32) -> bool| {
            let Entry { head, known } = &self.entries[place as usize];
            let Some(live) = head.lineage.live() else { return };
            let start = known.partition_point(|((root, _), _)| *root < live);
            let of_live = known[start..].iter().take_while(|((root, _), _)| *root == live);
            for ((_, actor), known) in of_live.filter(|((_, actor), _)| wanted(*actor)) {
                lines.push(Line { actor: self.actors.name(*actor), head, known });
            }
        };
        match (question.integration, actors) {
            (Some(id), actors) => {
                if let Some(place) = self.places.get(&id) {
                    list(*place, &|actor| actors.is_none_or(|actors| actors.contains(&actor)));
                }
            }
            (None, Some(actors)) => {
                let all = actors.iter().filter_map(|actor| self.of_actor.get(*actor as usize));
                let mut places: Vec<u32> = all.flatten().copied().collect();
                places.sort_unstable();
                places.dedup();
                places.iter().for_each(|place| list(*place, &|actor| actors.contains(&actor)));
            }
            (None, None) => (0..self.entries.len()).for_each(|place| {
                list(u32::try_from(place).unwrap_or(u32::MAX), &|_| true);
            }),
        }
        lines
    }

    /// Returns the integrations that a reading is about.
    fn heads(
        &self,
        question: &Question,
        current: &mut dyn FnMut(IntegrationId) -> Option<u64>,
    ) -> HashMap<IntegrationId, Head> {
        let asked = self.entries.iter().map(|entry| &entry.head).filter(|head| question.is_about(head.id));
        let whole = asked.map(|head| {
            let mut head = head.clone();
            if head.lineage.current.is_none() {
                head.lineage.current = current(head.id);
            }
            (head.id, head)
        });
        whole.collect()
    }

    /// Returns the blocks that have a record in the range, as sequences from `first` on.
    fn blocks(&self, question: &Question, first: u64) -> VecDeque<Range<u64>> {
        let overlaps = |(earliest, latest): &(Timestamp, Timestamp)| {
            question.since.is_none_or(|since| *latest >= since)
                && question.until.is_none_or(|until| *earliest < until)
        };
        let found = self.blocks.iter().filter(|(_, times)| overlaps(times));
        let found = found.map(|(at, _)| (at * BLOCK).max(first)..((at + 1) * BLOCK).min(self.next));
        found.filter(|block| !block.is_empty()).collect()
    }
}
