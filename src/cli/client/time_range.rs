//! The flags `--from` and `--to`.

use crate::domain::Timestamp;

/// Range in time; every command and the API describe it in the same words.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct TimeRange {
    /// From this time on (inclusive), like 2026-11-24T10:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Before this time (exclusive).
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
}

impl TimeRange {
    pub(super) fn parameters(&self) -> [(&'static str, Option<String>); 2] {
        [("from", self.from), ("to", self.to)].map(|(name, time)| (name, time.map(|time| time.to_string())))
    }
}
