//! The journal of a disk's calls, and the remains of them after a power cut.

use std::sync::Arc;

use super::rng::Rng;

/// The bytes that a disk writes atomically.
const SECTOR: usize = 512;

/// One entry of the journal.
#[derive(Debug, Clone)]
pub enum Op {
    Write(u64, Arc<[u8]>),
    SetLen(u64),
    Sync,
    /// A sync that failed: the kernel marks the pages clean, and the disk has some of them, chosen by this seed.
    FailedSync(u64),
    /// A client has an answer that relies on this many records.
    Acknowledged(u64),
}

impl Op {
    /// Returns whether the entry is a call to the disk, which can fail.
    pub fn is_call(&self) -> bool {
        !matches!(self, Self::Acknowledged(_))
    }
}

/// The fate of writes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lost,
    Kept,
    /// Each write is kept or lost independently: reordered.
    SomeWrites,
    /// Each sector is kept or lost independently: reordered and torn.
    SomeSectors,
    /// All writes before the given one are kept, and of that one the given number of sectors.
    UpTo(usize, usize),
    /// All writes except this one are kept.
    AllBut(usize),
    /// Only this write is kept.
    Only(usize),
}

impl Fate {
    fn choose(pending: usize, rng: &mut Rng) -> Self {
        match rng.below(8) {
            0 => Self::Lost,
            1 => Self::Kept,
            2 => Self::SomeWrites,
            3 | 4 => Self::SomeSectors,
            5 => Self::UpTo(rng.below(pending), rng.below(64)),
            6 => Self::AllBut(rng.below(pending)),
            _ => Self::Only(rng.below(pending)),
        }
    }
}

/// A whole file as bytes, which a cut changes.
pub trait Image {
    fn set_length(&mut self, len: u64);
    fn length(&self) -> u64;
    fn put(&mut self, offset: u64, data: &[u8]);
}

impl Image for Vec<u8> {
    fn set_length(&mut self, len: u64) {
        self.resize(len as usize, 0);
    }

    fn length(&self) -> u64 {
        Vec::len(self) as u64
    }

    fn put(&mut self, offset: u64, data: &[u8]) {
        let at = offset as usize;
        self[at..at + data.len()].copy_from_slice(data);
    }
}

/// Applies the remains of `pending` to the synced file.
pub fn cut(image: &mut impl Image, pending: &[Op], rng: &mut Rng) {
    let fate = Fate::choose(pending.len(), rng);
    for (n, op) in pending.iter().enumerate() {
        let is_there = match fate {
            Fate::Lost => false,
            Fate::Kept | Fate::SomeSectors => true,
            Fate::SomeWrites => rng.one_in(2),
            Fate::UpTo(last, _) => n <= last,
            Fate::AllBut(one) => n != one,
            Fate::Only(one) => n == one,
        };
        match op {
            Op::Write(offset, data) if is_there => match fate {
                Fate::SomeSectors => sectors(image, *offset, data, |_| rng.one_in(2)),
                Fate::UpTo(last, sectors_kept) if n == last => {
                    sectors(image, *offset, data, |sector| sector < sectors_kept);
                }
                _ => sectors(image, *offset, data, |_| true),
            },
            // A length is kept or lost independently of the writes around it.
            Op::SetLen(len) if fate != Fate::Lost && (fate == Fate::Kept || rng.one_in(2)) => {
                image.set_length(*len);
            }
            _ => {}
        }
    }
}

/// Writes the kept sectors of a write; bytes past the file's end are lost with its length.
fn sectors(image: &mut impl Image, offset: u64, data: &[u8], mut keep: impl FnMut(usize) -> bool) {
    let mut at = 0;
    let mut number = 0;
    while at < data.len() {
        let step = (SECTOR - (offset as usize + at) % SECTOR).min(data.len() - at);
        let begin = offset + at as u64;
        if keep(number) && begin + step as u64 <= image.length() {
            image.put(begin, &data[at..at + step]);
        }
        at += step;
        number += 1;
    }
}

/// Applies a call to the durable file; calls that are not synced gather in `pending`.
pub fn settle(image: &mut Vec<u8>, pending: &mut Vec<Op>, op: &Op) {
    match op {
        Op::Write(..) | Op::SetLen(_) => pending.push(op.clone()),
        Op::Sync => {
            for op in pending.drain(..) {
                apply(image, &op);
            }
        }
        Op::FailedSync(seed) => {
            cut(image, pending, &mut Rng::new(&[*seed]));
            pending.clear();
        }
        Op::Acknowledged(_) => {}
    }
}

fn apply(image: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write(offset, data) => {
            // A later length may have reached the disk without this write, or this write without the length.
            let end = *offset as usize + data.len();
            if end > image.len() {
                image.resize(end, 0);
            }
            image.put(*offset, data);
        }
        Op::SetLen(len) => image.set_length(*len),
        Op::Sync | Op::FailedSync(_) | Op::Acknowledged(_) => {}
    }
}

/// Returns the file after a power cut at the end of `ops` that keeps no pending call.
pub fn durable(base: &[u8], ops: &[Op]) -> Vec<u8> {
    let (mut image, mut pending) = (base.to_vec(), Vec::new());
    for op in ops {
        settle(&mut image, &mut pending, op);
    }
    image
}
