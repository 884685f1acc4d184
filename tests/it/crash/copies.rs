//! Copies on disks that fail, and commands that are killed: the vault file is always one of the two, whole.

use std::{
    fs,
    ops::ControlFlow,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use sealroom::{
    domain::{Actor, Timestamp},
    storage::Store,
    vault::{Closed, Step, Vault},
};

use crate::{
    lab::{
        disk::{Disk, Fault},
        rng::Rng,
    },
    support::{
        binary::{sealroom, stderr, vault},
        memory_disk::shared,
        server::{PASSPHRASE, START, plan, secret},
    },
};

/// A small vault's bytes.
fn image() -> Vec<u8> {
    let (memory, medium) = shared(&[]);
    Vault::create(medium, 1 << 20, &plan()).map_err(drop).unwrap();
    crate::support::memory_disk::image(&memory)
}

/// Copies to a disk, under its own key or a new one.
fn copied(source: &[u8], disk: &Disk, rekeys: bool) -> bool {
    let (actor, now) = (Actor::host("test"), Timestamp::from_millis(START));
    let closed = Closed::open(shared(source).1, 1 << 20).unwrap();
    let offline = closed.unseal(secret(PASSPHRASE)).map_err(drop).unwrap();
    let go_on = &mut |_: Step| ControlFlow::<()>::Continue(());
    if rekeys {
        offline.rekey(disk.medium(), actor, now, go_on).is_ok()
    } else {
        offline.compact(disk.medium(), actor, now, go_on).is_ok()
    }
}

fn opens(disk: &Disk) -> bool {
    let Ok(closed) = Closed::open(disk.medium(), 1 << 20) else { return false };
    closed.unseal(secret(PASSPHRASE)).is_ok()
}

#[test]
fn a_copy_that_is_called_done_survives_a_power_cut_and_one_that_fails_is_never_called_done() {
    let source = image();
    for rekeys in [false, true] {
        let disk = Disk::new(Arc::default());
        assert!(copied(&source, &disk, rekeys));
        let (calls, journal) = (disk.calls(), disk.take_journal());
        // Calls after the last sync may be lost; whichever are, the copy opens.
        for seed in 0..20 {
            let cut = Disk::new(Arc::default());
            cut.replay_and_cut(&journal, &mut Rng::new(&[seed]));
            assert!(opens(&cut), "seed {seed}");
        }
        for first in 1..=calls {
            let disk = Disk::new(Arc::default());
            disk.set_fault(Some(Fault { first, last: first, seed: first as u64 }));
            let is_done = copied(&source, &disk, rekeys);
            disk.set_fault(None);
            assert!(!is_done || opens(&disk), "call {first} of {calls}");
        }
    }
    assert!(Store::open(shared(&source).1, 1 << 20).is_ok());
}

/// The number of kills of each command; `SEALROOM_KILLS` says more.
fn kills() -> u64 {
    std::env::var("SEALROOM_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(8)
}

#[test]
fn a_killed_compact_or_rekey_leaves_one_whole_file_and_the_next_good_run_clears_up() {
    let folder = vault();
    let folder = folder.path();
    let mut rng = Rng::new(&[1]);
    for number in 0..kills() {
        let command: &[&str] = if number % 2 == 0 { &["compact"] } else { &["rekey", "-y"] };
        let args = [command, &["--data", "v.redb", "--passphrase-file", "pass"]].concat();
        killed(folder, &args, Duration::from_micros(rng.below(60_000) as u64));
        let verified = sealroom(folder, &["audit", "verify", "v.redb"]);
        assert!(verified.status.success(), "{number}: {}", stderr(&verified));
    }
    let good = sealroom(folder, &["compact", "--data", "v.redb", "--passphrase-file", "pass"]);
    assert!(good.status.success(), "the passphrase opens it still: {}", stderr(&good));
    let left = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> =
        left.filter(|name| name.contains("sealroom-new") || name.ends_with(".lock")).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn killed(folder: &Path, args: &[&str], after: Duration) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealroom"));
    command.current_dir(folder).args(args).env_clear();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    drop(child.kill());
    drop(child.wait());
}
