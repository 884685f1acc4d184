//! Checks of one password at a time.

use super::*;

/// Each success after the first took back a failure that it had not counted: five checks of one right password at a time
/// freed four guesses at others.
#[test]
fn checks_of_one_password_at_a_time_free_no_guess_at_another() {
    let (own, at) = (email("own@example.com"), peer("192.0.2.1"));
    for round in 0..20 {
        let mut other = Limiter::new();
        for number in 0..ALONE_MAX - PAIR_MAX {
            other.check(Some(&email(&format!("w{number}@example.com"))), at, START).unwrap();
        }
        (0..PAIR_MAX).for_each(|_| other.check(Some(&own), at, START).unwrap());
        for number in 0..PAIR_MAX {
            if (round + number) % 3 == 0 && number > 0 {
                other.undecided(Some(&own), at, START);
            } else {
                other.succeeded(Some(&own), at, START);
            }
        }
        let more = (0..ALONE_MAX)
            .filter(|number| other.check(Some(&email(&format!("x{number}@example.com"))), at, START).is_ok());
        assert_eq!(more.count(), PAIR_MAX, "{round}");
    }
}
