//! The walk over a log's records: read on one thread, hashed on several, verified in order on the caller's.
//!
//! Batches are bounded in number and reused after their verification: the memory in use does not depend on the log's
//! length.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
};

use super::{
    failure::flawed,
    source::{BATCH, Batch, Source, records},
};
use crate::{
    audit::{
        tree::{Hash, leaf_hash, subtree_hash},
        verify::{BLOCK, Flaw, Verifier},
    },
    cli::{error::CliError, terminal::progress::Progress},
    storage::SubtreeHash,
};

/// Maximum number of batches in flight.
const WAITING: usize = 8;
/// Maximum number of hashing threads: more would hash faster than one thread can read.
const HASHERS_MAX: usize = 4;

/// A batch and its hashes.
struct Hashed {
    batch: Batch,
    leaves: Vec<Hash>,
    /// The hash of each full [`BLOCK`] of leaves.
    subtrees: Vec<Hash>,
    /// The first record that does not match its stored hash.
    changed: Option<usize>,
}

/// A batch, and the channel for its hashes.
type Job = (Batch, SyncSender<Hashed>);
/// The pending hashes of a batch, in the log's order.
type Promise = Result<Receiver<Hashed>, CliError>;

/// Verifies all records of a source and the hashes stored with them; the caller judges where the log ends.
pub(super) fn check(
    source: &mut dyn Source,
    mut verifier: Verifier,
    progress: &Progress,
) -> Result<Verifier, CliError> {
    // For archived records, the stored hashes stand for those that would be made; the signed root binds them.
    let (stored, archived) = (source.stored()?, source.archived() / BLOCK);
    let level = u8::try_from(BLOCK.ilog2()).expect("a block is small");
    let blocks = stored.iter().filter(|one| one.level == level && one.index < archived);
    let mut subtrees: Vec<Hash> = blocks.map(|one| one.hash).collect();
    thread::scope(|scope| {
        let (jobs, work) = channel::<Job>();
        let (promise, promised) = sync_channel::<Promise>(WAITING);
        let (spend, spent) = channel::<Batch>();
        let (source, work) = (&mut *source, Arc::new(Mutex::new(work)));
        // A channel without a receiver ends its sender.
        scope.spawn(move || read(source, &jobs, &promise, &spent));
        for _ in 0..thread::available_parallelism().map_or(1, |cores| cores.get().min(HASHERS_MAX)) {
            let work = Arc::clone(&work);
            scope.spawn(move || hash_all(&work));
        }
        for hashed in promised {
            let hashed = hashed?.recv().map_err(|_| CliError::failed("a thread ended early", "try again"))?;
            judge(&mut verifier, &hashed).map_err(|flaw| flawed(&flaw))?;
            progress.advance(hashed.batch.data.len() as u64 + 32 * hashed.batch.ends.len() as u64);
            subtrees.extend_from_slice(&hashed.subtrees);
            drop(spend.send(hashed.batch));
        }
        Ok::<(), CliError>(())
    })?;
    hold_against(&stored, subtrees).map_err(|flaw| flawed(&flaw))?;
    Ok(verifier)
}

fn read(source: &mut dyn Source, jobs: &Sender<Job>, promise: &SyncSender<Promise>, spent: &Receiver<Batch>) {
    loop {
        let mut batch = spent.try_recv().unwrap_or_default();
        batch.clear();
        let (hashed, promised) = sync_channel(1);
        match source.next(&mut batch) {
            Ok(()) if batch.ends.is_empty() => return,
            Ok(()) => drop(jobs.send((batch, hashed))),
            Err(error) => return drop(promise.send(Err(error))),
        }
        if promise.send(Ok(promised)).is_err() {
            return;
        }
    }
}

fn hash_all(work: &Mutex<Receiver<Job>>) {
    loop {
        let job = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((batch, hashed)) = job else { return };
        // After an earlier flaw the receiver may be gone.
        drop(hashed.send(hash(batch)));
    }
}

fn hash(batch: Batch) -> Hashed {
    let leaves: Vec<Hash> = records(&batch).map(leaf_hash).collect();
    let fits = |(leaf, check): (&Hash, &[u8; 8])| leaf[..8] == *check;
    let changed = leaves.iter().zip(&batch.checks).position(|pair| !fits(pair));
    let blocks = leaves.chunks_exact(usize::try_from(BLOCK).expect("a block is small"));
    let subtrees = blocks.map(subtree_hash).collect();
    Hashed { batch, leaves, subtrees, changed }
}

fn judge(verifier: &mut Verifier, hashed: &Hashed) -> Result<(), Flaw> {
    let mut records = records(&hashed.batch).zip(0..);
    let mut subtrees = hashed.subtrees.iter();
    for leaves in hashed.leaves.chunks(usize::try_from(BLOCK).expect("a block is small")) {
        for (leaf, (bytes, at)) in leaves.iter().zip(&mut records) {
            let sequence = verifier.next();
            if hashed.changed == Some(at) {
                return Err(Flaw::Changed { sequence });
            }
            // If the record has no place in the log, its form gives the better error.
            verifier
                .place(bytes, *leaf)
                .map_err(|flaw| Verifier::check_form(sequence, bytes).err().unwrap_or(flaw))?;
        }
        verifier.grow(leaves, subtrees.next().copied());
    }
    Ok(())
}

/// Compares the hashes of all full blocks, and of the subtrees over them, with the stored ones.
fn hold_against(stored: &[SubtreeHash], mut made: Vec<Hash>) -> Result<(), Flaw> {
    let step = u8::try_from(BLOCK.ilog2()).expect("a block is small");
    for level in (step..64).step_by(step.into()) {
        for subtree in stored.iter().filter(|subtree| subtree.level == level) {
            let of_ours = usize::try_from(subtree.index).ok().and_then(|index| made.get(index));
            if of_ours.is_some_and(|hash| *hash != subtree.hash) {
                let first = subtree.index << level;
                return Err(Flaw::Subtree { first, last: first + (1 << level) - 1 });
            }
        }
        made =
            made.chunks_exact(usize::try_from(BLOCK).expect("a block is small")).map(subtree_hash).collect();
    }
    Ok(())
}

// A batch ends at the end of a block, so its blocks are the log's.
const _: () = assert!((BATCH as u64).is_multiple_of(BLOCK));
