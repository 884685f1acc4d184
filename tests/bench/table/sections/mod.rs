//! The measurements, part by part.

pub mod changes;
pub mod large;
pub mod other;
pub mod reads;
pub mod starts;
pub mod tls;

use std::path::Path;

use tokio::runtime::Runtime;

use super::{
    Plan,
    load::{Sample, Target, repeat},
};

/// The shared inputs of every part.
pub struct Bench<'a> {
    pub plan: &'a Plan,
    pub folder: &'a Path,
    pub binary: &'a Path,
    pub runtime: &'a Runtime,
}

impl Bench<'_> {
    /// One sample of the same request over so many connections.
    fn sample(&self, target: &Target, request: &[u8], connections: usize) -> Sample {
        self.runtime.block_on(repeat(target, request, connections, self.plan.time))
    }
}

/// Of each round, the rate of the one by the rate of the other.
fn rates(ours: &[Sample], theirs: &[Sample]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(a, b)| a.rate / b.rate).collect()
}
