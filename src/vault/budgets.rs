//! Budgets of the known: what one caller may take of the memory and of the log, so that others get theirs.
//!
//! Strangers are the limiter's; here every caller has a valid token. The defaults are far above what a pipeline needs:
//! they bound a token that was stolen, or a script in a loop.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::error::Error;
use crate::domain::{Actor, Timestamp, minutes};

/// The period of the limits on disclosures and on writes.
const WINDOW: Duration = minutes(1);
/// Of the memory for answers, one caller gets this part.
const CALLER_PART: usize = 4;
/// Of its minute, a caller gets this part while the disk is nearly low: the noisiest is refused first.
const SCARCE_PART: u64 = 100;
/// A write of more bytes counts once more for each of these: above a private key, so that an import counts by items.
const WRITE_BYTES: usize = 2 << 10;
/// The most exports of one caller at a time.
const EXPORTS_PER_CALLER: usize = 4;

/// The limits on authenticated callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallerLimits {
    /// The most bytes of credentials in one answer.
    pub answer_bytes: usize,
    /// The most bytes of credentials in all answers that are not sent yet; one caller gets a quarter.
    pub answers_bytes: usize,
    /// The most credentials that one caller reads in a minute.
    pub disclosures_per_minute: u64,
    /// The most writes of one caller in a minute.
    pub writes_per_minute: u64,
}

impl CallerLimits {
    /// No limits, for a load that comes from one caller on purpose.
    pub const NONE: Self = Self {
        answer_bytes: usize::MAX,
        answers_bytes: usize::MAX,
        disclosures_per_minute: u64::MAX,
        writes_per_minute: u64::MAX,
    };
}

/// The kinds of what is counted by the minute, each on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Disclosures,
    Writes,
    /// Logins and refreshes: whoever has but a stolen access token must not keep its user from logging in.
    Sessions,
}

/// The holdings of each caller, and what it has taken.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    held: Mutex<Held>,
    taken: Mutex<HashMap<(Kind, Actor), (Timestamp, u64)>>,
    exports: Mutex<HashMap<Actor, usize>>,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Held {
    total: usize,
    by_caller: HashMap<Actor, usize>,
}

/// The bytes that one answer holds until its last one is sent; given back on drop.
#[derive(Debug)]
pub struct AnswerBytes {
    budgets: Arc<Budgets>,
    caller: Actor,
    bytes: usize,
}

/// One export's share; given back on drop.
#[derive(Debug)]
pub struct ExportShare {
    budgets: Arc<Budgets>,
    caller: Actor,
}

impl Budgets {
    /// Begins an answer to this caller.
    pub(super) fn answer(self: &Arc<Self>, caller: Actor) -> AnswerBytes {
        AnswerBytes { budgets: Arc::clone(self), caller, bytes: 0 }
    }

    /// Takes that many disclosures out of the caller's minute.
    ///
    /// # Errors
    /// The minute is used up; nothing is taken.
    pub(super) fn disclose(
        &self,
        caller: &Actor,
        count: u64,
        limits: &CallerLimits,
        is_disk_scarce: bool,
        now: Timestamp,
    ) -> Result<(), Error> {
        let most = part(limits.disclosures_per_minute, is_disk_scarce);
        self.take(Kind::Disclosures, caller, count, most, now)
            .map_err(|retry_after_secs| Error::TooManyDisclosures { retry_after_secs })
    }

    /// Takes a write of that many events and bytes out of the caller's minute.
    ///
    /// # Errors
    /// The minute is used up; nothing is taken.
    pub(super) fn write(
        &self,
        caller: &Actor,
        (events, bytes): (usize, usize),
        limits: &CallerLimits,
        is_disk_scarce: bool,
        now: Timestamp,
    ) -> Result<(), Error> {
        let most = part(limits.writes_per_minute, is_disk_scarce);
        self.take(Kind::Writes, caller, (events + bytes / WRITE_BYTES) as u64, most, now)
            .map_err(|retry_after_secs| Error::TooManyWrites { retry_after_secs })
    }

    /// Takes a login or a refresh out of the user's minute.
    ///
    /// # Errors
    /// The minute is used up; nothing is taken.
    pub(super) fn session(
        &self,
        user: &Actor,
        limits: &CallerLimits,
        is_disk_scarce: bool,
        now: Timestamp,
    ) -> Result<(), Error> {
        let most = part(limits.writes_per_minute, is_disk_scarce);
        self.take(Kind::Sessions, user, 1, most, now)
            .map_err(|retry_after_secs| Error::TooManyWrites { retry_after_secs })
    }

