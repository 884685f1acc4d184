//! The mask over a program's output: a stream in which every form of every value becomes `***`.
//!
//! ```text
//! pieces as they come → [ held │ new ] → text before a match, ***, … → what may still become a match is held
//! ```
//!
//! An automaton finds the first [`HEAD_BYTES`] of each needle, so that its size does not depend on a long value; from
//! there a needle is compared as far as it agrees. A copy that was cut off after its head is masked too. Needles that
//! overlap become one mask.

use std::sync::{Arc, PoisonError, RwLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use zeroize::Zeroizing;

use super::forms::{Form, forms};

/// The replacement of a value.
const MASK: &[u8] = b"***";
/// Maximum number of bytes of a needle in the automaton.
const HEAD_BYTES: usize = 32;
/// Maximum size of all heads for which the faster automaton takes a few megabytes.
const FAST_BYTES_MAX: usize = 32 * 1024;
/// Maximum number of held bytes that a quiet terminal shows: a prompt or a typed letter may begin like a value.
const IDLE_BYTES_MAX: usize = 3;

/// Maximum number of bytes compared for one mask. A value that repeats itself needs more: then all that has come is
/// masked.
const COMPARED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The texts to mask.
pub(super) struct Needles {
    finder: Option<AhoCorasick>,
    /// Sorted, so that those of one beginning are neighbours.
    needles: Vec<Form>,
}

impl Needles {
    /// Prepares the forms of all values.
    pub(super) fn new<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut needles: Vec<Form> = values.flat_map(forms).collect();
        needles.sort_unstable_by(|one, other| one.as_slice().cmp(other));
        needles.dedup();
        let heads: Vec<&[u8]> = needles.iter().map(|one| &one[..one.len().min(HEAD_BYTES)]).collect();
        let is_small = heads.iter().map(|head| head.len()).sum::<usize>() <= FAST_BYTES_MAX;
        let kind = is_small.then_some(AhoCorasickKind::DFA);
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).kind(kind).build(&heads);
        let finder = finder.ok().filter(|_| !heads.is_empty());
        Self { finder, needles }
    }

    /// Returns the needles that begin as `text` does, in their first two bytes or the only one that there is.
    fn like(&self, text: &[u8]) -> &[Form] {
        let start = &text[..text.len().min(2)];
        let from = self.needles.partition_point(|one| &one[..start.len()] < start);
        let rest = &self.needles[from..];
        &rest[..rest.partition_point(|one| &one[..start.len()] == start)]
    }

    /// Returns the first position from `from` on at which the text is the beginning of a needle, cut off by its end.
    fn cut(&self, text: &[u8], from: usize) -> usize {
        let is_cut = |at: &usize| {
            let rest = &text[*at..];
            self.like(rest).iter().any(|one| one.len() > rest.len() && one.starts_with(rest))
        };
        (from.max(text.len().saturating_sub(HEAD_BYTES - 1))..text.len()).find(is_cut).unwrap_or(text.len())
    }
}

/// The needles of all streams, which may be replaced while output flows.
pub(super) struct Mask(RwLock<Arc<Needles>>);

impl Mask {
    pub(super) fn new(needles: Needles) -> Self {
        Self(RwLock::new(Arc::new(needles)))
    }

    /// Masks these from now on, in all that has not been shown.
    pub(super) fn set(&self, needles: Needles) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(needles);
    }

    fn now(&self) -> Arc<Needles> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One stream's mask.
pub(super) struct Masker {
    mask: Arc<Mask>,
    /// Bytes from the first on that may belong to a value that has not ended.
    held: Zeroizing<Vec<u8>>,
    /// Number of held bytes that were shown or masked already.
    shown: usize,
    /// True if the output so far ends with a mask.
    is_masked: bool,
}

/// Tells whether more of the stream follows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Follows {
    More,
    Nothing,
}

/// The extent of the needles that begin at a match.
struct Extent {
    /// The end of the last needle.
    end: usize,
    /// The start of the first match that the end of the text cuts off.
    open: Option<usize>,
}

impl Masker {
    pub(super) fn new(mask: Arc<Mask>) -> Self {
        Self { mask, held: Zeroizing::new(Vec::new()), shown: 0, is_masked: false }
    }

    /// Appends to `out` what may be shown of the stream after this piece.
    pub(super) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.held.extend_from_slice(piece);
        self.step(Follows::More, out);
    }

    /// Appends the rest at the end of the stream.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.step(Follows::Nothing, out);
    }

    /// Returns whether a quiet terminal waits for held bytes that do not give a value away.
    pub(super) fn is_waiting(&self) -> bool {
        self.shown < self.held.len() && self.held.len() <= IDLE_BYTES_MAX
    }

    /// Shows the few held bytes; if they turn out to begin a value, its rest is still masked.
    pub(super) fn idle(&mut self, out: &mut Vec<u8>) {
        if self.is_waiting() {
            out.extend_from_slice(&self.held[self.shown..]);
            self.shown = self.held.len();
            self.is_masked = false;
        }
    }

    fn step(&mut self, follows: Follows, out: &mut Vec<u8>) {
        let (needles, mut text) = (self.mask.now(), std::mem::take(&mut self.held));
        let mut at = 0;
        let held = loop {
            let found = needles.finder.as_ref().and_then(|finder| finder.find(&text[at..]));
            let start = found.map_or(text.len(), |found| at + found.start());
            let cut = if follows == Follows::More { needles.cut(&text, at) } else { text.len() };
            self.show(&text, start.min(cut), out);
            // A needle that may begin before the match and go on after it comes first.
            if cut < start || start == text.len() {
                break cut;
            }
            let extent = extent(&needles, &text, start, follows);
            self.mask(start, extent.end, out);
            if let Some(open) = extent.open {
                break open;
            }
            at = extent.end;
        };
        // The buffer is kept: wiping one for each piece would take longer than the search.
        text.drain(..held);
        self.held = text;
        self.shown = self.shown.saturating_sub(held);
    }

    fn show(&mut self, text: &[u8], end: usize, out: &mut Vec<u8>) {
        if self.shown < end {
            out.extend_from_slice(&text[self.shown..end]);
            self.shown = end;
            self.is_masked = false;
        }
    }

    /// Masks what begins at `start`; a mask that goes on is not shown twice.
    fn mask(&mut self, start: usize, end: usize, out: &mut Vec<u8>) {
        if end <= self.shown || end == start {
            return;
        }
        if !(self.is_masked && start < self.shown) {
            out.extend_from_slice(MASK);
        }
        self.shown = end;
        self.is_masked = true;
    }
}

fn extent(needles: &Needles, text: &[u8], start: usize, follows: Follows) -> Extent {
    let (mut end, mut open, mut at, mut compared) = (start, None, start, 0);
    while at < end.max(start + 1) {
        let rest = &text[at..];
        for needle in needles.like(rest) {
            let agreed = needle.iter().zip(rest).take_while(|(one, other)| one == other).count();
            compared += agreed;
            if agreed == needle.len() {
                end = end.max(at + agreed);
            } else if agreed == rest.len() && follows == Follows::More {
                open = open.or(Some(at));
            } else if agreed >= HEAD_BYTES {
                end = end.max(at + agreed);
            }
        }
        if compared > COMPARED_BYTES_MAX {
            return Extent { end: text.len(), open: None };
        }
        at += 1;
    }
    Extent { end, open }
}

#[cfg(test)]
mod tests;
