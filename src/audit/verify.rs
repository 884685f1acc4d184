//! The offline check of a log, from its records, a checkpoint and the public key: no passphrase, no server.
//!
//! Owns what makes a log good and how its first flaw is named. Records come one by one, in constant memory.

mod account;
mod flaw;

use std::collections::BTreeMap;

use super::{
    checkpoint::Checkpoint,
    receipt::Receipt,
    record,
    tree::{Frontier, Hash},
};

pub(super) use account::archived_end;
use account::{Account, archives_before};
pub use flaw::Flaw;

/// The bytes that begin every record of this format, up to its sequence.
pub(super) const START: &[u8] = br#"{"v":1,"sequence":"#;

/// The leaves of a subtree that is hashed on its own.
pub const BLOCK: u64 = 256;

/// The check of one log, record after record.
pub struct Verifier {
    frontier: Frontier,
    /// The number of records before the first, whose subtrees are known.
    base: u64,
    /// The event that has to account for the records before the first.
    accounts: Account,
    /// The first record's sequence: unless it is `base`, no root can be made.
    first: Option<u64>,
    next: u64,
    checkpoints: Vec<Checkpoint>,
    roots: BTreeMap<u64, Hash>,
    receipts: Vec<Receipt>,
    leaves: BTreeMap<u64, Hash>,
    /// Up to where a checkpoint vouches: from there on the form of each record is all that can be judged.
    vouched: u64,
    /// The size at which the log must end, if known.
    end: Option<u64>,
    /// True while a checkpoint over all of it is still to come.
    awaits_end: bool,
}

/// The result for a log without a flaw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Good {
    /// The first record's sequence.
    pub first: u64,
    /// The number of records from there on.
    pub count: u64,
    /// The root over all of them, where they begin with the first.
    pub root: Option<Hash>,
    /// Before which sequence a checkpoint vouches for them.
    pub vouched: u64,
}

impl Verifier {
    /// A check against these checkpoints (whose signatures are the caller's to judge) and receipts.
    pub fn new(mut checkpoints: Vec<Checkpoint>, receipts: Vec<Receipt>) -> Self {
        checkpoints.sort_by_key(|checkpoint| checkpoint.size);
        let wanted = receipts
            .iter()
            .flat_map(|receipt| receipt.first..=receipt.last.min(receipt.first.saturating_add(1_000)));
        let leaves = wanted.map(|sequence| (sequence, [0; 32])).collect();
        let roots = checkpoints.iter().map(|checkpoint| (checkpoint.size, [0; 32])).collect();
        let vouched = checkpoints.last().map_or(0, |newest| newest.size);
        let first = None;
        Self {
            frontier: Frontier::EMPTY,
            base: 0,
            accounts: Account::NotNeeded,
            first,
            next: 0,
            checkpoints,
            roots,
            receipts,
            leaves,
            vouched,
            end: None,
            awaits_end: false,
        }
    }

    /// Begins after the records of this tree: they are elsewhere, and a later root binds the tree.
    #[must_use]
    pub fn starting_at(mut self, frontier: Frontier) -> Self {
        let size = frontier.size();
        if size > 0 {
            (self.base, self.first, self.next) = (size, Some(size), size);
            self.frontier = frontier;
            self.keep_root();
        }
        self
    }

    /// Asks for the `audit.archive` event that took the earlier records away.
    #[must_use]
    pub fn accounted(self) -> Self {
        let accounts = if self.base > 0 { Account::Missing } else { Account::NotNeeded };
        Self { accounts, ..self }
    }

    /// The log comes with a checkpoint over all of it, for [`Verifier::finish_at`]: so no record has to be judged by
    /// its form.
    #[must_use]
    pub fn awaiting_end(self) -> Self {
        Self { awaits_end: true, ..self }
    }

