//! Times in flags: a moment, or a day.

use crate::domain::Timestamp;

/// Parses a time, or a day as its beginning in UTC.
///
/// # Errors
/// The text has another form.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    let is_day = text.len() == "2026-01-01".len();
    let time = if is_day { format!("{text}T00:00:00Z").parse() } else { text.parse::<Timestamp>() };
    time.map_err(|_| "pass a day like 2026-01-01 (UTC), or a time like 2026-01-01T10:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_in_utc() {
        assert_eq!(moment("2026-11-01"), moment("2026-11-01T00:00:00Z"));
        assert_eq!(moment("2026-11-01T02:00:00+02:00"), moment("2026-11-01"));
        assert_eq!(
            moment("2026-11-01T00:00:00.001Z").map(|time| time.to_string()).as_deref(),
            Ok("2026-11-01T00:00:00.001Z")
        );
    }

    #[test]
    fn a_day_that_is_none_and_a_time_without_a_zone_are_refused() {
        for text in [
            "",
            "yesterday",
            "2026-13-01",
            "2026-02-30",
            "1969-12-31",
            "2026-11-1",
            "01.11.2026",
            "2026-11-01T10:00:00",
        ] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
