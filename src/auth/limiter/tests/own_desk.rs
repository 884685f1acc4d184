//! Tries from a user's own address beside those of strangers.

use super::*;

/// Counted with the strangers', an own try would stay when theirs are over, and hold the next one of them back.
#[test]
fn a_failure_at_the_own_desk_counts_for_no_stranger() {
    let (mut limiter, ada, desk) = (Limiter::new(), email("ada@example.com"), peer("192.0.2.1"));
    limiter.know(&ada, desk, START);
    (0..ALONE_MAX).for_each(|number| limiter.check(Some(&ada), host(number), START).unwrap());
    limiter.check(Some(&ada), desk, START.plus(minutes(4))).unwrap();
    for number in 0..ALONE_MAX {
        assert_eq!(limiter.check(Some(&ada), host(number), START.plus(WINDOW)), Ok(()), "{number}");
    }
    assert!(limiter.check(Some(&ada), host(ALONE_MAX), START.plus(WINDOW)).is_err());
}
