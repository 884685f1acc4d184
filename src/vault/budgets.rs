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
        // A clock that was set back begins a minute of its own.
        let is_over = |began: Timestamp| now >= began.plus(WINDOW) || now < began;
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
        let mut held = lock(&self.budgets.held);
        let of_caller = held.by_caller.get(&self.caller).copied().unwrap_or_default();
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
mod tests {
    use super::*;
    use crate::domain::seconds;

    const LIMITS: CallerLimits = CallerLimits {
        answer_bytes: 100,
        answers_bytes: 400,
        disclosures_per_minute: 1_000,
        writes_per_minute: 1_000,
    };
    const START: Timestamp = Timestamp::from_millis(1_764_000_000_000);

    #[test]
    fn one_caller_holds_a_quarter_of_the_memory_and_all_callers_all_of_it() {
        let budgets = Arc::new(Budgets::default());
        let [one, others @ ..] = ["a", "b", "c", "d", "e"].map(Actor::host);
        let mut first = budgets.answer(one.clone());
        first.grow(60, &LIMITS).unwrap();
        let mut second = budgets.answer(one.clone());
        assert!(second.grow(60, &LIMITS).is_err(), "its quarter");
        second.grow(40, &LIMITS).unwrap();
        let mut held = Vec::new();
        for other in others {
            let mut answer = budgets.answer(other);
            if answer.grow(100, &LIMITS).is_ok() {
                held.push(answer);
            }
        }
        assert_eq!((held.len(), budgets.held_bytes(), budgets.refused()), (3, 400, 2));
        drop((first, second, held));
        assert!(budgets.held_bytes() == 0 && lock(&budgets.held).by_caller.is_empty());
        budgets.answer(one).grow(100, &LIMITS).unwrap();
    }

    #[test]
    fn what_ends_gives_back_its_own_part_and_not_what_the_caller_holds_besides() {
        let (budgets, one) = (Arc::new(Budgets::default()), Actor::host("a"));
        let [mut first, mut second, mut third] = [(); 3].map(|()| budgets.answer(one.clone()));
        first.grow(60, &LIMITS).unwrap();
        second.grow(40, &LIMITS).unwrap();
        drop(first);
        assert!(third.grow(61, &LIMITS).is_err(), "40 are still held");
        third.grow(60, &LIMITS).unwrap();
        let mut exports: Vec<_> =
            (0..EXPORTS_PER_CALLER).map(|_| budgets.export(one.clone()).unwrap()).collect();
        exports.pop();
        exports.push(budgets.export(one.clone()).unwrap());
        assert!(budgets.export(one).is_err(), "the others still run");
    }

    #[test]
    fn a_minute_has_its_disclosures_and_the_next_one_its_own() {
        let (budgets, one, other) = (Budgets::default(), Actor::host("a"), Actor::host("b"));
        let take = |caller, count, scarce, now| budgets.disclose(caller, count, &LIMITS, scarce, now);
        take(&one, 900, false, START).unwrap();
        let refused = take(&one, 101, false, START.plus(seconds(20))).unwrap_err();
        assert!(matches!(refused, Error::TooManyDisclosures { retry_after_secs: 40 }), "{refused:?}");
        take(&one, 100, false, START.plus(seconds(20))).unwrap();
        take(&other, 1_000, false, START.plus(seconds(20))).unwrap();
        take(&one, 1_000, false, START.plus(minutes(1))).unwrap();
        assert!(take(&one, 1, false, START.plus(minutes(1))).is_err());
        assert!(take(&one, 1, false, START).is_ok(), "a clock that was set back holds nobody back");
        take(&other, 5_000, false, START.plus(minutes(5))).unwrap();
        // A nearly full disk: the noisiest first.
        take(&one, 10, true, START.plus(minutes(9))).unwrap();
        assert!(take(&one, 1, true, START.plus(minutes(9))).is_err());
    }

    #[test]
    fn a_write_counts_its_events_and_its_bytes_beside_disclosures_and_logins() {
        let (budgets, one) = (Budgets::default(), Actor::host("a"));
        let write = |size, scarce| budgets.write(&one, size, &LIMITS, scarce, START);
        write((999, WRITE_BYTES - 1), false).unwrap();
        assert!(write((1, WRITE_BYTES), false).is_err());
        write((1, 0), false).unwrap();
        let refused = write((1, 0), false).unwrap_err();
        assert!(matches!(refused, Error::TooManyWrites { retry_after_secs: 60 }), "{refused:?}");
        budgets.disclose(&one, 1_000, &LIMITS, false, START).unwrap();
        for n in 0..1_001 {
            assert_eq!(budgets.session(&one, &LIMITS, false, START).is_ok(), n < 1_000, "{n}");
        }
        let other = Actor::host("b");
        budgets.write(&other, (10, 0), &LIMITS, true, START).unwrap();
        assert!(budgets.write(&other, (1, 0), &LIMITS, true, START).is_err(), "a nearly full disk");
    }

    /// A budget forgets what a caller took once its minute is over, or a crowd of callers would fill the memory.
    #[test]
    fn nothing_is_remembered_of_a_minute_that_is_over_and_nothing_forgotten_of_one_that_runs() {
        let budgets = Budgets::default();
        let take =
            |caller: &str, count, now| budgets.disclose(&Actor::host(caller), count, &LIMITS, false, now);
        for number in 0..500 {
            take(&format!("early{number}"), 1, START).unwrap();
        }
        take("late", 1_000, START.plus(seconds(30))).unwrap();
        assert_eq!(lock(&budgets.taken).len(), 501);
        // The last moment of their minute, by a new caller: all stay.
        take("new", 1, START.plus(Duration::from_millis(59_999))).unwrap();
        assert_eq!(lock(&budgets.taken).len(), 502);
        take("newer", 1, START.plus(minutes(1))).unwrap();
        assert_eq!(lock(&budgets.taken).len(), 3, "late, new and newer");
        let refused = take("late", 1, START.plus(Duration::from_millis(89_500))).unwrap_err();
        assert!(matches!(refused, Error::TooManyDisclosures { retry_after_secs: 1 }), "{refused:?}");
        assert_eq!(budgets.refused(), 1);
        take("late", 1, START.plus(seconds(90))).unwrap();
    }

    #[test]
    fn a_small_budget_is_never_none_on_a_nearly_full_disk() {
        let limits = CallerLimits { disclosures_per_minute: 50, ..LIMITS };
        let (budgets, one) = (Budgets::default(), Actor::host("a"));
        budgets.disclose(&one, 1, &limits, true, START).unwrap();
        assert!(budgets.disclose(&one, 1, &limits, true, START).is_err());
        assert!(budgets.disclose(&one, 49, &limits, false, START).is_ok(), "all of it once there is room");
        assert!(budgets.disclose(&one, 1, &limits, false, START).is_err());
    }

    #[test]
    fn one_caller_cannot_take_every_export() {
        let (budgets, one) = (Arc::new(Budgets::default()), Actor::host("a"));
        let held: Vec<_> = (0..EXPORTS_PER_CALLER).map(|_| budgets.export(one.clone()).unwrap()).collect();
        assert!(budgets.export(one.clone()).is_err());
        assert!(budgets.export(Actor::host("b")).is_ok());
        assert_eq!(budgets.refused(), 1);
        drop(held);
        assert!(lock(&budgets.exports).is_empty());
        let again: Vec<_> = (0..EXPORTS_PER_CALLER).map(|_| budgets.export(one.clone()).unwrap()).collect();
        assert!(budgets.export(one.clone()).is_err(), "as many as before, and no more");
        drop(again);
    }
}
