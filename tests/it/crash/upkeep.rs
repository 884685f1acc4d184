//! The work of an operator on a disk that loses power or fails at any call: a fixed sample of
//! `cargo bench --bench crash -- --upkeep N`.

use std::{path::Path, process::Command};

use crate::lab::{
    rng::Rng,
    upkeep::{Copying, Upkeep, Used},
    upkeep_cuts::{Tally, cut, cut_copy, fail},
    upkeep_kills::{Interrupted, Tally as Kills, Work},
};

/// The calls to the vault's file at which an archive is killed: the benchmark takes all of them.
const FIRST_CALL: usize = 1;
const EVERY_CALL: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_at_any_call_of_an_operators_work_leaves_the_vault_before_it_or_after_it() {
    let used = Used::make(1).await.unwrap();
    for upkeep in Upkeep::ALL {
        let mut tally = Tally::default();
        cut(&used, upkeep, 1, &mut tally).await.unwrap();
        assert!(tally.cuts > 8 && tally.in_recovery > 4, "{upkeep:?}: {tally:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fails_in_an_operators_work_undoes_nothing_that_was_answered() {
    let used = Used::make(2).await.unwrap();
    for upkeep in Upkeep::ALL {
        let mut tally = Tally::default();
        fail(&used, upkeep, 1, &mut tally).await.unwrap();
        assert!(tally.faults > 3, "{upkeep:?}: {tally:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_at_any_call_of_a_copy_leaves_a_whole_one_or_none_and_never_touches_its_source() {
    let used = Used::make(3).await.unwrap();
    for copy in Copying::ALL {
        let mut tally = Tally::default();
        cut_copy(&used, copy, 1, &mut tally).await.unwrap();
        assert!(tally.cuts > 15 && tally.opened > 2, "{copy:?}: {tally:?}");
        assert!(tally.opened < tally.cuts, "{copy:?}: a copy is not there before its commit");
    }
}

/// Most kills at random fell before the commits of an archive. Here each is at a call that changes the vault's own file:
/// the unlock, the commits that let the archived records go, and the lock.
#[test]
fn a_kill_at_a_commit_of_an_archive_leaves_every_record_in_the_vault_or_in_a_verified_archive() {
    if Command::new("strace").arg("-V").output().is_err() {
        return eprintln!("no strace: an archive is not killed at each call to the vault's file");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut killed = Interrupted::new(Path::new(env!("CARGO_BIN_EXE_sealroom")), folder.path()).unwrap();
    let mut call = FIRST_CALL;
    while killed
        .cycle_at(Work::Archive, Some("v.redb"), call)
        .unwrap_or_else(|broken| panic!("call {call}: {broken}"))
    {
        call += EVERY_CALL;
    }
    let Kills { kills, done, .. } = killed.tally;
    eprintln!("{kills} kills at a call to the vault's file: {done} left the archive done");
    assert!(done > 1 && kills > done + 1, "before the commit and after it: {kills} kills, {done} done");
    killed.finish(Work::Archive).unwrap();
}

#[test]
fn a_kill_of_an_operators_work_leaves_a_vault_that_opens_and_nothing_that_the_next_run_does_not_remove() {
    for work in Work::ALL {
        let folder = tempfile::tempdir().unwrap();
        let mut killed = Interrupted::new(Path::new(env!("CARGO_BIN_EXE_sealroom")), folder.path()).unwrap();
        let mut rng = Rng::new(&[9]);
        for cycle in 0..3 {
            let held = killed.cycle(work, &mut rng);
            held.unwrap_or_else(|broken| panic!("{work:?}, cycle {cycle}: {broken}"));
        }
        killed.finish(work).unwrap_or_else(|broken| panic!("{work:?}: {broken}"));
    }
}
