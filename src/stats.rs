//! L1. Lock-free counters and histograms.
//!
//! Owns the counting. Knows neither the metrics' names nor their text format.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// A counter of events.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Creates a counter at zero.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds to the counter.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Returns the count.
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A histogram; a bucket counts the values up to its bound.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    bounds: [u64; N],
    /// One for each bound.
    buckets: [Counter; N],
    /// Values above the last bound.
    beyond: Counter,
    sum: Counter,
}

/// A snapshot of a histogram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Bound and count of each bucket, not cumulated; the last bound is `u64::MAX`.
    pub buckets: Vec<(u64, u64)>,
    /// The sum of all values.
    pub sum: u64,
}

impl Reading {
    /// Returns the number of values.
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
    /// Creates an empty histogram with these ascending bounds.
    pub const fn new(bounds: [u64; N]) -> Self {
        Self { bounds, buckets: [const { Counter::new() }; N], beyond: Counter::new(), sum: Counter::new() }
    }

    /// Records a value.
    pub fn observe(&self, value: u64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        self.buckets.get(at).unwrap_or(&self.beyond).add(1);
        self.sum.add(value);
    }

    /// Records a duration, in microseconds.
    pub fn observe_micros(&self, duration: Duration) {
        self.observe(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// Takes a snapshot.
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
