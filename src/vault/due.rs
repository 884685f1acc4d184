//! The work-list of rotations: what ends, what ended and is still read, and what nobody rotated or used for long.
//!
//! A list is of one moment and bounded; its counts are of everything. The storage keeps the dates of all integrations in
//! memory, so that only the rows that a list shows are opened.

use std::sync::Arc;

use super::{
    access::Admitted,
    error::{Error, InternalError},
    integrations::{Listed, with_last_access},
    state::{Open, Vault},
    work::{Context, Request},
};
use crate::{
    audit::record,
    auth::policy::Verb,
    domain::{ApplicationToken, DueCounts, DueRules, IntegrationId, Peer, Timestamp, TokenStatus},
    storage::{Dates, Decision, LastAccess, View},
};

/// A request for the work-list.
#[derive(Debug, Clone, Copy)]
pub struct DueQuery {
    /// The limits in time.
    pub rules: DueRules,
    /// The most entries of each kind.
    pub limit: usize,
}

/// A token with its last use.
#[derive(Debug)]
pub struct DueToken {
    /// The token.
    pub token: ApplicationToken,
    /// The time of its last audited event.
    pub used_at: Option<Timestamp>,
    /// The address that event came from, unless its record was archived.
    pub used_from: Option<Peer>,
}

/// The work that is due at one moment, of each kind the most urgent first.
#[derive(Debug, Default)]
pub struct Due {
    /// The numbers of everything.
    pub counts: DueCounts,
    /// Credentials that end soon.
    pub ending: Vec<Listed>,
    /// Credentials that were read after their end.
    pub ended_read: Vec<Listed>,
    /// Credentials that nobody rotated for long.
    pub not_rotated: Vec<Listed>,
    /// Active tokens that end soon.
    pub tokens_ending: Vec<DueToken>,
    /// Active tokens that nobody used for long.
    pub tokens_unused: Vec<DueToken>,
}

impl Vault {
    /// Returns what is due. The request is recorded first.
    ///
    /// # Errors
    /// The policy forbids it, or a row cannot be read.
    pub async fn list_due(
        &self,
        context: &Context,
        caller: &Admitted,
        query: DueQuery,
    ) -> Result<Due, Error> {
        let work = move |work: Request<'_>| Ok(Decision::recording((), vec![work.event]));
        self.act(context, caller, Verb::ListDue, work).await?;
        let open = self.opened()?;
        let (now, read) = (context.now, Arc::clone(&open));
        // A large vault takes longer than a serving thread should.
        let gathered = tokio::task::spawn_blocking(move || gather(&read, query, now)).await;
        let due = gathered.map_err(|_| Error::from(InternalError::TaskPanicked)).flatten();
        let due = self.noted(context, caller.caller().actor(), Verb::ListDue.action(), due).await?;
        // A caller that lost the right meanwhile gets nothing.
        self.admit_again(&open.writer.view(), caller, now, Verb::ListDue)?;
        Ok(due)
    }
}

impl Vault {
    /// Reads the dates of all integrations into memory, unless they are there: the first list after an unlock need not
    /// open every row.
    ///
    /// # Errors
    /// The vault is locked, or a row cannot be read.
    pub fn know_dates(&self) -> Result<(), Error> {
        Ok(self.opened()?.writer.fresh_view().each_dates(|_, _| {})?)
    }
}

/// Returns the numbers of what is due by the standard rules; `visit` sees the dates of each integration.
///
/// # Errors
/// A row cannot be read.
pub(super) fn counts(
    view: &View<'_>,
    now: Timestamp,
    mut visit: impl FnMut(&Dates),
) -> Result<DueCounts, Error> {
    let rules = DueRules::STANDARD;
    let mut found = Found::default();
    view.each_dates(|id, dates| {
        visit(dates);
        found.add(id, dates, &rules, now);
    })?;
    let mut counts = found.counts(view, now)?;
    for token in view.tokens()? {
        let used = view.last_access(token.id.as_bytes())?.map(|access| access.time);
        let ends = rules.is_token_ending(&token, now) && !has_moved(view, &token, now)?;
        counts.tokens_ending += u64::from(ends);
        counts.tokens_unused += u64::from(DueRules::is_token_unused(&token, used, now));
    }
    Ok(counts)
}

/// Integrations by what makes them due, and by the time that orders them.
#[derive(Default)]
struct Found {
    ending: Vec<(Timestamp, IntegrationId)>,
    ended: Vec<(Timestamp, IntegrationId)>,
    old: Vec<(Timestamp, IntegrationId)>,
}

