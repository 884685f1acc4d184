//! Tries of one user, of many, from one desk and from everywhere.

use super::*;
use crate::domain::seconds;

mod at_once;
mod checkpoints;
mod own_desk;

const START: Timestamp = Timestamp::from_millis(1_764_000_000_000);

fn email(text: &str) -> Email {
    text.parse().unwrap()
}

fn peer(text: &str) -> Peer {
    text.parse().unwrap()
}

fn host(number: usize) -> Peer {
    peer(&format!("10.{}.{}.1", number / 256, number % 256))
}

#[test]
fn the_sixth_try_of_a_pair_waits_and_then_is_let_in() {
    let (mut limiter, ada, at) = (Limiter::new(), email("ada@example.com"), peer("192.0.2.1"));
    for second in 0..5 {
        assert_eq!(limiter.check(Some(&ada), at, START.plus(seconds(second))), Ok(()));
    }
    assert_eq!(limiter.check(Some(&ada), at, START.plus(seconds(10))), Err(RetryAfter { seconds: 290 }));
    assert_eq!(limiter.check(Some(&ada), at, START.plus(minutes(5))), Ok(()));
    assert_eq!(limiter.check(Some(&ada), at, START.plus(minutes(5))), Err(RetryAfter { seconds: 1 }));
}

#[test]
fn another_address_and_another_email_are_not_held_back() {
    let (mut limiter, ada, at) = (Limiter::new(), email("ada@example.com"), peer("192.0.2.1"));
    for _ in 0..5 {
        limiter.check(Some(&ada), at, START).unwrap();
    }
    assert!(limiter.check(Some(&ada), at, START).is_err());
    assert_eq!(limiter.check(Some(&ada), peer("192.0.2.2"), START), Ok(()));
    assert_eq!(limiter.check(Some(&email("bob@example.com")), at, START), Ok(()));
}

#[test]
fn an_email_alone_is_held_back_after_fifty_failures_from_anywhere() {
    let (mut limiter, ada) = (Limiter::new(), email("ada@example.com"));
    for number in 0..50 {
        limiter.check(Some(&ada), host(number), START).unwrap();
    }
    assert_eq!(limiter.check(Some(&ada), host(50), START), Err(RetryAfter { seconds: 300 }));
}

#[test]
fn an_address_alone_is_held_back_after_fifty_failures_with_any_email() {
    let (mut limiter, at) = (Limiter::new(), peer("192.0.2.1"));
    for number in 0..49 {
        limiter.check(Some(&email(&format!("u{number}@example.com"))), at, START).unwrap();
    }
    limiter.check(None, at, START).unwrap();
    assert!(limiter.check(Some(&email("ada@example.com")), at, START).is_err());
    assert!(limiter.check(None, at, START).is_err());
}

/// A login with a second factor takes two tries: fifty of them behind one address kept everybody else there out.
#[test]
fn a_login_in_two_steps_leaves_nothing_that_counts() {
    let (mut limiter, at) = (Limiter::new(), peer("192.0.2.1"));
    for number in 0..ALONE_MAX * 2 {
        let user = email(&format!("u{number}@example.com"));
        for _ in 0..2 {
            assert_eq!(limiter.check(Some(&user), at, START), Ok(()), "{number}");
        }
        limiter.succeeded(Some(&user), at, START);
    }
    // The tries at another's account stay.
    let (ada, bob) = (email("ada@example.com"), email("bob@example.com"));
    for _ in 0..3 {
        limiter.check(Some(&ada), at, START).unwrap();
    }
    limiter.check(Some(&bob), at, START).unwrap();
    limiter.succeeded(Some(&bob), at, START);
    limiter.check(Some(&ada), at, START).unwrap();
    limiter.check(Some(&ada), at, START).unwrap();
    assert!(limiter.check(Some(&ada), at, START).is_err());
}

