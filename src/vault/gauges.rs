//! Metrics for an operator: numbers without names.

use std::{collections::BTreeMap, time::Duration};

use super::{due, mints::MintReading, state::Vault};
use crate::{
    domain::{DueCounts, Provider, Timestamp, days},
    stats::Reading,
};

/// The period in which an expiry counts as soon.
const SOON: Duration = days(30);

/// The vault's metrics at one moment.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a gauge of its own")]
pub struct Gauges {
    /// Length of the file, in bytes.
    pub file_bytes: Option<u64>,
    /// Free space on the file's disk, in bytes.
    pub free_bytes: Option<u64>,
    /// True while the newest checkpoint has not reached its folder.
    pub checkpoint_lost: bool,
    /// Time since the last verified backup, if one is known.
    pub backup_age: Option<Duration>,
    /// True while the last scheduled backup has failed.
    pub backup_failed: bool,
    /// True while the checkpoint folder knows records that the file lacks.
    pub rolled_back: bool,
    /// True once a check of the open vault's log has found a flaw.
    pub log_flawed: bool,
    /// True while the server's own archive of old events has failed, or does not end.
    pub archive_failed: bool,
    /// True while a witness refuses this log as another one than it cosigned.
    pub witness_refused: bool,
    /// True while a witness of this log has cosigned nothing for long.
    pub witness_silent: bool,
    /// Bytes of credentials in answers that are not sent yet.
    pub answer_bytes: u64,
    /// Requests that a caller's budget refused.
    pub over_budget: u64,
    /// Password verifications, in argon2 runs.
    pub password_runs: u64,
    /// Minted tokens.
    pub mints: MintReading,
    /// Reads of canaries.
    pub canary_reads: u64,
    /// Notices that were given up, and notices that were delivered.
    pub notices: [u64; 2],
    /// The metrics of an unlocked vault.
    pub open: Option<OpenGauges>,
}

/// The metrics of an unlocked vault.
#[derive(Debug)]
pub struct OpenGauges {
    /// Records in the log.
    pub log_size: u64,
    /// Jobs that wait for their commit.
    pub waiting: usize,
    /// True after a failed commit, and while one is stalled.
    pub is_failing: bool,
    /// Durations of the commits, in microseconds.
    pub commit_micros: Reading,
    /// Number of jobs in each commit.
    pub batch_jobs: Reading,
    /// By provider: the number of integrations, and of those that expire within thirty days or have expired.
    pub integrations: BTreeMap<&'static str, (u64, u64)>,
    /// The numbers of what is due; none if a row fails authentication.
    pub due: Option<DueCounts>,
}

impl Vault {
    /// Returns the current metrics.
    pub fn gauges(&self, now: Timestamp) -> Gauges {
        Gauges {
            file_bytes: self.file_bytes(),
            free_bytes: self.free_bytes(),
            checkpoint_lost: self.is_checkpoint_lost(),
            // One of a time to come, by a clock that was ahead, has no age: zero would quieten its alarm for as long.
            backup_age: self.backed_up().filter(|at| *at <= now).map(|at| now.since(at)),
            backup_failed: self.is_backup_failed(),
            rolled_back: self.rolled_back().is_some(),
            log_flawed: self.is_log_flawed(),
            archive_failed: self.is_archive_failed(),
            witness_refused: self.is_witness_refused(),
            witness_silent: self.is_witness_silent(),
            answer_bytes: self.budgets.held_bytes() as u64,
            over_budget: self.budgets.refused(),
            password_runs: self.password_runs(),
            mints: self.mints.read(),
            canary_reads: self.alarms.reads(),
            notices: [0, 1].map(|outcome: usize| self.notices[outcome].read()),
            open: self.opened().ok().map(|open| {
                let stats = open.writer.stats();
                let mut integrations: BTreeMap<_, (u64, u64)> =
                    Provider::ALL.iter().map(|provider| (provider.service().as_str(), (0, 0))).collect();
                let due = due::counts(&open.writer.view(), now, |dates| {
                    let counts = integrations.entry(dates.provider.service().as_str()).or_default();
                    counts.0 += 1;
                    counts.1 += u64::from(dates.expires_at.is_some_and(|end| end <= now.plus(SOON)));
                });
                // If a row fails authentication, no count is better than a wrong one.
                if due.is_err() {
                    integrations.clear();
                }
                OpenGauges {
                    log_size: *stats.log_size.borrow(),
                    waiting: open.writer.waiting(),
                    is_failing: open.writer.is_unavailable(),
                    commit_micros: stats.commit_micros.read(),
                    batch_jobs: stats.batch_jobs.read(),
                    integrations,
                    due: due.ok(),
                }
            }),
        }
    }

    /// Returns whether events cannot be recorded: the last commit failed, one is stalled, or the log is flawed.
    pub fn is_failing(&self) -> bool {
        self.opened().is_ok_and(|open| open.writer.is_unavailable())
    }
}
