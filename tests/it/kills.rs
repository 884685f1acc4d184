//! `kill -9` of the real binary under load, a small sample: everything acknowledged and disclosed is in the file.

use std::path::Path;

use super::lab::{kills::Killed, rng::Rng};

#[test]
fn a_killed_server_comes_back_with_everything_that_it_had_answered() {
    let folder = tempfile::tempdir().unwrap();
    let mut killed = Killed::new(Path::new(env!("CARGO_BIN_EXE_sealroom")), folder.path()).unwrap();
    let mut rng = Rng::new(&[1]);
    for cycle in 0..12 {
        killed.cycle(&mut rng).unwrap_or_else(|broken| panic!("cycle {cycle}: {broken}"));
    }
    let tally = killed.tally;
    assert!(
        tally.inits > 0 && tally.changes > 20 && tally.disclosed > 5,
        "too little to say anything: {tally:?}"
    );
}
