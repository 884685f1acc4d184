//! The clock: the only module that reads one, used only by `http` and `cli`.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    sync::{Arc, LazyLock},
    time::{Duration, Instant, SystemTime},
};

use crate::domain::{Timestamp, days};

/// The wall clock, which within one run never falls behind the monotonic one. So setting the clock back revives no
/// expired token, and a clock that jumped ahead and came back ended none for good.
#[derive(Debug, Clone)]
pub struct Clock(Kind);

#[derive(Debug, Clone)]
enum Kind {
    System { started_at: Timestamp, started: Instant },
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// Returns the system's clock.
    pub fn system() -> Self {
        Self::system_after(Timestamp::from_millis(0))
    }

    /// Returns the system's clock, which does not fall behind `newest` either. If the clock was set back a little
    /// between two runs, tokens that had expired stay expired.
    pub fn system_after(newest: Timestamp) -> Self {
        Self(Kind::System { started_at: wall().max(newest), started: Instant::now() })
    }

    /// Returns a clock that stands still until it is set.
    pub fn manual(now: Timestamp) -> Self {
        Self(Kind::Manual(Arc::new(AtomicU64::new(now.millis()))))
    }

    /// Sets a manual clock; does nothing to the system's.
    pub fn set(&self, now: Timestamp) {
        if let Kind::Manual(millis) = &self.0 {
            millis.store(now.millis(), Ordering::Release);
        }
    }

    /// Returns the lead over the system's clock, if that was set back since the start.
    pub fn lead(&self) -> Duration {
        match &self.0 {
            Kind::System { .. } => self.now().since(wall()),
            Kind::Manual(_) => Duration::ZERO,
        }
    }

    /// Returns the time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::System { started_at, started } => reading(wall(), *started_at, started.elapsed()),
            Kind::Manual(millis) => Timestamp::from_millis(millis.load(Ordering::Acquire)),
        }
    }
}

/// Returns the wall clock, unless it was set back since the start.
fn reading(wall: Timestamp, started_at: Timestamp, passed: Duration) -> Timestamp {
    wall.max(started_at.plus(passed))
}

/// The release of the first version, 2026-11-01T00:00:00Z: an earlier clock is wrong.
pub const EARLIEST: Timestamp = Timestamp::from_millis(1_793_491_200_000);

/// The years after [`EARLIEST`] in which a program may still be in use: a later clock is wrong.
const BINARY_LIFE: Duration = days(20 * 365);

/// Returns the reason why a clock that says `now` cannot be right.
pub fn implausible(now: Timestamp) -> Option<&'static str> {
    if now < EARLIEST { Some("before this program existed") } else { far_ahead(now) }
}

/// Returns the reason why a clock that says `now` is too late; one that is too early is told by the newest record.
pub fn far_ahead(now: Timestamp) -> Option<&'static str> {
    (now > EARLIEST.plus(BINARY_LIFE)).then_some("decades after this program was built")
}

/// Returns the monotonic time since the first call in this process.
pub fn monotonic() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_goes_on_and_one_that_jumped_ahead_comes_back() {
        let start = Timestamp::from_millis(1_795_514_400_000);
        let hour = Duration::from_hours(1);
        assert_eq!(reading(start.minus(hour), start, hour), start.plus(hour), "back an hour");
        assert_eq!(reading(Timestamp::from_millis(0), start, hour), start.plus(hour), "1970");
        let ahead = Timestamp::from_millis(4_291_747_200_000);
        assert_eq!(reading(ahead, start, hour), ahead, "2106");
        assert_eq!(reading(start.plus(2 * hour), start, 2 * hour), start.plus(2 * hour), "and back");
        assert!(Clock::system_after(ahead).now() >= ahead);
        assert!(Clock::system_after(Clock::system().now().plus(hour)).lead() > hour / 2);
        assert!(Clock::system().lead() < hour / 2);
        assert_eq!(Clock::manual(ahead).lead(), Duration::ZERO);
    }

    #[test]
    fn a_clock_of_another_age_is_never_taken_for_one_that_is_right() {
        let second = Duration::from_secs(1);
        for (now, is_early, is_late) in [
            (Timestamp::from_millis(0), true, false),
            (EARLIEST.minus(second), true, false),
            (EARLIEST, false, false),
            (EARLIEST.plus(BINARY_LIFE), false, false),
            (EARLIEST.plus(BINARY_LIFE + second), false, true),
            (Timestamp::from_millis(4_102_444_800_000), false, true),
        ] {
            assert_eq!(implausible(now).is_some(), is_early || is_late, "{now}");
            assert_eq!(far_ahead(now).is_some(), is_late, "{now}");
        }
    }
}
