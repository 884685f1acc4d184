//! L1. Counters and histograms that never make anybody wait: atomics, read when somebody asks.
//!
//! Owns the counting. Knows neither names nor the format in which they are shown.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How often something happened.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Once more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How often.
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Values sorted into buckets, each of which takes what is at most its bound.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    bounds: [u64; N],
    /// One a bound, and the values beyond the last.
    buckets: [Counter; N],
    beyond: Counter,
    sum: Counter,
}

/// A histogram as it stood when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Bound and count of each bucket, not cumulated; the last bound is `u64::MAX`.
    pub buckets: Vec<(u64, u64)>,
    /// Of all values.
    pub sum: u64,
}

impl Reading {
    /// How many values.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}

/// Bounds for durations, in microseconds: from a tenth of a millisecond to ten seconds.
pub const MICROS: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];
/// Bounds for counts: powers of two.
pub const POWERS: [u64; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

impl<const N: usize> Histogram<N> {
    /// Nothing yet, under these rising bounds.
    pub const fn new(bounds: [u64; N]) -> Self {
        Self { bounds, buckets: [const { Counter::new() }; N], beyond: Counter::new(), sum: Counter::new() }
    }

    /// Takes a value in.
    pub fn observe(&self, value: u64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        self.buckets.get(at).unwrap_or(&self.beyond).add(1);
        self.sum.add(value);
    }

    /// Takes a duration in, in microseconds.
    pub fn observe_micros(&self, duration: Duration) {
        self.observe(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// What was taken in so far.
    pub fn read(&self) -> Reading {
        let buckets = self.bounds.iter().zip(&self.buckets).map(|(bound, count)| (*bound, count.read()));
        let beyond = std::iter::once((u64::MAX, self.beyond.read()));
        Reading { buckets: buckets.chain(beyond).collect(), sum: self.sum.read() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_falls_into_the_first_bucket_that_takes_it() {
        let histogram = Histogram::new([1, 10]);
        for value in [0, 1, 2, 10, 11, 1_000] {
            histogram.observe(value);
        }
        let reading = histogram.read();
        assert_eq!(reading.buckets, [(1, 2), (10, 2), (u64::MAX, 2)]);
        assert_eq!((reading.sum, reading.count()), (1_024, 6));
        let durations = Histogram::new(MICROS);
        durations.observe_micros(Duration::from_millis(1));
        assert_eq!(durations.read().buckets[3], (1_000, 1));
    }
}