impl Found {
    fn add(&mut self, id: IntegrationId, dates: &Dates, rules: &DueRules, now: Timestamp) {
        let end = dates.expires_at;
        if rules.is_ending(end, now) {
            self.ending.extend(end.map(|end| (end, id)));
        }
        self.ended.extend(end.filter(|end| *end <= now).map(|end| (end, id)));
        if rules.is_old(dates.unchanged_since, now) {
            self.old.push((dates.unchanged_since, id));
        }
    }

    /// Drops what ended and was not read since, and counts.
    fn counts(&mut self, view: &View<'_>, now: Timestamp) -> Result<DueCounts, Error> {
        let mut read = Vec::new();
        for (end, id) in self.ended.drain(..) {
            let read_at = view.last_access(id.as_bytes())?.map(|access| access.time);
            if DueRules::is_read_past(end, read_at, now) {
                read.push((end, id));
            }
        }
        self.ended = read;
        Ok(DueCounts {
            ending: self.ending.len() as u64,
            ended_read: self.ended.len() as u64,
            not_rotated: self.old.len() as u64,
            ..DueCounts::default()
        })
    }
}

fn gather(open: &Open, query: DueQuery, now: Timestamp) -> Result<Due, Error> {
    let DueQuery { rules, limit } = query;
    let view = open.writer.fresh_view();
    let mut found = Found::default();
    view.each_dates(|id, dates| found.add(id, dates, &rules, now))?;
    let counts = found.counts(&view, now)?;
    let mut tokens_ending = Vec::new();
    let mut tokens_unused = Vec::new();
    for token in view.tokens()? {
        let used = view.last_access(token.id.as_bytes())?;
        let used_at = used.as_ref().map(|access| access.time);
        if DueRules::is_token_unused(&token, used_at, now) {
            tokens_unused.push((used_at.unwrap_or(token.created_at), token.clone(), used.clone()));
        }
        if rules.is_token_ending(&token, now) && !has_moved(&view, &token, now)? {
            tokens_ending.push((token.expires_at, token, used));
        }
    }
    Ok(Due {
        counts: DueCounts {
            tokens_ending: tokens_ending.len() as u64,
            tokens_unused: tokens_unused.len() as u64,
            ..counts
        },
        ending: listed(&view, found.ending, limit)?,
        ended_read: listed(&view, found.ended, limit)?,
        not_rotated: listed(&view, found.old, limit)?,
        tokens_ending: with_uses(&view, tokens_ending, limit)?,
        tokens_unused: with_uses(&view, tokens_unused, limit)?,
    })
}

/// Returns whether the token was rolled and its successor is in use: its end is meant.
fn has_moved(view: &View<'_>, token: &ApplicationToken, now: Timestamp) -> Result<bool, Error> {
    let successor = token.roll.successor.map(|id| view.token_by_id(id)).transpose()?.flatten();
    let is_used = |next: &ApplicationToken| next.roll.first_used_at.is_some();
    Ok(successor.is_some_and(|next| next.status(now) == TokenStatus::Active && is_used(&next)))
}

/// Returns the first of them by time, with their metadata and last access.
fn listed(
    view: &View<'_>,
    mut found: Vec<(Timestamp, IntegrationId)>,
    limit: usize,
) -> Result<Vec<Listed>, Error> {
    found.sort_unstable();
    let first = found.into_iter().take(limit);
    let rows =
        first.map(|(_, id)| view.integration(id).map_err(Error::from)).collect::<Result<Vec<_>, _>>()?;
    rows.into_iter().flatten().map(|one| with_last_access(view, one)).collect()
}

/// Returns the first of them by time, with the address of their last use.
fn with_uses(
    view: &View<'_>,
    mut found: Vec<(Timestamp, ApplicationToken, Option<LastAccess>)>,
    limit: usize,
) -> Result<Vec<DueToken>, Error> {
    found.sort_by_key(|(time, token, _)| (*time, token.id));
    let archived = view.first_sequence()?;
    let one = |(_, token, used): (Timestamp, ApplicationToken, Option<LastAccess>)| {
        let used_at = used.as_ref().map(|access| access.time);
        let used_from = match used.filter(|access| access.sequence >= archived) {
            Some(access) => peer(view, access.sequence)?,
            None => None,
        };
        Ok(DueToken { token, used_at, used_from })
    };
    found.into_iter().take(limit).map(one).collect()
}

/// Returns the address in the record of that sequence.
fn peer(view: &View<'_>, sequence: u64) -> Result<Option<Peer>, Error> {
    let records = view.records(sequence, 1)?;
    let Some((_, bytes)) = records.first().filter(|(found, _)| *found == sequence) else { return Ok(None) };
    Ok(record::decode(bytes).map_err(InternalError::from)?.peer)
}
