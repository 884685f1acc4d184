//! A damaged file never panics or aborts the process, and never shows what was not there.

use std::{path::Path, process::Command};

use crate::lab::damage::{Ends, child, pristine, verify, watch};

const SEED: u64 = 1;
const CHILD: &str = "SEALROOM_DAMAGED_FILE";

/// Runs as the child process of the next test; does nothing on its own.
#[tokio::test]
async fn a_child_that_meets_damage() {
    let Ok(given) = std::env::var(CHILD) else { return };
    let (numbers, file) = given.split_once(' ').unwrap();
    let (from, to) = numbers.split_once('-').unwrap();
    child(Path::new(file), SEED, from.parse().unwrap()..to.parse().unwrap()).await;
}

#[tokio::test]
async fn flips_all_over_a_closed_file_end_in_a_message_or_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vault.redb");
    std::fs::write(&file, pristine(SEED).await.0).unwrap();
    let mut ends = Ends::new();
    for batch in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let (_, module) = module_path!().split_once("::").unwrap();
        child.args([&format!("{module}::a_child_that_meets_damage"), "--exact", "--nocapture"]);
        child.env(CHILD, format!("{}-{} {}", batch * 100, batch * 100 + 100, file.display()));
        watch(child, &mut ends).unwrap_or_else(|broken| panic!("seed {SEED}: {broken}"));
    }
    for number in 0..60 {
        let found = verify(env!("CARGO_BIN_EXE_sealroom"), &file, SEED, number, &mut ends);
        found.unwrap_or_else(|broken| panic!("seed {SEED}: {broken}"));
    }
    assert_eq!(ends.values().sum::<u64>(), 360, "{ends:?}");
    assert!(ends["refused to open"] > 50 && ends["served whole"] > 50, "{ends:?}");
}