/// Fifty wrong tries from anywhere kept an owner out for as long as somebody went on with them.
#[test]
fn a_stranger_cannot_lock_a_user_out_of_the_desk_that_it_logs_in_from() {
    let (mut limiter, ada, bob) = (Limiter::new(), email("ada@example.com"), email("bob@example.com"));
    let desk = peer("192.0.2.1");
    limiter.know(&ada, desk, START);
    for number in 0..ALONE_MAX {
        limiter.check(Some(&ada), host(number), START).unwrap();
    }
    assert!(limiter.check(Some(&ada), host(99), START).is_err(), "the e-mail is held back");
    assert_eq!(limiter.check(Some(&ada), desk, START), Ok(()));
    limiter.succeeded(Some(&ada), desk, START);
    // Nor can a neighbour behind the same address, a refresh that fails, or an e-mail that is none.
    for number in 0..ALONE_MAX {
        let other = email(&format!("u{number}@example.com"));
        let _ = limiter.check(Some(&other), desk, START);
        let _ = limiter.check_refresh(desk, START);
        let _ = limiter.check(None, desk, START);
    }
    assert!(limiter.check(Some(&bob), desk, START).is_err(), "the address is held back");
    assert!(limiter.check_refresh(desk, START).is_err());
    for _ in 0..PAIR_MAX {
        assert_eq!(limiter.check(Some(&ada), desk, START), Ok(()));
    }
    assert!(limiter.check(Some(&ada), desk, START).is_err(), "its own failures count");
    let later = START.plus(days(31));
    for number in 0..ALONE_MAX {
        limiter.check(Some(&ada), host(number), later).unwrap();
    }
    assert!(limiter.check(Some(&ada), desk, later).is_err(), "after thirty days it is any address");
    for number in 0..ENTRIES_MAX + 50 {
        limiter.know(&email(&format!("u{number}@example.com")), desk, START);
    }
    assert!(limiter.known.len() <= ENTRIES_MAX);
}

#[test]
fn a_desk_stays_known_for_thirty_days_from_the_newest_login_whatever_the_clock_does() {
    let (mut limiter, ada, desk) = (Limiter::new(), email("ada@example.com"), peer("192.0.2.1"));
    limiter.know(&ada, desk, START.plus(days(10)));
    limiter.know(&ada, desk, START);
    assert!(
        limiter.is_known(&ada, desk, START.plus(days(40))),
        "a clock that was set back took the desk away"
    );
    assert!(!limiter.is_known(&ada, desk, START.plus(days(40)).plus(Duration::from_millis(1))));
    assert!(!limiter.is_known(&email("bob@example.com"), desk, START));
    assert!(!limiter.is_known(&ada, peer("192.0.2.2"), START));
}

#[test]
fn who_waits_as_long_as_it_was_told_is_let_in() {
    let (mut limiter, ada, at) = (Limiter::new(), email("ada@example.com"), peer("192.0.2.1"));
    for _ in 0..PAIR_MAX {
        limiter.check(Some(&ada), at, START).unwrap();
    }
    let now = START.plus(Duration::from_millis(1));
    let RetryAfter { seconds: told } = limiter.check(Some(&ada), at, now).unwrap_err();
    assert_eq!(limiter.check(Some(&ada), at, now.plus(seconds(told))), Ok(()));
}

#[test]
fn tries_at_the_same_time_do_not_outrun_the_count() {
    let (mut limiter, ada, at) = (Limiter::new(), email("ada@example.com"), peer("192.0.2.1"));
    let let_in = (0..1_000).filter(|_| limiter.check(Some(&ada), at, START).is_ok()).count();
    assert_eq!(let_in, PAIR_MAX);
}

#[test]
fn a_success_clears_the_pair_and_costs_nothing() {
    let (mut limiter, ada, at) = (Limiter::new(), email("ada@example.com"), peer("192.0.2.1"));
    for _ in 0..1_000 {
        limiter.check(Some(&ada), at, START).unwrap();
        limiter.succeeded(Some(&ada), at, START);
    }
    for _ in 0..4 {
        limiter.check(Some(&ada), at, START).unwrap();
    }
    limiter.check(Some(&ada), at, START).unwrap();
    limiter.succeeded(Some(&ada), at, START);
    assert_eq!(limiter.check(Some(&ada), at, START), Ok(()));
}