    /// Takes `count` out of the caller's minute of one kind, or returns the seconds until the next one.
    fn take(&self, kind: Kind, caller: &Actor, count: u64, most: u64, now: Timestamp) -> Result<(), u64> {
        let key = (kind, caller.clone());
        let mut taken = lock(&self.taken);
        // A clock that was far ahead begins a minute of its own. A request is as old as its head, though: one whose body
        // came late began before this minute, and must not end it.
        let is_over = |began: Timestamp| now.since(began).max(began.since(now)) >= WINDOW;
        if !taken.contains_key(&key) {
            taken.retain(|_, (began, _)| !is_over(*began));
        }
        let entry = taken.entry(key).or_insert((now, 0));
        if is_over(entry.0) {
            *entry = (now, 0);
        }
        // One answer may be larger than a small budget: it is let through once.
        if entry.1 > 0 && entry.1.saturating_add(count) > most {
            self.refused.fetch_add(1, Ordering::Relaxed);
            let left = entry.0.plus(WINDOW).since(now);
            return Err(left.as_secs().max(1));
        }
        entry.1 = entry.1.saturating_add(count);
        Ok(())
    }

    /// Begins an export of this caller.
    ///
    /// # Errors
    /// It has as many as one caller may have.
    pub(super) fn export(self: &Arc<Self>, caller: Actor) -> Result<ExportShare, Error> {
        let mut exports = lock(&self.exports);
        let running = exports.entry(caller.clone()).or_default();
        if *running >= EXPORTS_PER_CALLER {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Error::Overloaded);
        }
        *running += 1;
        Ok(ExportShare { budgets: Arc::clone(self), caller })
    }

    /// Returns the bytes that answers hold.
    pub(super) fn held_bytes(&self) -> usize {
        lock(&self.held).total
    }

    /// Returns the number of requests that a budget refused.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl AnswerBytes {
    /// Takes more bytes.
    ///
    /// # Errors
    /// The answers to this caller, or all answers together, hold too many.
    pub(super) fn grow(&mut self, bytes: usize, limits: &CallerLimits) -> Result<(), Error> {
        self.take(limits, |_| bytes)
    }

    /// Takes the bytes of a whole answer. A caller that holds nothing else gets one, however large it is, and is charged
    /// its part: a list that has no pages would be refused for ever, or keep the others from theirs.
    ///
    /// # Errors
    /// As [`Self::grow`].
    pub(super) fn fill(&mut self, bytes: usize, limits: &CallerLimits) -> Result<(), Error> {
        let part = limits.answers_bytes / CALLER_PART;
        self.take(limits, |of_caller| if of_caller == 0 { bytes.min(part) } else { bytes })
    }

    /// Takes as many bytes as `charged` makes of what the caller holds.
    fn take(&mut self, limits: &CallerLimits, charged: impl Fn(usize) -> usize) -> Result<(), Error> {
        let mut held = lock(&self.budgets.held);
        let of_caller = held.by_caller.get(&self.caller).copied().unwrap_or_default();
        let bytes = charged(of_caller);
        if held.total + bytes > limits.answers_bytes || of_caller + bytes > limits.answers_bytes / CALLER_PART
        {
            self.budgets.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Error::Overloaded);
        }
        held.total += bytes;
        *held.by_caller.entry(self.caller.clone()).or_default() += bytes;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for AnswerBytes {
    fn drop(&mut self) {
        let mut held = lock(&self.budgets.held);
        held.total -= self.bytes;
        if let Some(of_caller) = held.by_caller.get_mut(&self.caller) {
            *of_caller -= self.bytes;
            if *of_caller == 0 {
                held.by_caller.remove(&self.caller);
            }
        }
    }
}

impl Drop for ExportShare {
    fn drop(&mut self) {
        let mut exports = lock(&self.budgets.exports);
        if let Some(running) = exports.get_mut(&self.caller) {
            *running -= 1;
            if *running == 0 {
                exports.remove(&self.caller);
            }
        }
    }
}

/// Returns a caller's part of its minute.
fn part(most: u64, is_disk_scarce: bool) -> u64 {
    (most / if is_disk_scarce { SCARCE_PART } else { 1 }).max(1)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
