//! The lists of an answer: newest first, cut at a length, with the number that is left out.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    lineage::Lineage,
    tally::{Known, Tally},
};
use crate::{
    api::responses::{ExposedValue, Exposure, Made, MintedToken},
    domain::{IntegrationId, Provider, Timestamp},
};

/// The most entries of each list in an answer; further ones are counted.
pub const LISTED_MAX: usize = 10_000;

/// A question about an exposure.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// The actor.
    pub actor: Option<String>,
    /// The integration.
    pub integration: Option<IntegrationId>,
    /// Only what was received or stored at or after this time.
    pub since: Option<Timestamp>,
    /// Only what was received or stored before this time.
    pub until: Option<Timestamp>,
    /// Adds the actors that the actor made, and those that they made.
    pub transitive: bool,
}

impl Question {
    /// Returns whether it is about a part of all times.
    pub(super) const fn has_range(&self) -> bool {
        self.since.is_some() || self.until.is_some()
    }

    /// Returns whether a time is in the range.
    pub(super) fn spans(&self, time: Timestamp) -> bool {
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
    }

    /// Returns whether the question is about this integration.
    pub(super) fn is_about(&self, integration: IntegrationId) -> bool {
        self.integration.is_none_or(|wanted| wanted == integration)
    }
}

/// An integration, without what actors know of it.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) id: IntegrationId,
    pub(super) provider: Provider,
    /// The label that its deletion states.
    pub(super) name: Option<Box<str>>,
    pub(super) lineage: Lineage,
    pub(super) deleted: Option<Timestamp>,
}

/// A line of the lists of values.
pub(super) struct Line<'a> {
    pub(super) actor: &'a str,
    pub(super) head: &'a Head,
    pub(super) known: &'a Known,
}

/// A minted token with its disclosures by actor.
#[derive(Debug, Clone)]
pub(super) struct Mint<A> {
    pub(super) integration: IntegrationId,
    pub(super) ends: Timestamp,
    pub(super) received: BTreeMap<A, Option<Box<Tally>>>,
}

/// Puts the values into the answer.
pub(super) fn list_values(lines: Vec<Line<'_>>, into: &mut Exposure) {
    let (deleted, live): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.head.deleted.is_some());
    (into.live, into.left.live) = values(live);
    (into.deleted, into.left.deleted) = values(deleted);
}

/// Returns the newest of these lines, and the number of those that are left out.
fn values(lines: Vec<Line<'_>>) -> (Vec<ExposedValue>, u64) {
    let mut lines: Vec<_> = lines.into_iter().map(|line| (Reverse(line.known.newest()), line)).collect();
    let left = lines.len().saturating_sub(LISTED_MAX) as u64;
    if left > 0 {
        // Only what is listed has to be in order.
        lines.select_nth_unstable_by_key(LISTED_MAX, |(newest, _)| *newest);
        lines.truncate(LISTED_MAX);
    }
    lines.sort_unstable_by_key(|(newest, _)| *newest);
    (lines.iter().map(|(_, line)| shown(line)).collect(), left)
}

/// Puts the minted tokens that have not ended into the answer.
pub(super) fn list_minted<'a>(
    tokens: impl Iterator<Item = (&'a str, &'a str, IntegrationId, Timestamp, &'a Tally)>,
    now: Timestamp,
    into: &mut Exposure,
) {
    let mut minted: Vec<_> = tokens.filter(|(_, _, _, ends, _)| *ends > now).collect();
    minted.sort_by_key(|(_, _, _, _, tally)| Reverse(tally.last.0));
    let shown = |(hash, actor, integration_id, expires_at, tally): (&str, &str, _, _, &Tally)| MintedToken {
        actor: actor.to_owned(),
        integration_id,
        hashed_token: hash.to_owned(),
        expires_at,
        received: tally.shown(),
    };
    (into.minted, into.left.minted) = cut(minted, shown);
}

/// Puts what was made into the answer; `unnamed` is the number of those that only a hash names.
pub(super) fn list_made(mut made: Vec<Made>, unnamed: u64, into: &mut Exposure) {
    made.sort_by_key(|made| Reverse(made.sequence));
    (into.made, into.left.made) = cut(made, |made| made);
    into.left.made += unnamed;
}

fn cut<T, U>(items: Vec<T>, shown: impl Fn(T) -> U) -> (Vec<U>, u64) {
    let left = items.len().saturating_sub(LISTED_MAX) as u64;
    (items.into_iter().take(LISTED_MAX).map(shown).collect(), left)
}

fn shown(line: &Line<'_>) -> ExposedValue {
    ExposedValue {
        actor: line.actor.to_owned(),
        integration_id: line.head.id,
        provider: line.head.provider.to_string(),
        name: line.head.name.as_deref().map(str::to_owned),
        revision: line.head.lineage.current.unwrap_or_default(),
        expires_at: None,
        deleted_at: line.head.deleted,
        received: line.known.received.as_deref().map(Tally::shown),
        stored: line.known.stored,
    }
}
