//! `kill -9` of the real binary under load, a small sample: everything acknowledged and disclosed is in the file.

use std::path::Path;

use crate::lab::{
    kills::{Killed, Tally},
    rng::Rng,
};

#[test]
fn a_killed_server_comes_back_with_everything_that_it_had_answered() {
    let folder = tempfile::tempdir().unwrap();
    let mut killed = Killed::new(Path::new(env!("CARGO_BIN_EXE_sealroom")), folder.path()).unwrap();
    let mut rng = Rng::new(&[1]);
    // On a busy machine little comes of a cycle before its kill.
    let says_something = |tally: Tally| tally.inits > 0 && tally.changes > 20 && tally.disclosed > 5;
    for cycle in 0..200 {
        if cycle >= 12 && says_something(killed.tally) {
            return;
        }
        killed.cycle(&mut rng).unwrap_or_else(|broken| panic!("cycle {cycle}: {broken}"));
    }
    panic!("too little to say anything: {:?}", killed.tally);
}
