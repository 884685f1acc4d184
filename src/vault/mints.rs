//! Counts of minted tokens.

use std::time::Duration;

use crate::{
    outgoing::{InstallationToken, MintError},
    stats::{Counter, Histogram, MICROS, Reading},
};

/// Counters since the process started.
pub(super) struct Mints {
    minted: Counter,
    failed: Counter,
    /// Tokens that were minted before.
    pub(super) reused: Counter,
    micros: Histogram<16>,
}

/// A snapshot of them.
#[derive(Debug, Clone)]
pub struct MintReading {
    /// Tokens that a provider gave.
    pub minted: u64,
    /// Calls without a token.
    pub failed: u64,
    /// Disclosures of a token that was minted before.
    pub reused: u64,
    /// Durations of the calls, in microseconds.
    pub micros: Reading,
}

impl Mints {
    pub(super) const fn new() -> Self {
        let (minted, failed, reused) = (Counter::new(), Counter::new(), Counter::new());
        Self { minted, failed, reused, micros: Histogram::new(MICROS) }
    }

    pub(super) fn observe(&self, asked: &Result<InstallationToken, MintError>, took: Duration) {
        let counter = if asked.is_ok() { &self.minted } else { &self.failed };
        counter.add(1);
        self.micros.observe_micros(took);
    }

    pub(super) fn read(&self) -> MintReading {
        let Self { minted, failed, reused, micros } = self;
        let (minted, failed, reused) = (minted.read(), failed.read(), reused.read());
        MintReading { minted, failed, reused, micros: micros.read() }
    }
}
