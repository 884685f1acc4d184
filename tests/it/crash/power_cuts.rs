//! Power cuts and failing disks, a fixed sample of what `cargo bench --bench crash` does at length: nothing
//! acknowledged is lost, nothing is half there, no disclosure lacks its event.

use crate::lab::{
    cuts::{Tally, Wanted, cut_everywhere},
    disk::Fault,
    faults,
    recording::Recording,
};

/// Every failure names the seed and the point that repeat it.
async fn cuts(seed: u64, steps: usize, one_in: usize) -> Tally {
    let recording = Recording::make(seed, steps).await.unwrap();
    let mut tally = Tally::default();
    let done = cut_everywhere(&recording, seed, Wanted::OneIn(one_in), &mut tally, |_| true).await;
    done.unwrap_or_else(|(point, broken)| panic!("seed {seed}, {point:?}: {broken}"));
    tally
}

#[tokio::test]
async fn a_power_cut_at_any_call_loses_nothing_acknowledged_and_leaves_nothing_half_there() {
    for (seed, steps) in [(1, 20), (2, 60), (3, 120)] {
        let tally = cuts(seed, steps, steps / 4).await;
        assert!(tally.cuts > 60 && tally.in_recovery > 30, "too few to say anything: {tally:?}");
    }
}

#[tokio::test]
async fn a_call_that_fails_is_a_refusal_or_an_answer_and_the_vault_goes_on_at_once() {
    let (calls, _) = faults::run(1, 14, None).await.unwrap();
    let mut hits = 0;
    for first in 1..=calls {
        let fault = Fault { first, last: first, seed: first as u64 };
        let (_, hit) = faults::run(1, 14, Some(fault))
            .await
            .unwrap_or_else(|broken| panic!("call {first} of {calls} fails: {broken}"));
        hits += hit;
    }
    // Two reads beside a change are one commit, two or three: not every run has as many calls.
    assert!(hits > 100 && hits * 4 > calls * 3, "{hits} of {calls} calls failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_for_a_while_costs_nothing_that_was_answered() {
    let (calls, _) = faults::run(2, 14, None).await.unwrap();
    let mut runs = tokio::task::JoinSet::new();
    for first in (1..=calls).step_by(5) {
        let fault = Fault { first, last: first + 1 + first % 4, seed: first as u64 };
        runs.spawn(async move {
            let done = faults::run(2, 14, Some(fault)).await;
            done.unwrap_or_else(|broken| panic!("calls {first} to {} fail: {broken}", fault.last));
        });
    }
    while let Some(done) = runs.join_next().await {
        done.unwrap();
    }
}