#[test]
fn a_try_without_a_judgement_counts_for_nothing() {
    let (mut limiter, ada, at) = (Limiter::new(), email("ada@example.com"), peer("192.0.2.1"));
    limiter.check(Some(&ada), at, START).unwrap();
    for _ in 0..1_000 {
        limiter.check(Some(&ada), at, START).unwrap();
        limiter.undecided(Some(&ada), at, START);
    }
    let let_in = (0..10).filter(|_| limiter.check(Some(&ada), at, START).is_ok()).count();
    assert_eq!(let_in, PAIR_MAX - 1, "the failure before them still counts");
}

#[test]
fn a_success_does_not_clear_an_address_for_guessing_at_others() {
    let (mut limiter, own, at) = (Limiter::new(), email("own@example.com"), peer("192.0.2.1"));
    let mut let_in = 0;
    for number in 0..200 {
        let_in +=
            usize::from(limiter.check(Some(&email(&format!("u{number}@example.com"))), at, START).is_ok());
        if limiter.check(Some(&own), at, START).is_ok() {
            limiter.succeeded(Some(&own), at, START);
        }
    }
    assert_eq!(let_in, ALONE_MAX);
    // From an address of its own each further login freed a guess, and each wrong try before it one more.
    limiter.know(&own, at, START);
    for round in 0..200 {
        for _ in 0..round % PAIR_MAX {
            limiter.check(Some(&own), at, START).unwrap();
        }
        limiter.check(Some(&own), at, START).unwrap();
        match round % 2 {
            0 => limiter.succeeded(Some(&own), at, START),
            _ => limiter.undecided(Some(&own), at, START),
        }
        limiter.succeeded(Some(&own), at, START);
        let other = email(&format!("v{round}@example.com"));
        assert!(limiter.check(Some(&other), at, START).is_err(), "{round}");
    }
}

#[test]
fn one_host_is_one_address_however_it_is_written() {
    let (mut limiter, ada) = (Limiter::new(), email("ada@example.com"));
    for number in 0..5 {
        limiter.check(Some(&ada), peer(&format!("2001:db8::{number}")), START).unwrap();
    }
    assert!(limiter.check(Some(&ada), peer("2001:db8::ffff:1"), START).is_err());
    assert!(limiter.check(Some(&ada), peer("2001:db8:0:1::1"), START).is_ok());
    assert_eq!(Address::of(peer("::ffff:192.0.2.1")), Address::of(peer("192.0.2.1")));
}

#[test]
fn a_clock_that_jumps_back_locks_nobody_out_for_longer_than_the_window() {
    let (mut limiter, ada, at) = (Limiter::new(), email("ada@example.com"), peer("192.0.2.1"));
    let late = START.plus(crate::domain::days(365));
    for _ in 0..5 {
        limiter.check(Some(&ada), at, late).unwrap();
    }
    assert_eq!(limiter.check(Some(&ada), at, START), Err(RetryAfter { seconds: 300 }));
    assert_eq!(limiter.check(Some(&ada), at, START.plus(minutes(5))), Ok(()));
}

#[test]
fn memory_is_bounded_and_what_is_under_attack_is_remembered() {
    let mut counts = Counts::new(2, WINDOW, 100);
    for number in 0..10_000 {
        counts.add(number, START.plus(Duration::from_millis(number)));
        counts.add(u64::MAX, START.plus(Duration::from_millis(number)));
        assert!(counts.failures.len() <= 100);
    }
    let now = START.plus(seconds(10));
    assert!(counts.wait(&u64::MAX, now).is_some());
    assert_eq!(counts.failures[&u64::MAX].len(), 2);
    assert!(!counts.failures.contains_key(&0));
}

