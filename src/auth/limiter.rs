//! The login limiter: how often a password may be tried.
//!
//! Owns the counts, in memory and bounded. Knows no clock and no users: a known e-mail and an unknown one are the same
//! to it, so that nothing it answers tells them apart.
//!
//! A try counts as failed from the moment it is let in until [`Limiter::succeeded`] takes it back. Were it counted
//! only once it has failed, a thousand tries at the same time would all be let in.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use crate::domain::{Email, Peer, Timestamp, days, minutes};

/// For how long a failure counts (contract §6).
const WINDOW: Duration = minutes(5);
/// Failures of one e-mail from one address.
const PAIR_MAX: usize = 5;
/// Failures of one e-mail, or from one address.
const ALONE_MAX: usize = 50;
/// Wrong codes of a second factor, for an e-mail from all strangers and from each address of its own. Who sends one has
/// the password, and five guesses in five minutes from every address would find a code in weeks.
const CODES_MAX: usize = 10;
/// For how long such a code counts.
const CODES_WINDOW: Duration = minutes(60);
/// For how long an address is a user's own after a login from it (contract §6).
const KNOWN: Duration = days(30);
/// The most pairs, e-mails and addresses that are remembered, each; 20 MB at most.
const ENTRIES_MAX: usize = 10_000;

/// The try was not let in; no password was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many failed logins: try again in {seconds} s")]
pub struct RetryAfter {
    /// Until the next try may be let in, in whole seconds, at least 1.
    pub seconds: u64,
}

impl RetryAfter {
    fn of(wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self { seconds: seconds.max(1) }
    }
}

/// Counts failed logins by e-mail, by address, and by both together.
pub struct Limiter {
    pairs: Counts<(Email, Address)>,
    emails: Counts<Email>,
    addresses: Counts<Address>,
    refreshes: Counts<Address>,
    checkpoints: Counts<Address>,
    /// Wrong codes of a second factor: from an address of the user's own, or from all others together.
    codes: Counts<(Email, Option<Address>)>,
    /// The time of each user's last login from each address.
    known: HashMap<(Email, Address), Timestamp>,
}

impl Limiter {
    /// A limiter that has seen nothing.
    pub fn new() -> Self {
        Self {
            pairs: Counts::new(PAIR_MAX, WINDOW, ENTRIES_MAX),
            emails: Counts::new(ALONE_MAX, WINDOW, ENTRIES_MAX),
            addresses: Counts::new(ALONE_MAX, WINDOW, ENTRIES_MAX),
            refreshes: Counts::new(ALONE_MAX, WINDOW, ENTRIES_MAX),
            checkpoints: Counts::new(ALONE_MAX, WINDOW, ENTRIES_MAX),
            codes: Counts::new(CODES_MAX, CODES_WINDOW, ENTRIES_MAX),
            known: HashMap::new(),
        }
    }

