//! Metrics for an operator: numbers without any name.

use std::{collections::BTreeMap, time::Duration};

use super::state::Vault;
use crate::{
    domain::{Provider, Timestamp, days},
    stats::Reading,
};

/// An end within this is soon.
const SOON: Duration = days(30);

/// The vault's numbers at one moment.
#[derive(Debug)]
pub struct Gauges {
    /// Length of the file, in bytes.
    pub file_bytes: Option<u64>,
    /// Free space on its disk, in bytes.
    pub free_bytes: Option<u64>,
    /// True while the newest checkpoint has not reached its folder.
    pub checkpoint_lost: bool,
    /// Passwords put to the test.
    pub password_runs: u64,
    /// The numbers of an unlocked vault.
    pub open: Option<OpenGauges>,
}

/// The numbers of an unlocked vault.
#[derive(Debug)]
pub struct OpenGauges {
    /// Records in the log.
    pub log_size: u64,
    /// Jobs that wait for their commit.
    pub waiting: usize,
    /// True after a failed commit, and while one stands still.
    pub is_failing: bool,
    /// Durations of the commits, in microseconds.
    pub commit_micros: Reading,
    /// Jobs of each commit.
    pub batch_jobs: Reading,
    /// By provider: how many integrations, and how many of them end within thirty days or have ended.
    pub integrations: BTreeMap<&'static str, (u64, u64)>,
}

impl Vault {
    /// The numbers by now.
    pub fn gauges(&self, now: Timestamp) -> Gauges {
        Gauges {
            file_bytes: self.file_bytes(),
            free_bytes: self.free_bytes(),
            checkpoint_lost: self.is_checkpoint_lost(),
            password_runs: self.password_runs(),
            open: self.opened().ok().map(|open| {
                let stats = open.writer.stats();
                let mut integrations: BTreeMap<_, (u64, u64)> =
                    Provider::ALL.iter().map(|provider| (provider.service().as_str(), (0, 0))).collect();
                // If a row does not open, no count is better than a wrong one.
                let all = open.writer.view().integrations().ok();
                if all.is_none() {
                    integrations.clear();
                }
                for integration in all.iter().flat_map(|all| all.iter()) {
                    let counts = integrations.entry(integration.provider.service().as_str()).or_default();
                    counts.0 += 1;
                    counts.1 += u64::from(integration.expires_at().is_some_and(|end| end <= now.plus(SOON)));
                }
                OpenGauges {
                    log_size: *stats.log_size.borrow(),
                    waiting: open.writer.waiting(),
                    is_failing: stats.is_unavailable(),
                    commit_micros: stats.commit_micros.read(),
                    batch_jobs: stats.batch_jobs.read(),
                    integrations,
                }
            }),
        }
    }

    /// Returns whether the last commit failed or one stands still, so that events cannot be recorded.
    pub fn is_failing(&self) -> bool {
        self.opened().is_ok_and(|open| open.writer.stats().is_unavailable())
    }
}
