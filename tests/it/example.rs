//! The example runs, and fails where a step is not as it should be.

#[path = "../../examples/roundtrip.rs"]
#[allow(dead_code, reason = "its own main is not called here")]
mod roundtrip;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_round_trip_of_the_example_works() {
    roundtrip::run().await.unwrap();
}
