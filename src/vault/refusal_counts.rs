//! Counts of refusals that are not recorded one by one, so that no client makes the log grow at will (contract §2).
//!
//! A minute here is the time between two calls of [`Tally::take`].

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::error::Error;
use crate::domain::{Action, Actor, Detail, DetailKey, Event, Peer, Timestamp};

/// The most refusals of one caller per minute that are recorded one by one.
const EVENTS_MAX: u64 = 60;
/// The most addresses counted separately per minute; 1 MB at most.
const PEERS_MAX: usize = 10_000;

/// The counts of this minute and of the whole run.
#[derive(Default)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    minute: Minute,
    total: Rejected,
    /// The refusals of known callers since the start.
    refusals: u64,
}

#[derive(Default)]
pub(super) struct Minute {
    /// By authenticated caller: never more entries than tokens and users.
    refusals: HashMap<Actor, u64>,
    /// By caller and budget: the requests beyond it.
    limited: HashMap<(Actor, &'static str), u64>,
    rejected: Rejected,
    peers: HashSet<Option<Peer>>,
}

/// Counts of rejected requests and logins.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Rejected {
    /// Requests without a valid token.
    pub tokens: u64,
    /// Failed logins and refreshes.
    pub logins: u64,
}

impl Tally {
    /// Counts a refusal of a caller; returns whether it is to be recorded on its own.
    pub(super) fn count_refusal(&self, actor: &Actor) -> bool {
        let mut counts = self.lock();
        counts.refusals += 1;
        let refusals = match counts.minute.refusals.get_mut(actor) {
            Some(refusals) => refusals,
            None => counts.minute.refusals.entry(actor.clone()).or_default(),
        };
        *refusals += 1;
        *refusals <= EVENTS_MAX
    }

    /// Counts the refusal of a request beyond its caller's budget, and no other error; all of a minute are one event.
    pub(super) fn count_limited(&self, actor: &Actor, error: &Error) {
        let budget = match error {
            Error::TooManyDisclosures { .. } => "too_many_disclosures",
            Error::TooManyWrites { .. } => "too_many_writes",
            _ => return,
        };
        *self.lock().minute.limited.entry((actor.clone(), budget)).or_default() += 1;
    }

    /// Counts a request without a valid token.
    pub(super) fn token(&self, peer: Option<Peer>) {
        self.rejected(peer, Rejected { tokens: 1, logins: 0 });
    }

    /// Counts a failed login.
    pub(super) fn login(&self, peer: Option<Peer>) {
        self.rejected(peer, Rejected { tokens: 0, logins: 1 });
    }

    /// Returns the counts since the start.
    pub(super) fn total(&self) -> Rejected {
        self.lock().total
    }

    /// Returns the refusals of known callers since the start.
    pub(super) fn refusals(&self) -> u64 {
        self.lock().refusals
    }

    /// Returns the counts of this minute and begins the next.
    pub(super) fn take(&self) -> Minute {
        std::mem::take(&mut self.lock().minute)
    }

    /// Adds a minute's counts to the current minute.
    pub(super) fn give_back(&self, minute: Minute) {
        let now = &mut self.lock().minute;
        for (actor, count) in minute.refusals {
            *now.refusals.entry(actor).or_default() += count;
        }
        for (budget, count) in minute.limited {
            *now.limited.entry(budget).or_default() += count;
        }
        now.rejected.tokens += minute.rejected.tokens;
        now.rejected.logins += minute.rejected.logins;
        now.peers.extend(minute.peers);
    }

