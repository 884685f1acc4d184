//! Checkpoints to be cosigned, from strangers and from logs.

use super::*;

/// A log whose checkpoints are cosigned is never held up, and a stranger's next ones cost the witness nothing.
#[test]
fn refused_checkpoints_of_an_address_end_with_its_minutes_and_cosigned_ones_do_not_count() {
    let (mut limiter, log, stranger) = (Limiter::new(), peer("192.0.2.1"), peer("192.0.2.2"));
    for _ in 0..2 * ALONE_MAX {
        limiter.check_checkpoint(log, START).unwrap();
        limiter.cosigned(log);
    }
    (0..ALONE_MAX).for_each(|_| limiter.check_checkpoint(stranger, START).unwrap());
    let later = START.plus(seconds(1));
    assert_eq!(limiter.check_checkpoint(stranger, later), Err(RetryAfter { seconds: 299 }));
    assert_eq!(limiter.check_checkpoint(log, later), Ok(()), "another address");
    assert_eq!(limiter.check_checkpoint(stranger, START.plus(WINDOW)), Ok(()));
}