/// A guesser of codes has the password: five guesses in five minutes from each address would find it in weeks.
#[test]
fn ten_wrong_codes_an_hour_are_all_that_strangers_get_together_and_the_own_desk_keeps_its_own() {
    let (mut limiter, ada, desk) = (Limiter::new(), email("ada@example.com"), peer("192.0.2.1"));
    limiter.know(&ada, desk, START);
    for number in 0..10 {
        assert_eq!(limiter.check_code(&ada, host(number), START), Ok(()), "{number}");
    }
    for stranger in [host(0), host(10), host(9_000)] {
        assert_eq!(
            limiter.check_code(&ada, stranger, START.plus(minutes(59))),
            Err(RetryAfter { seconds: 60 })
        );
    }
    assert_eq!(limiter.check_code(&email("bob@example.com"), host(0), START), Ok(()), "another user");
    for _ in 0..30 {
        assert_eq!(limiter.check_code(&ada, desk, START), Ok(()), "a right code does not count");
        limiter.code_not_wrong(&ada, desk, START);
    }
    for _ in 0..10 {
        assert_eq!(limiter.check_code(&ada, desk, START), Ok(()));
    }
    assert!(limiter.check_code(&ada, desk, START).is_err(), "the own desk has no more either");
    assert_eq!(limiter.check_code(&ada, host(3), START.plus(minutes(60))), Ok(()), "an hour later");
}

#[test]
fn what_was_taken_back_leaves_nothing_in_memory_and_takes_no_other_failure_along() {
    let (mut limiter, ada, at) = (Limiter::new(), email("ada@example.com"), peer("192.0.2.1"));
    let left = |limiter: &Limiter| {
        let counts = |failures: &VecDeque<Timestamp>| failures.len();
        let pairs: usize = limiter.pairs.failures.values().map(counts).sum();
        let emails: usize = limiter.emails.failures.values().map(counts).sum();
        let keys =
            [limiter.pairs.failures.len(), limiter.emails.failures.len(), limiter.addresses.failures.len()];
        (pairs, emails, limiter.addresses.failures.values().map(counts).sum::<usize>(), keys)
    };
    for (first, second) in [(Some(&ada), Some(&ada)), (None, None)] {
        let named = usize::from(first.is_some());
        limiter.check(first, at, START).unwrap();
        limiter.check(second, at, START).unwrap();
        limiter.undecided(second, at, START);
        assert_eq!(left(&limiter), (named, named, 1, [named, named, 1]), "the other one still counts");
        limiter.undecided(first, at, START);
        assert_eq!(left(&limiter), (0, 0, 0, [0; 3]));
        limiter.check(first, at, START).unwrap();
        limiter.check(second, at, START).unwrap();
        limiter.succeeded(second, at, START);
        let other = 1 - named;
        assert_eq!(
            left(&limiter),
            (0, 0, other, [0, 0, other]),
            "a pair's own tries, and one without a name"
        );
        limiter.succeeded(first, at, START);
        assert_eq!(left(&limiter), (0, 0, 0, [0; 3]));
        // A try that was never let in takes nothing back.
        limiter.undecided(first, at, START);
        assert_eq!(left(&limiter), (0, 0, 0, [0; 3]));
    }
    for _ in 0..1_000 {
        limiter.check_refresh(at, START).unwrap();
        limiter.refreshed(at);
        limiter.check_code(&ada, at, START).unwrap();
        limiter.code_not_wrong(&ada, at, START);
    }
    assert!(limiter.refreshes.failures.is_empty() && limiter.codes.failures.is_empty());
    for _ in 0..ALONE_MAX {
        limiter.check_refresh(at, START).unwrap();
    }
    assert_eq!(limiter.check_refresh(at, START.plus(seconds(1))), Err(RetryAfter { seconds: 299 }));
    limiter.refreshed(at);
    assert_eq!(limiter.check_refresh(at, START), Ok(()), "one came back, and no more");
    assert!(limiter.check_refresh(at, START).is_err());
}