    fn rejected(&self, peer: Option<Peer>, one: Rejected) {
        let counts = &mut *self.lock();
        for sums in [&mut counts.total, &mut counts.minute.rejected] {
            sums.tokens += one.tokens;
            sums.logins += one.logins;
        }
        if counts.minute.peers.len() < PEERS_MAX {
            counts.minute.peers.insert(peer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Minute {
    /// Returns the minute's counts as events.
    pub(super) fn events(&self, now: Timestamp, host: &Actor) -> Vec<Event> {
        let Self { refusals, limited, rejected, peers } = self;
        let over = refusals.iter().filter(|(_, count)| **count > EVENTS_MAX);
        let mut over: Vec<(Actor, u64)> = over.map(|(actor, count)| (actor.clone(), *count)).collect();
        over.sort_by_key(|(actor, _)| actor.to_string());
        let refused = |(actor, count): (Actor, u64)| Event {
            detail: Detail::NONE.number(DetailKey::Count, count - EVENTS_MAX),
            outcome: crate::domain::Outcome::Denied,
            ..Event::new(now, actor, Action::RequestRefused)
        };
        let mut limited: Vec<_> = limited.iter().collect();
        limited.sort_by_key(|((actor, budget), _)| (actor.to_string(), *budget));
        let of_budget = |((actor, budget), count): (&(Actor, &'static str), &u64)| Event {
            detail: Detail::NONE.text(DetailKey::Reason, budget).number(DetailKey::Count, *count),
            outcome: crate::domain::Outcome::Denied,
            ..Event::new(now, actor.clone(), Action::RequestRefused)
        };
        let detail = Detail::NONE
            .number(DetailKey::Tokens, rejected.tokens)
            .number(DetailKey::Logins, rejected.logins)
            .number(DetailKey::Peers, peers.len() as u64);
        let outcome = crate::domain::Outcome::Denied;
        let sum = Event { outcome, detail, ..Event::new(now, host.clone(), Action::AuthRejected) };
        let sum = Some(sum).filter(|_| *rejected != Rejected::default());
        over.into_iter().map(refused).chain(limited.into_iter().map(of_budget)).chain(sum).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_refusals_a_minute_are_events_and_the_rest_is_one() {
        let (tally, now, host) = (Tally::default(), Timestamp::from_millis(0), Actor::host("test"));
        let (one, other) = (Actor::host("one"), Actor::host("other"));
        assert_eq!((0..100).filter(|_| tally.count_refusal(&one)).count(), 60);
        assert!(tally.count_refusal(&other));
        let events = tally.take().events(now, &host);
        assert_eq!(events.len(), 1);
        assert_eq!((&events[0].actor, events[0].action), (&one, Action::RequestRefused));
        assert_eq!(events[0].detail, Detail::NONE.number(DetailKey::Count, 40));
        assert!(tally.count_refusal(&one), "the next minute begins");
        assert!(tally.take().events(now, &host).is_empty());
    }

    #[test]
    fn reads_beyond_a_budget_are_one_event_a_minute() {
        let (tally, now, one) = (Tally::default(), Timestamp::from_millis(0), Actor::host("one"));
        let over = Error::TooManyDisclosures { retry_after_secs: 1 };
        (0..1_000).for_each(|_| tally.count_limited(&one, &over));
        let minute = tally.take();
        tally.give_back(minute);
        tally.count_limited(&one, &over);
        tally.count_limited(&one, &Error::Locked);
        let events = tally.take().events(now, &Actor::host("test"));
        let detail =
            Detail::NONE.text(DetailKey::Reason, "too_many_disclosures").number(DetailKey::Count, 1_001);
        assert_eq!(events.len(), 1);
        assert_eq!(
            (&events[0].actor, events[0].action, &events[0].detail),
            (&one, Action::RequestRefused, &detail)
        );
    }

    #[test]
    fn strangers_are_one_sum_however_many_they_are() {
        let (tally, now, host) = (Tally::default(), Timestamp::from_millis(0), Actor::host("test"));
        for n in 0..20_000_u32 {
            let peer = Some(Peer::Ip(std::net::Ipv4Addr::from(n).into()));
            tally.token(peer);
            tally.login(peer);
        }
        let events = tally.take().events(now, &host);
        let detail = Detail::NONE
            .number(DetailKey::Tokens, 20_000)
            .number(DetailKey::Logins, 20_000)
            .number(DetailKey::Peers, 10_000);
        assert_eq!((events.len(), &events[0].detail), (1, &detail));
        assert_eq!(tally.total(), Rejected { tokens: 20_000, logins: 20_000 });
    }

    /// A disk that fails for a minute must neither lose a count nor count anything twice.
    #[test]
    fn what_could_not_be_recorded_is_recorded_once_with_the_next_minute_in_a_fixed_order() {
        let (tally, now, host) = (Tally::default(), Timestamp::from_millis(0), Actor::host("test"));
        let peers = [None, Some(Peer::Unix), "192.0.2.1".parse().ok()];
        let over = Error::TooManyWrites { retry_after_secs: 1 };
        let refuse = |name: &str, times| {
            let actor = Actor::host(name);
            (0..times).filter(|_| tally.count_refusal(&actor)).count()
        };
        for name in ["c", "a", "d", "b"] {
            assert_eq!(refuse(name, EVENTS_MAX + 1), 60);
            tally.count_limited(&Actor::host(name), &over);
            tally.count_limited(&Actor::host(name), &Error::TooManyDisclosures { retry_after_secs: 1 });
        }
        assert_eq!(refuse("sixty", EVENTS_MAX), 60);
        tally.token(peers[0]);
        tally.login(peers[1]);
        let counts = |events: &[Event]| -> Vec<(String, Detail)> {
            events.iter().map(|event| (event.actor.to_string(), event.detail.clone())).collect()
        };
        let number = |count| Detail::NONE.number(DetailKey::Count, count);
        let expected = |times: u64, sum: Detail| {
            let over = |name: &str| (format!("host:{name}"), number(times * (EVENTS_MAX + 1) - EVENTS_MAX));
            let limited = |name: &str| {
                ["too_many_disclosures", "too_many_writes"].map(|reason| {
                    let detail = Detail::NONE.text(DetailKey::Reason, reason).number(DetailKey::Count, times);
                    (format!("host:{name}"), detail)
                })
            };
            let names = ["a", "b", "c", "d"];
            let all = names.map(over).into_iter().chain(names.map(limited).into_iter().flatten());
            all.chain([("host:test".to_owned(), sum)]).collect::<Vec<_>>()
        };
        let sum = |tokens, logins, peers| {
            let sum = Detail::NONE.number(DetailKey::Tokens, tokens).number(DetailKey::Logins, logins);
            sum.number(DetailKey::Peers, peers)
        };
        let lost = tally.take();
        assert_eq!(counts(&lost.events(now, &host)), expected(1, sum(1, 1, 2)));
        // The next minute has the same again, a known peer and a new one.
        for name in ["d", "b", "a", "c"] {
            assert_eq!(refuse(name, EVENTS_MAX + 1), 60);
            tally.count_limited(&Actor::host(name), &Error::TooManyDisclosures { retry_after_secs: 1 });
            tally.count_limited(&Actor::host(name), &over);
        }
        tally.token(peers[1]);
        tally.token(peers[2]);
        tally.login(peers[2]);
        tally.give_back(lost);
        assert_eq!(counts(&tally.take().events(now, &host)), expected(2, sum(3, 2, 3)));
        assert!(tally.take().events(now, &host).is_empty(), "each once");
        assert_eq!(tally.total(), Rejected { tokens: 3, logins: 2 });
        assert_eq!(tally.refusals(), 8 * (EVENTS_MAX + 1) + EVENTS_MAX);
    }
}
