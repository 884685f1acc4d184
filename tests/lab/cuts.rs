//! Power cuts: at every call of a recording, and again while the vault recovers from the first.

use std::sync::Arc;

use sealroom::{
    clock::monotonic,
    storage::{Store, Writing},
};

use super::{
    check,
    disk::Disk,
    driver::{A_LONG_TIME, Broken},
    journal::{Op, settle},
    recording::Recording,
    rng::Rng,
};

/// The most cuts of one file, each in the recovery from the one before.
const DEPTH: usize = 3;
/// One point in this many is read back whole, through the vault, and compared with the model.
const WHOLE_ONE_IN: usize = 64;

/// The engine's first page, in bytes.
const HEADER: usize = 4096;

/// The counts of a run.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    /// Power cuts.
    pub cuts: u64,
    /// Power cuts in the middle of a recovery.
    pub in_recovery: u64,
    /// Files that were read back whole, credential by credential and record by record.
    pub whole: u64,
}

/// A point at which the power is cut: a call of the recording, and a variant of what remains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    pub op: usize,
    pub variant: usize,
}

/// The points of a recording to visit.
#[derive(Debug, Clone, Copy)]
pub enum Wanted {
    /// Each call, with this many variants.
    All(usize),
    /// One call in this many, once.
    OneIn(usize),
    /// Only this point.
    Only(Point),
}

impl Wanted {
    fn variants(self, op: usize, rng: &mut Rng) -> std::ops::Range<usize> {
        match self {
            Self::All(variants) => 0..variants,
            Self::OneIn(calls) => 0..usize::from(rng.one_in(calls)),
            Self::Only(point) if point.op == op => point.variant..point.variant + 1,
            Self::Only(_) => 0..0,
        }
    }
}

/// Cuts the power at the wanted calls of a recording. Calls `seen` after every point, and stops if it returns `false`.
pub async fn cut_everywhere(
    recording: &Recording,
    seed: u64,
    wanted: Wanted,
    tally: &mut Tally,
    mut seen: impl FnMut(&Tally) -> bool,
) -> Result<(), (Point, Broken)> {
    let (mut durable, mut pending, mut floor) = (Arc::clone(&recording.base), Vec::new(), 0);
    let mut choices = Rng::new(&[seed]);
    for (number, op) in recording.ops.iter().enumerate() {
        match op {
            Op::Acknowledged(records) => floor = floor.max(*records),
            Op::Write(..) | Op::SetLen(_) => pending.push(op.clone()),
            Op::Sync | Op::FailedSync(_) => {}
        }
        let variants = if op.is_call() { wanted.variants(number, &mut choices) } else { 0..0 };
        for variant in variants {
            let point = Point { op: number, variant };
            let mut rng = Rng::new(&[seed, number as u64, variant as u64]);
            let disk = Disk::cut(Arc::clone(&durable), &pending, &mut rng);
            visit(recording, disk, floor, &mut rng, tally).await.map_err(|broken| (point, broken))?;
            if !seen(tally) {
                return Ok(());
            }
        }
        if matches!(op, Op::Sync) {
            let mut image = Arc::unwrap_or_clone(durable);
            settle(&mut image, &mut pending, op);
            durable = Arc::new(image);
        }
    }
    Ok(())
}

/// Recovers the file that a cut left, cuts the recovery short as well, and checks the result each time.
async fn visit(
    recording: &Recording,
    mut disk: Disk,
    mut floor: u64,
    rng: &mut Rng,
    tally: &mut Tally,
) -> Result<(), Broken> {
    for depth in 0..DEPTH {
        tally.cuts += 1;
        tally.in_recovery += u64::from(depth > 0);
        let before = disk.fork();
        let broke = |broken| note(&before, broken);
        let recovered = recover(recording, &disk, floor).await.map_err(broke)?;
        recover_again(recording, &recovered).await.map_err(broke)?;
        if rng.one_in(WHOLE_ONE_IN) {
            tally.whole += 1;
            let killed = recovered.killed.fork();
            check::whole(recording, killed, recovered.size).await.map_err(broke)?;
        }
        // A later recovery must not lose records that this one has shown.
        floor = recovered.size;
        let journal = disk.take_journal();
        if journal.is_empty() || (depth > 0 && rng.one_in(2)) {
            return Ok(());
        }
        let upto = 1 + rng.below(journal.len());
        before.replay_and_cut(&journal[..upto], rng);
        disk = before;
    }
    Ok(())
}

/// The outcome of a recovery.
struct Recovered {
    /// The size of the recovered log.
    size: u64,
    /// The disk right after the unlock, before the vault was stopped.
    killed: Disk,
}

/// Opens, unlocks and stops the vault.
async fn recover(recording: &Recording, disk: &Disk, floor: u64) -> Result<Recovered, Broken> {
    let store = Store::open(disk.medium(), 1 << 20).map_err(|error| format!("no opening: {error:?}"))?;
    if disk.calls() > 0 {
        return Err("opening wrote to the file before anybody had unlocked it".to_owned());
    }
    let unlocked = store.unlock(&recording.key, writing());
    let running = unlocked.map_err(|error| format!("no unlocking: {error:?}"))?;
    let killed = disk.fork();
    let text = store.checkpoint().map_err(|error| error.to_string())?;
    drop(running.writer);
    drop(running.ended.await);
    drop(store);
    // The head was sealed with this checkpoint and with the digest of all rows: the state is that one, whole.
    let size = *recording.states.get(&text).ok_or("a state that never was")?;
    if size < floor {
        return Err(format!("{floor} records were acknowledged, and {size} are there"));
    }
    Ok(Recovered { size, killed })
}

/// Returns settings of a writer that writes only on request.
pub fn writing() -> Writing {
    let (commit_timeout, flush_interval) = (A_LONG_TIME, A_LONG_TIME);
    Writing { queue_max: 8, monotonic, commit_timeout, flush_interval }
}

/// Checks that a recovered file needs no second recovery: the state stays the same, and no byte changes except in the
/// engine's header, which counts its openings.
async fn recover_again(recording: &Recording, recovered: &Recovered) -> Result<(), Broken> {
    let second = recover(recording, &recovered.killed.fork(), recovered.size).await?;
    if second.size != recovered.size {
        return Err(format!(
            "the second recovery found {} records, the first {}",
            second.size, recovered.size
        ));
    }
    let (first, second) = (recovered.killed.image(), second.killed.image());
    if first.get(HEADER..) != second.get(HEADER..) {
        return Err("a second recovery changes pages".to_owned());
    }
    Ok(())
}

/// Keeps the broken file for inspection.
fn note(disk: &Disk, broken: Broken) -> Broken {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("broken.redb");
    match std::fs::write(&path, disk.image()) {
        Ok(()) => format!("{broken}\nthe file as the cut left it: {}", path.display()),
        Err(_) => broken,
    }
}