/// A failure that is forgotten early is guessed at again; one that is never forgotten fills the memory.
#[test]
fn a_full_memory_forgets_what_is_over_and_then_what_failed_longest_ago_and_nothing_else() {
    let full = || {
        let mut counts = Counts::new(2, WINDOW, 3);
        for (key, second) in [('a', 0), ('b', 1), ('c', 2)] {
            counts.add(key, START.plus(seconds(second)));
        }
        counts
    };
    let kept = |counts: &Counts<char>| {
        let mut keys: Vec<_> = counts.failures.keys().copied().collect();
        keys.sort_unstable();
        keys.iter().collect::<String>()
    };
    assert_eq!(kept(&full()), "abc", "three find room");
    let mut counts = full();
    for key in ['c', 'a'] {
        counts.add(key, START.plus(seconds(3)));
        assert_eq!(kept(&counts), "abc", "a key that is there needs no room");
    }
    counts.add('d', START.plus(seconds(4)));
    assert_eq!(kept(&counts), "acd", "b failed longest ago: a has failed since");
    let mut counts = full();
    counts.add('d', START.plus(WINDOW));
    assert_eq!(kept(&counts), "bcd", "a is over, and goes alone");
    let mut counts = full();
    counts.add('d', START.plus(WINDOW).plus(seconds(1)));
    assert_eq!(kept(&counts), "cd", "what is over goes together");
    counts.add('e', START.plus(WINDOW).plus(seconds(2)));
    assert_eq!(kept(&counts), "cde", "there is room: what is over may stay");
    counts.clear(&'c');
    assert_eq!(kept(&counts), "de");
}

#[test]
fn a_house_of_too_many_desks_forgets_the_one_that_was_used_longest_ago() {
    let (mut limiter, desk) = (Limiter::new(), peer("192.0.2.1"));
    let user = |number: usize| email(&format!("u{number}@example.com"));
    for number in 0..ENTRIES_MAX {
        limiter.know(&user(number), desk, START.plus(Duration::from_millis(number as u64)));
    }
    let now = START.plus(minutes(1));
    assert!(limiter.is_known(&user(0), desk, now), "as many as there may be");
    [0, 2].iter().for_each(|number| limiter.know(&user(*number), desk, now));
    assert!(limiter.is_known(&user(1), desk, now), "a desk that is known needs no room");
    limiter.know(&user(ENTRIES_MAX), desk, now);
    let known = [0, 1, 2, ENTRIES_MAX].map(|number| limiter.is_known(&user(number), desk, now));
    assert_eq!((known, limiter.known.len()), ([true, false, true, true], ENTRIES_MAX));
}

#[test]
fn who_is_held_back_for_two_reasons_is_told_the_longer_wait() {
    let (mut limiter, ada, at) = (Limiter::new(), email("ada@example.com"), peer("192.0.2.1"));
    for _ in 0..PAIR_MAX {
        limiter.check(Some(&ada), at, START).unwrap();
    }
    for number in 0..ALONE_MAX - PAIR_MAX {
        let other = email(&format!("u{number}@example.com"));
        limiter.check(Some(&other), at, START.plus(seconds(60))).unwrap();
    }
    // The e-mail from elsewhere: held back from the hundredth second on.
    for number in 0..ALONE_MAX - PAIR_MAX {
        limiter.check(Some(&ada), host(number), START.plus(seconds(100))).unwrap();
    }
    let now = START.plus(seconds(200));
    assert_eq!(limiter.check(Some(&ada), at, now), Err(RetryAfter { seconds: 100 }), "all three");
    let later = START.plus(minutes(5));
    for _ in 0..PAIR_MAX {
        limiter.check(Some(&ada), at, later).unwrap();
    }
    // The e-mail is free at 400 s, the address at 360 s, the pair at 600 s.
    assert_eq!(limiter.check(Some(&ada), at, later.plus(seconds(30))), Err(RetryAfter { seconds: 270 }));
    assert_eq!(limiter.check(Some(&ada), host(99), later.plus(seconds(30))), Err(RetryAfter { seconds: 70 }));
    assert_eq!(limiter.check(None, at, later.plus(seconds(30))), Err(RetryAfter { seconds: 30 }));
}
