//! The flags `--from` and `--to`.

use crate::{cli::time_arg::moment, domain::Timestamp};

/// Range in time; every command and the API describe it in the same words.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct TimeRange {
    /// From this time on (inclusive), like 2026-11-24 or 2026-11-24T10:00:00Z; a day is its midnight in UTC.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<Timestamp>,
    /// Before this time (exclusive).
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<Timestamp>,
}

impl TimeRange {
    /// Returns whether a time is in the range.
    #[cfg(feature = "server")]
    pub(super) fn spans(&self, time: Timestamp) -> bool {
        !self.is_before(time) && self.to.is_none_or(|to| time < to)
    }

    /// Returns whether a time is before the range.
    #[cfg(feature = "server")]
    pub(super) fn is_before(&self, time: Timestamp) -> bool {
        self.from.is_some_and(|from| time < from)
    }

    pub(super) fn parameters(&self) -> [(&'static str, Option<String>); 2] {
        [("from", self.from), ("to", self.to)].map(|(name, time)| (name, time.map(|time| time.to_string())))
    }
}
