//! Power cuts at every call of an operator's work, and again while the vault recovers from them.

use std::sync::Arc;

use super::{
    disk::Disk,
    driver::Broken,
    journal::{Op, settle},
    rng::Rng,
    upkeep::{Copying, Upkeep, Used},
};

/// The counts of a run.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    /// Power cuts, and those of them in a recovery.
    pub cuts: u64,
    pub in_recovery: u64,
    /// Remains of a copy that opened, all of them whole.
    pub opened: u64,
    /// Calls that failed.
    pub faults: u64,
}

/// The calls after the answer that are cut too.
const AFTER: usize = 4;

/// Names what is cut, for a failure.
fn named(what: &dyn std::fmt::Debug, call: usize, variant: usize) -> impl Fn(Broken) -> Broken {
    let what = format!("{what:?}");
    move |broken| format!("{what}, call {call}, variant {variant}: {broken}")
}

/// Cuts the power at each call of the work, with this many variants of what remains.
pub async fn cut(used: &Used, upkeep: Upkeep, variants: usize, tally: &mut Tally) -> Result<(), Broken> {
    let disk = Disk::new(used.file(upkeep));
    let work = used.run(upkeep, &disk).await.ok_or(format!("{upkeep:?} fails on a disk that works"))?;
    // And the first calls after its answer.
    let work = work.start..work.end + AFTER;
    let (mut durable, mut pending, mut floor) = (used.file(upkeep), Vec::new(), None);
    for (call, op) in disk.take_journal().iter().enumerate() {
        match op {
            Op::Acknowledged(records) => floor = Some(*records),
            Op::Write(..) | Op::SetLen(_) => pending.push(op.clone()),
            Op::Sync | Op::FailedSync(_) => {}
        }
        let here = if work.contains(&call) && op.is_call() { variants } else { 0 };
        for variant in 0..here {
            let mut rng = Rng::new(&[call as u64, variant as u64, 6]);
            let cut = Disk::cut(Arc::clone(&durable), &pending, &mut rng);
            visit(used, upkeep, cut, floor, &mut rng, tally).await.map_err(named(&upkeep, call, variant))?;
        }
        if matches!(op, Op::Sync) {
            let mut image = Arc::unwrap_or_clone(durable);
            settle(&mut image, &mut pending, op);
            durable = Arc::new(image);
        }
    }
    Ok(())
}

/// Checks the file that a cut left, then cuts that recovery short and checks again.
async fn visit(
    used: &Used,
    upkeep: Upkeep,
    disk: Disk,
    floor: Option<u64>,
    rng: &mut Rng,
    tally: &mut Tally,
) -> Result<(), Broken> {
    let before = disk.fork();
    used.check(upkeep, &disk, floor).await?;
    tally.cuts += 1;
    let journal = disk.take_journal();
    if journal.is_empty() {
        return Ok(());
    }
    before.replay_and_cut(&journal[..1 + rng.below(journal.len())], rng);
    tally.cuts += 1;
    tally.in_recovery += 1;
    let twice = used.check(upkeep, &before, floor).await;
    twice.map_err(|broken| format!("in its recovery: {broken}"))
}

/// Fails each call of the work in turn.
pub async fn fail(used: &Used, upkeep: Upkeep, every: usize, tally: &mut Tally) -> Result<(), Broken> {
    let disk = Disk::new(used.file(upkeep));
    let work = used.run(upkeep, &disk).await.ok_or(format!("{upkeep:?} fails on a disk that works"))?;
    for first in (work.start + 1..=work.end).step_by(every) {
        used.fail(upkeep, first).await.map_err(named(&upkeep, first, 0))?;
        tally.faults += 1;
    }
    Ok(())
}

/// Cuts the power at each call of a copy: what remains does not open or is whole, and is whole once the copy is done.
pub async fn cut_copy(used: &Used, copy: Copying, variants: usize, tally: &mut Tally) -> Result<(), Broken> {
    let target = Disk::new(Arc::default());
    let opens = used.copy(copy, &target).await?.ok_or(format!("{copy:?} fails on disks that work"))?;
    let (mut durable, mut pending) = (Arc::new(Vec::new()), Vec::new());
    let journal = target.take_journal();
    let last_sync = journal.iter().rposition(|op| matches!(op, Op::Sync)).ok_or("a copy without a sync")?;
    for (call, op) in journal.iter().enumerate() {
        if matches!(op, Op::Write(..) | Op::SetLen(_)) {
            pending.push(op.clone());
        }
        if matches!(op, Op::Sync) {
            let mut image = Arc::unwrap_or_clone(durable);
            settle(&mut image, &mut pending, op);
            durable = Arc::new(image);
        }
        for variant in 0..variants {
            let mut rng = Rng::new(&[call as u64, variant as u64, 7]);
            let cut = Disk::cut(Arc::clone(&durable), &pending, &mut rng);
            let opened = used.check_copy(&cut, &opens).await.map_err(named(&copy, call, variant))?;
            if call >= last_sync && !opened {
                return Err(format!("{copy:?} was called done, and does not open after call {call}"));
            }
            tally.cuts += 1;
            tally.opened += u64::from(opened);
        }
    }
    // A call that fails: a copy is called done only if it is whole on the disk.
    for first in 1..=target.calls() {
        let target = Disk::new(Arc::default());
        target.set_fault(Some(super::disk::Fault { first, last: first, seed: first as u64 }));
        let made = used.copy(copy, &target).await?;
        target.set_fault(None);
        if let Some(opens) = made {
            let durable = super::journal::durable(&[], &target.take_journal());
            let found = used.check_copy(&Disk::new(Arc::new(durable)), &opens).await;
            if !found.map_err(named(&copy, first, 0))? {
                return Err(format!(
                    "{copy:?} was called done although call {first} failed, and does not open"
                ));
            }
        }
        tally.faults += 1;
    }
    Ok(())
}
