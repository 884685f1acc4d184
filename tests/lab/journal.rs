//! What a disk was told, in order; and what a power cut leaves of it.

use std::sync::Arc;

use super::rng::Rng;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Op {
    Write(u64, Arc<[u8]>),
    SetLen(u64),
    Sync,
    /// A sync that failed: the kernel takes the pages for clean from now on, and the disk has, by this seed, some of
    /// them.
    FailedSync(u64),
    /// By now somebody has an answer that rests on so many records.
    Acknowledged(u64),
}

impl Op {
    /// Whether the disk was told something, so that it can fail here.
    pub fn is_call(&self) -> bool {
        !matches!(self, Self::Acknowledged(_))
    }
}

/// How writes that were not synced end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lost,
    Kept,
    /// Each write by itself is there or not: they were reordered.
    SomeWrites,
    /// Each sector by itself is there or not: they were reordered and torn.
    SomeSectors,
    /// The first so many writes, and of the next one its beginning.
    UpTo(usize, usize),
    /// All but this write.
    AllBut(usize),
    /// None but this write.
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

/// A whole file as bytes, and where a cut changes it.
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

/// Applies what is left of `pending` to what was synced before it.
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
            // A length is there or not, whatever becomes of the writes around it.
            Op::SetLen(len) if fate != Fate::Lost && (fate == Fate::Kept || rng.one_in(2)) => {
                image.set_length(*len);
            }
            _ => {}
        }
    }
}

/// Writes those sectors of a write that are kept; what lies past the file's end is gone with its length.
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

/// Takes a call into what is durable; what waits for a sync gathers in `pending`.
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
            // A later length may have come to the disk without this write, or the other way round.
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

/// What is on the disk after all of these, where the power goes at the end and nothing that waits is kept.
pub fn durable(base: &[u8], ops: &[Op]) -> Vec<u8> {
    let (mut image, mut pending) = (base.to_vec(), Vec::new());
    for op in ops {
        settle(&mut image, &mut pending, op);
    }
    image
}