    /// Notes a login of that user from that address: for 30 days only its own failures from there count.
    pub fn know(&mut self, email: &Email, peer: Peer, at: Timestamp) {
        let key = (email.clone(), Address::of(peer));
        if self.known.len() >= ENTRIES_MAX && !self.known.contains_key(&key) {
            // A walk over all, but only in a house of ten thousand desks.
            let oldest = self.known.iter().min_by_key(|(_, at)| **at).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.known.remove(&key));
        }
        let newest = self.known.entry(key).or_insert(at);
        *newest = at.max(*newest);
    }

    /// Returns whether that user logged in from that address of late.
    pub fn is_known(&self, email: &Email, peer: Peer, now: Timestamp) -> bool {
        let at = self.known.get(&(email.clone(), Address::of(peer)));
        at.is_some_and(|at| now.since(*at) <= KNOWN)
    }

    /// Lets a refresh in, and counts it as failed until [`Self::refreshed`] takes it back.
    ///
    /// # Errors
    /// Too many refreshes from that address failed.
    pub fn check_refresh(&mut self, peer: Peer, now: Timestamp) -> Result<(), RetryAfter> {
        let address = Address::of(peer);
        if let Some(wait) = self.refreshes.wait(&address, now) {
            return Err(RetryAfter::of(wait));
        }
        self.refreshes.add(address, now);
        Ok(())
    }

    /// The refresh that was let in last has not failed.
    pub fn refreshed(&mut self, peer: Peer) {
        self.refreshes.take_back(&Address::of(peer));
    }

    /// Lets a checkpoint to be cosigned in, and counts it as refused until [`Self::cosigned`] takes it back.
    ///
    /// # Errors
    /// Too many checkpoints from that address were refused.
    pub fn check_checkpoint(&mut self, peer: Peer, now: Timestamp) -> Result<(), RetryAfter> {
        let address = Address::of(peer);
        if let Some(wait) = self.checkpoints.wait(&address, now) {
            return Err(RetryAfter::of(wait));
        }
        self.checkpoints.add(address, now);
        Ok(())
    }

    /// The checkpoint that was let in last was cosigned, or came to no judgement.
    pub fn cosigned(&mut self, peer: Peer) {
        self.checkpoints.take_back(&Address::of(peer));
    }

    /// Lets a code of a second factor in, and counts it as wrong until [`Self::code_not_wrong`] takes it back.
    ///
    /// # Errors
    /// Too many codes of that user were wrong.
    pub fn check_code(&mut self, email: &Email, peer: Peer, now: Timestamp) -> Result<(), RetryAfter> {
        let key = self.code_key(email, peer, now);
        if let Some(wait) = self.codes.wait(&key, now) {
            return Err(RetryAfter::of(wait));
        }
        self.codes.add(key, now);
        Ok(())
    }

    /// The code that was let in last was right, or came to no judgement.
    pub fn code_not_wrong(&mut self, email: &Email, peer: Peer, now: Timestamp) {
        let key = self.code_key(email, peer, now);
        self.codes.take_back(&key);
    }

    fn code_key(&self, email: &Email, peer: Peer, now: Timestamp) -> (Email, Option<Address>) {
        let own = self.is_known(email, peer, now).then(|| Address::of(peer));
        (email.clone(), own)
    }

    /// Lets a try in, and counts it as failed until [`Self::succeeded`] takes it back.
    ///
    /// `email` is `None` where the request names no valid address: then the peer alone counts. An address from which
    /// that user logged in of late is held back by its own failures for that user alone, so that no stranger and no
    /// neighbour keeps somebody out.
    ///
    /// # Errors
    /// The e-mail, the address or both together have failed too often; such a try does not count.
    pub fn check(&mut self, email: Option<&Email>, peer: Peer, now: Timestamp) -> Result<(), RetryAfter> {
        let address = Address::of(peer);
        let pair = email.map(|email| (email.clone(), address));
        let of_pair = pair.as_ref().and_then(|pair| self.pairs.wait(pair, now));
        let is_own = self.is_own(email, peer, now);
        let of_others = if is_own {
            None
        } else {
            let of_email = email.and_then(|email| self.emails.wait(email, now));
            of_email.max(self.addresses.wait(&address, now))
        };
        if let Some(wait) = of_pair.max(of_others) {
            return Err(RetryAfter::of(wait));
        }
        if let Some(pair) = pair {
            self.pairs.add(pair, now);
        }
        // A full count forgets its oldest: an own try in it would make room for a stranger's.
        if !is_own {
            email.into_iter().for_each(|email| self.emails.add(email.clone(), now));
            self.addresses.add(address, now);
        }
        Ok(())
    }

    fn is_own(&self, email: Option<&Email>, peer: Peer, now: Timestamp) -> bool {
        email.is_some_and(|email| self.is_known(email, peer, now))
    }

    /// The try that was let in last came to no judgement: it counts for nothing.
    pub fn undecided(&mut self, email: Option<&Email>, peer: Peer, now: Timestamp) {
        // A success of the pair meanwhile has given this try back already.
        let is_counted = email.is_none_or(|email| self.pairs.take_back(&(email.clone(), Address::of(peer))));
        self.take_back(email, peer, now, usize::from(is_counted));
    }

    /// The try that was let in last had the right password: the pair starts afresh, and the e-mail and the address
    /// get the tries of this pair back, such as the one that learned of a second factor. Not more: who has one account
    /// could else clear an address for guessing at others.
    pub fn succeeded(&mut self, email: Option<&Email>, peer: Peer, now: Timestamp) {
        let mut tries = 1;
        if let Some(email) = email {
            let pair = (email.clone(), Address::of(peer));
            // None, if another success meanwhile has given them all back.
            tries = self.pairs.failures.get(&pair).map_or(0, VecDeque::len);
            self.pairs.clear(&pair);
        }
        self.take_back(email, peer, now, tries);
    }

    /// Gives the e-mail and the address so many tries back, if they counted them.
    fn take_back(&mut self, email: Option<&Email>, peer: Peer, now: Timestamp, tries: usize) {
        if self.is_own(email, peer, now) {
            return;
        }
        for _ in 0..tries {
            email.map(|email| self.emails.take_back(email));
            self.addresses.take_back(&Address::of(peer));
        }
    }
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new()
    }
}