    /// Adds checkpoints that the log must hold as well, such as its own handovers.
    #[must_use]
    pub fn with(mut self, checkpoints: Vec<Checkpoint>) -> Self {
        for checkpoint in checkpoints {
            self.vouched = self.vouched.max(checkpoint.size);
            self.roots.insert(checkpoint.size, [0; 32]);
            self.checkpoints.push(checkpoint);
        }
        self.checkpoints.sort_by_key(|checkpoint| checkpoint.size);
        self
    }

    /// The sequence that comes next.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Takes a record in, with its leaf hash.
    ///
    /// # Errors
    /// It is no record, or not the next one.
    pub fn push(&mut self, bytes: &[u8], leaf: Hash) -> Result<(), Flaw> {
        self.place(bytes, leaf)?;
        self.grow(&[leaf], None);
        Ok(())
    }

    /// Takes a record in, but for the tree: [`Verifier::grow`] has to follow.
    pub fn place(&mut self, bytes: &[u8], leaf: Hash) -> Result<(), Flaw> {
        let sequence = sequence(bytes).ok_or(Flaw::Form { sequence: self.next })?;
        if self.first.is_none() && sequence > 0 && (self.awaits_end || !self.checkpoints.is_empty()) {
            // A checkpoint speaks of a log from its first record on.
            return Err(Flaw::Order { expected: 0, found: sequence });
        }
        if self.first.is_none() {
            self.first = Some(sequence);
            self.next = sequence;
        }
        if sequence != self.next {
            return Err(Flaw::Order { expected: self.next, found: sequence });
        }
        if sequence >= self.vouched && !self.awaits_end {
            Self::check_form(sequence, bytes)?;
        }
        if self.accounts == Account::Missing && archives_before(bytes, self.base) {
            self.accounts = Account::Found;
        }
        if let Some(kept) = self.leaves.get_mut(&sequence) {
            *kept = leaf;
        }
        self.next = self.next.checked_add(1).ok_or(Flaw::Form { sequence })?;
        Ok(())
    }

    /// Makes the tree grow by the leaves of the records that were placed last, all of them since the last time; the
    /// hash over them, where there are 256 after as many or none, spares hashing them again.
    pub fn grow(&mut self, leaves: &[Hash], subtree: Option<Hash>) {
        if self.first != Some(self.base) {
            return;
        }
        let size = self.frontier.size();
        let is_asked = self.roots.range(size + 1..size + leaves.len() as u64).next().is_some();
        match subtree.filter(|_| !is_asked && size.is_multiple_of(BLOCK)) {
            Some(hash) => {
                self.frontier.push_subtree(BLOCK.ilog2(), hash);
                self.keep_root();
            }
            None => leaves.iter().for_each(|leaf| {
                drop(self.frontier.push(*leaf));
                self.keep_root();
            }),
        }
    }

    fn keep_root(&mut self) {
        if let Some(root) = self.roots.get_mut(&self.frontier.size()) {
            *root = self.frontier.root();
        }
    }

    /// Checks that this record has the one form that a record has; slower than [`Verifier::push`], which looks only at
    /// what places it.
    ///
    /// # Errors
    /// It has not.
    pub fn check_form(sequence: u64, bytes: &[u8]) -> Result<(), Flaw> {
        match record::decode(bytes) {
            Ok(record) if record.sequence == sequence => Ok(()),
            Ok(record) => Err(Flaw::Order { expected: sequence, found: record.sequence }),
            Err(_) => Err(Flaw::Form { sequence }),
        }
    }

    /// Judges the whole by its own checkpoint too: any record after that one's end was added from outside.
    pub fn finish_at(mut self, own: Checkpoint) -> Result<Good, Flaw> {
        self.end = Some(own.size);
        self.vouched = self.vouched.max(own.size);
        // Before the end there is no root to hold it against, and no need to: what follows is the flaw.
        if own.size >= self.next {
            self.roots.insert(own.size, self.frontier.root());
            self.checkpoints.push(own);
            self.checkpoints.sort_by_key(|checkpoint| checkpoint.size);
        }
        self.finish()
    }

