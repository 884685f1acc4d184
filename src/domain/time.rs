//! A moment, in milliseconds of the Unix clock.

use std::{fmt, str::FromStr, time::Duration};

use super::Invalid;

/// 9999-12-30T22:00:00Z: the last moment that every UTC offset can still show with four digits of year.
const MILLIS_MAX: u64 = 253_402_207_200_000;

/// A moment in UTC, in whole milliseconds from 1970 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Returns the time this many milliseconds after 1970-01-01T00:00:00Z, at most the end of the year 9999.
    pub const fn from_millis(millis: u64) -> Self {
        if millis > MILLIS_MAX { Self(MILLIS_MAX) } else { Self(millis) }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// The moment that much later, at most the end of the year 9999.
    #[must_use]
    pub fn plus(self, time: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(u64::try_from(time.as_millis()).unwrap_or(MILLIS_MAX)))
    }

    /// The moment that much earlier, at least 1970.
    #[must_use]
    pub fn minus(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(time.as_millis()).unwrap_or(MILLIS_MAX)))
    }

    /// The time from `earlier` to this moment; zero where `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Returns a duration of this many days.
pub const fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}

/// Returns a duration of this many minutes.
pub const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

/// Returns a duration of this many seconds.
pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// RFC 3339, UTC, milliseconds: `2026-11-24T10:00:00.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).map_err(|_| fmt::Error)?;
        let moment = jiff::Timestamp::from_millisecond(millis).map_err(|_| fmt::Error)?;
        write!(f, "{moment:.3}")
    }
}

/// RFC 3339 with any offset; finer than a millisecond is cut off.
impl FromStr for Timestamp {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = Invalid::new("time", "RFC 3339 like 2026-11-24T10:00:00Z, from 1970 on");
        let moment: jiff::Timestamp = text.parse().map_err(|_| invalid)?;
        u64::try_from(moment.as_millisecond()).map(Self::from_millis).map_err(|_| invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_back_as_it_was_written() {
        for millis in [0, 1, 999, 1_764_000_000_123, MILLIS_MAX] {
            let time = Timestamp::from_millis(millis);
            assert_eq!(time.to_string().parse(), Ok(time));
        }
        assert_eq!(Timestamp::from_millis(1_764_000_000_120).to_string(), "2025-11-24T16:00:00.120Z");
    }

    #[test]
    fn an_offset_is_understood_and_nonsense_is_not() {
        assert_eq!(
            "2026-11-24T12:00:00+02:00".parse::<Timestamp>(),
            "2026-11-24T10:00:00Z".parse::<Timestamp>()
        );
        for text in ["", "2026-11-24", "yesterday", "1969-12-31T23:59:59Z", "2026-13-01T00:00:00Z"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