/// The unit that the limiter takes for one host: an IPv4 address, mapped or not; of IPv6 the /64, since that is the
/// least that one host is given (RFC 6177) and it may use all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address(Peer);

impl Address {
    /// The host behind a peer.
    pub fn of(peer: Peer) -> Self {
        match peer {
            Peer::Unix => Self(Peer::Unix),
            Peer::Ip(ip) => match ip.to_canonical() {
                IpAddr::V4(ip) => Self(Peer::Ip(ip.into())),
                IpAddr::V6(ip) => {
                    let network = Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX));
                    Self(Peer::Ip(network.into()))
                }
            },
        }
    }
}

/// The last failures of each key, oldest first, never more than `limit` of them, for at most `entries` keys.
///
/// A full map forgets the key that failed longest ago. An attacker gains next to nothing: to push one
/// e-mail's fifty failures out it must fail ten thousand times with others within one window, from two hundred
/// addresses, at one argon2 run each. Any other order would be worse: who can fill the room with keys that stay, pushes
/// out every newer one with a single try.
struct Counts<K> {
    limit: usize,
    window: Duration,
    entries: usize,
    failures: HashMap<K, VecDeque<Timestamp>>,
}

impl<K: Hash + Eq + Clone> Counts<K> {
    fn new(limit: usize, window: Duration, entries: usize) -> Self {
        Self { limit, window, entries, failures: HashMap::new() }
    }

    /// Returns the time that the key must still wait, if any.
    fn wait(&mut self, key: &K, now: Timestamp) -> Option<Duration> {
        let failures = self.failures.get_mut(key)?;
        // A clock that was set back would make failures of the future, which no waiting outlives.
        for at in failures.iter_mut() {
            *at = (*at).min(now);
        }
        failures.retain(|at| now < at.plus(self.window));
        if failures.len() < self.limit {
            return None;
        }
        failures.front().map(|oldest| oldest.plus(self.window).since(now))
    }

    fn add(&mut self, key: K, now: Timestamp) {
        if !self.failures.contains_key(&key) {
            self.make_room(now);
        }
        let failures = self.failures.entry(key).or_default();
        if failures.len() >= self.limit {
            failures.pop_front();
        }
        failures.push_back(now);
    }

    fn clear(&mut self, key: &K) {
        self.failures.remove(key);
    }

    /// Takes the newest failure back; false if there is none.
    fn take_back(&mut self, key: &K) -> bool {
        let Some(failures) = self.failures.get_mut(key) else { return false };
        let had_one = failures.pop_back().is_some();
        if failures.is_empty() {
            self.failures.remove(key);
        }
        had_one
    }

    fn make_room(&mut self, now: Timestamp) {
        if self.failures.len() < self.entries {
            return;
        }
        self.failures.retain(|_, failures| failures.back().is_some_and(|at| now < at.plus(self.window)));
        if self.failures.len() < self.entries {
            return;
        }
        // A walk over all entries, but only in a flood, and far below the price of one argon2 run.
        let oldest = self.failures.iter().min_by_key(|(_, failures)| failures.back());
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            self.failures.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