    /// Judges the records of an archive: with the subtrees after them, they make the root that `own` signs.
    ///
    /// # Errors
    /// As [`Verifier::finish`].
    pub fn finish_within(mut self, own: &Checkpoint, rest: &[(u32, Hash)]) -> Result<Good, Flaw> {
        let (first, last) = (self.base, self.next.saturating_sub(1));
        // A kept checkpoint over the same records as the archive's own is judged by that one.
        self.checkpoints.retain(|kept| kept != own);
        if let Some(outside) = self.checkpoints.iter().find(|kept| kept.size > self.next || kept.size < first)
        {
            return Err(Flaw::Outside { size: outside.size, first, last });
        }
        let mut frontier = self.frontier.clone();
        let mut good = self.finish()?;
        for (level, hash) in rest {
            frontier.push_subtree(*level, *hash);
        }
        if frontier.size() != own.size || frontier.root() != own.root {
            return Err(Flaw::Root { first, last });
        }
        good.vouched = last + 1;
        Ok(good)
    }

    /// Judges the whole.
    ///
    /// # Errors
    /// The first checkpoint or receipt that the records contradict.
    pub fn finish(self) -> Result<Good, Flaw> {
        let first = self.first.unwrap_or(0);
        let is_rooted = self.first.is_none_or(|first| first == self.base);
        let size = if is_rooted { self.next } else { 0 };
        if self.accounts == Account::Missing {
            return Err(Flaw::Unaccounted { last: self.base - 1 });
        }
        let mut vouched = self.base;
        for checkpoint in self.checkpoints.iter().filter(|_| is_rooted) {
            if checkpoint.size < self.base {
                let last = self.next.saturating_sub(1);
                return Err(Flaw::Outside { size: checkpoint.size, first, last });
            }
            if checkpoint.size > size {
                let missing = checkpoint.size - size;
                return Err(Flaw::Cut { missing, size, signed: checkpoint.size });
            }
            let empty = Frontier::EMPTY.root();
            let root = if checkpoint.size == 0 { &empty } else { &self.roots[&checkpoint.size] };
            if *root != checkpoint.root {
                return Err(Flaw::Root { first: vouched, last: checkpoint.size.saturating_sub(1) });
            }
            vouched = checkpoint.size;
        }
        if let Some(end) = self.end.filter(|end| *end < self.next) {
            return Err(Flaw::Added { first: end, last: self.next - 1 });
        }
        for receipt in &self.receipts {
            if receipt.first < self.base {
                return Err(Flaw::ArchivedReceipt { sequence: receipt.first });
            }
            self.check_receipt(receipt)?;
        }
        let root = is_rooted.then(|| self.frontier.root());
        Ok(Good { first, count: self.next - first, root, vouched: self.vouched.clamp(first, self.next) })
    }

    fn check_receipt(&self, receipt: &Receipt) -> Result<(), Flaw> {
        let (sequence, first) = (receipt.first, self.first.unwrap_or(0));
        if sequence < first {
            return Err(Flaw::ReceiptBefore { sequence, first });
        }
        if receipt.last >= self.next {
            return Err(Flaw::ReceiptBeyond { sequence: receipt.last, last: self.next.saturating_sub(1) });
        }
        let leaves = self.leaves.range(receipt.records()).map(|(_, hash)| *hash);
        if receipt.fits(leaves) { Ok(()) } else { Err(Flaw::Receipt { sequence }) }
    }
}

/// The sequence that a record's first bytes say; `None` where they are no record's.
pub fn sequence(bytes: &[u8]) -> Option<u64> {
    if bytes.len() > record::RECORD_BYTES_MAX || !bytes.ends_with(b"}") {
        return None;
    }
    let digits = bytes.strip_prefix(START)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = digits.split_at(end);
    let canonical =
        !digits.is_empty() && (digits == b"0" || digits[0] != b'0') && rest.starts_with(br#","time":""#);
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|_| canonical)
}

#[cfg(test)]
mod tests;
