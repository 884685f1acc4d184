//! The second factors that users have begun to set: shown, and not proven by a code yet.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::domain::{Secret, Timestamp, UserId, minutes};

/// The time in which the first code must come.
const LIFE: Duration = minutes(10);
/// The most secrets that are kept; each took an argon2 run.
const BEGUN_MAX: usize = 1_024;

/// The shared secrets that wait for their first code, in memory alone.
#[derive(Default)]
pub(super) struct Begun(Mutex<HashMap<UserId, (Arc<Secret>, Timestamp)>>);

impl Begun {
    /// Keeps a user's secret in the place of an earlier one.
    pub(super) fn keep(&self, user: UserId, secret: Arc<Secret>, now: Timestamp) {
        let mut begun = self.lock();
        begun.retain(|_, (_, at)| !is_over(*at, now));
        if begun.len() >= BEGUN_MAX {
            let oldest = begun.iter().min_by_key(|(_, (_, at))| *at).map(|(user, _)| *user);
            oldest.and_then(|user| begun.remove(&user));
        }
        begun.insert(user, (secret, now));
    }

    /// Returns a user's secret, unless it has waited too long.
    pub(super) fn of(&self, user: UserId, now: Timestamp) -> Option<Arc<Secret>> {
        let begun = self.lock();
        begun.get(&user).filter(|(_, at)| !is_over(*at, now)).map(|(secret, _)| Arc::clone(secret))
    }

    /// Forgets a user's secret.
    pub(super) fn forget(&self, user: UserId) {
        self.lock().remove(&user);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, (Arc<Secret>, Timestamp)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether the time is up; a clock that was ahead keeps nothing for longer.
fn is_over(at: Timestamp, now: Timestamp) -> bool {
    now.since(at).max(at.since(now)) > LIFE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_begun_factor_waits_ten_minutes_and_for_its_own_user() {
        let (begun, start) = (Begun::default(), Timestamp::from_millis(1_795_514_400_000));
        let [ada, bob] = [1, 2].map(|number| UserId::from_bytes([number; 16]));
        let secret = |text: &str| Arc::new(Secret::from(text.to_owned()));
        begun.keep(ada, secret("first"), start);
        begun.keep(ada, secret("second"), start);
        let held = |user, now| begun.of(user, now).map(|secret| secret.expose().to_vec());
        assert_eq!(held(ada, start.plus(LIFE)), Some(b"second".to_vec()), "the newest");
        assert_eq!((held(bob, start), held(ada, start.plus(minutes(11)))), (None, None));
        assert_eq!(held(ada, start.minus(minutes(11))), None, "a clock that was set back");
        begun.forget(ada);
        assert_eq!(held(ada, start), None);
    }

    #[test]
    fn the_secrets_of_a_flood_are_bounded_and_the_oldest_goes() {
        let (begun, start) = (Begun::default(), Timestamp::from_millis(1_795_514_400_000));
        for number in 0..=BEGUN_MAX as u64 {
            let user = UserId::new(Timestamp::from_millis(number), [0; 10]);
            begun.keep(
                user,
                Arc::new(Secret::new(Vec::new())),
                Timestamp::from_millis(start.millis() + number),
            );
        }
        let held = |number| begun.of(UserId::new(Timestamp::from_millis(number), [0; 10]), start).is_some();
        let kept = begun.lock().len();
        assert_eq!((kept, held(0), held(1)), (BEGUN_MAX, false, true));
    }
}
