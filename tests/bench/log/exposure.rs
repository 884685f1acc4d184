//! Exposures asked of a large log: by the index, and by a scan for the same answer.

use std::time::{Duration, Instant};

use sealroom::{
    api::responses::Exposure,
    domain::Timestamp,
    vault::{Admitted, Context, ExposureQuestion, Vault},
};

use super::{machine, own_kib};

const ROUNDS: usize = 21;

/// The durations of questions about an exposure.
pub struct Asked {
    /// The first one after the events, which indexes what the index still lacks.
    pub first: Duration,
    /// One about a machine that read a few hundred values, with their number.
    pub usual: (Duration, u64),
    /// One about the machine that read them all.
    pub widest: (Duration, u64),
    /// One about an integration: every caller that knows its value.
    pub integration: (Duration, u64),
    /// One about all times as a range, which reads every record.
    pub scan: Duration,
    pub index_kib: u64,
}

/// Takes the times. The answers of the index and of the scan are the same.
pub async fn ask(vault: &Vault, context: &Context, caller: &Admitted) -> Asked {
    let before = own_kib("self");
    let timed = async |question: &ExposureQuestion| {
        let start = Instant::now();
        let (found, _) = vault.exposure(context, caller, question).await.map_err(drop).unwrap();
        assert!(!found.live.is_empty());
        (start.elapsed(), found)
    };
    let of =
        |number| ExposureQuestion { actor: Some(machine(number).to_string()), ..ExposureQuestion::default() };
    let (first, found) = timed(&of(1)).await;
    let index_kib = own_kib("self").saturating_sub(before);
    let median = async |question: &ExposureQuestion| {
        let mut all = Vec::new();
        let mut values = 0;
        for _ in 0..ROUNDS {
            let (took, found) = timed(question).await;
            values = found.live.len() as u64 + found.left.live;
            all.push(took);
        }
        all.sort();
        (all[ROUNDS / 2], values)
    };
    let (usual, widest) = (median(&of(1)).await, median(&of(0)).await);
    let integration = Some(found.live[0].integration_id);
    let integration = median(&ExposureQuestion { integration, ..ExposureQuestion::default() }).await;
    let since = Some(Timestamp::from_millis(0));
    let (scan, scanned) = timed(&ExposureQuestion { since, ..of(1) }).await;
    let without_size = |found: Exposure| Exposure { size: 0, ..found };
    assert!(without_size(scanned) == without_size(found), "the index and the scan disagree");
    Asked { first, usual, widest, integration, scan, index_kib }
}
