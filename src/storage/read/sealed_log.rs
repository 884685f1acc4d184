//! The log as the sealed head vouches for it: no record and no hash leaves here that its frontier does not cover.
//!
//! The file stores one hash for each 256 leaves, one for each 256 of those, and so on. A *group* is the 256 children
//! of one stored hash, or the fewer at the log's end. A full group has to make its parent, which stands in a group of
//! its own; the group at the end has to make the nodes of the frontier. So a read climbs one group a level, at most 255
//! siblings each, and never scans the log.

use std::{cell::RefCell, collections::BTreeMap, ops::Range, rc::Rc};

use super::{log::StoredRecord, snapshot::Snapshot};
use crate::{
    audit::{
        proof,
        tree::{Frontier, Hash, leaf_hash, subtree_hash},
    },
    crypto::keys::Keys,
    domain::FileId,
    storage::{
        error::StorageError,
        format::{
            head::Head,
            tables::{meta, split_audit_row},
        },
    },
};

/// log2 of a group's children.
const GROUP_LEVEL: u8 = 8;
/// The most children of a group.
const GROUP: u64 = 1 << GROUP_LEVEL;

/// The hashes of groups, by level and index.
type Groups = BTreeMap<(u8, u64), Rc<[Hash]>>;

/// One snapshot's log, and the groups of it that agreed with the head so far.
pub(in crate::storage) struct SealedLog<'a> {
    snapshot: &'a Snapshot,
    size: u64,
    nodes: Vec<Hash>,
    first: u64,
    agreed: RefCell<Groups>,
}

impl<'a> SealedLog<'a> {
    /// Returns the log of a snapshot, by the snapshot's own head.
    ///
    /// # Errors
    /// The head is missing or fails authentication.
    pub(in crate::storage) fn open(
        snapshot: &'a Snapshot,
        keys: &Keys,
        file: FileId,
    ) -> Result<Self, StorageError> {
        let head = Head::open(&snapshot.required_meta(meta::HEAD)?, keys, file)?;
        Ok(Self::of(snapshot, &head))
    }

    /// Returns the log of a snapshot, by a head that the caller has opened.
    pub(in crate::storage) fn of(snapshot: &'a Snapshot, head: &Head) -> Self {
        let (size, nodes) = head.frontier.to_parts();
        Self { snapshot, size, nodes, first: head.first_sequence, agreed: RefCell::default() }
    }

    /// Returns the first record that the file holds.
    pub(in crate::storage) const fn first(&self) -> u64 {
        self.first
    }

    /// Returns at most `limit` records from `first` on that the file holds, oldest first and without a gap.
    ///
    /// # Errors
    /// The engine refuses, or the records do not make the tree of the head.
    pub(in crate::storage) fn records(
        &self,
        first: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StorageError> {
        let first = first.max(self.first);
        let end = first.saturating_add(limit as u64).min(self.size);
        let mut records = Vec::new();
        for block in first / GROUP..end.div_ceil(GROUP) {
            let held = self.block(block)?;
            records.extend(held.into_iter().filter(|(sequence, _)| (first..end).contains(sequence)));
        }
        Ok(records)
    }

    /// Returns at most `limit` records before `end`, newest first.
    ///
    /// # Errors
    /// As [`SealedLog::records`].
    pub(in crate::storage) fn records_before(
        &self,
        end: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StorageError> {
        let end = end.min(self.size);
        let first = end.saturating_sub(limit as u64).max(self.first);
        let count = usize::try_from(end.saturating_sub(first)).unwrap_or(limit);
        let mut records = self.records(first, count)?;
        records.reverse();
        Ok(records)
    }

    /// Returns the root over a range of leaves.
    ///
    /// # Errors
    /// The engine refuses, a leaf is archived, or what the file stores does not make the tree of the head.
    pub(in crate::storage) fn tree_hash(&self, range: &Range<u64>) -> Result<Hash, StorageError> {
        proof::subtree(range, &mut |level, index| {
            if !level.is_multiple_of(GROUP_LEVEL) {
                return Ok(None);
            }
            let group = self.group(level, index / GROUP)?;
            let at = usize::try_from(index % GROUP).expect("it is below 256");
            group.get(at).copied().map(Some).ok_or_else(|| tampered(level, index / GROUP, self.size))
        })
    }

    /// Reads one group of records, and holds it against the head.
    fn block(&self, index: u64) -> Result<Vec<StoredRecord>, StorageError> {
        let (start, count) = (index * GROUP, self.count(0, index));
        if start < self.first {
            return Err(StorageError::Archived { last: self.first - 1 });
        }
        let mut records = Vec::with_capacity(count);
        let mut leaves = Vec::with_capacity(count);
        let mut changed = None;
        self.snapshot.audit_rows(start, count, |sequence, row| {
            let (record, check) = split_audit_row(row).unwrap_or_default();
            let leaf = leaf_hash(record);
            let is_next = sequence == start + records.len() as u64;
            if (!is_next || check.is_empty() || !leaf.starts_with(check)) && changed.is_none() {
                changed = Some(if is_next { sequence } else { start + records.len() as u64 });
            }
            leaves.push(leaf);
            records.push((sequence, record.to_vec()));
        })?;
        if let Some(sequence) = changed {
            return Err(StorageError::tampered("audit", sequence.to_string()));
        }
        if !self.agreed.borrow().contains_key(&(0, index)) {
            self.agree(0, index, leaves.into())?;
        }
        Ok(records)
    }

    /// Returns the hashes of one group.
    fn group(&self, level: u8, index: u64) -> Result<Rc<[Hash]>, StorageError> {
        if let Some(agreed) = self.agreed.borrow().get(&(level, index)) {
            return Ok(Rc::clone(agreed));
        }
        if level == 0 {
            self.block(index)?;
            let agreed = self.agreed.borrow().get(&(0, index)).map(Rc::clone);
            return agreed.ok_or_else(|| tampered(0, index, self.size));
        }
        let hashes = self.snapshot.stored_group(level, index * GROUP, self.count(level, index))?;
        self.agree(level, index, hashes.into())
    }

    /// Holds the hashes of a group against its parent, or against the frontier at the log's end.
    fn agree(&self, level: u8, index: u64, hashes: Rc<[Hash]>) -> Result<Rc<[Hash]>, StorageError> {
        let count = self.count(level, index);
        let is_whole = count > 0 && hashes.len() == count;
        let holds = if !is_whole {
            false
        } else if count as u64 == GROUP {
            let parents = self.group(level + GROUP_LEVEL, index / GROUP)?;
            let at = usize::try_from(index % GROUP).expect("it is below 256");
            parents.get(at) == Some(&subtree_hash(&hashes))
        } else {
            self.is_end(level, &hashes)
        };
        if !holds {
            return Err(tampered(level, index, self.size));
        }
        self.agreed.borrow_mut().insert((level, index), Rc::clone(&hashes));
        Ok(hashes)
    }

    /// Returns whether the last, incomplete group of a level makes the frontier's nodes of that level and up.
    fn is_end(&self, level: u8, hashes: &[Hash]) -> bool {
        let mut frontier = Frontier::EMPTY;
        hashes.iter().for_each(|hash| drop(frontier.push(*hash)));
        let (_, made) = frontier.to_parts();
        let below = (self.size & ((1 << level) - 1)).count_ones() as usize;
        let end = self.nodes.len() - below;
        end >= made.len() && self.nodes[end - made.len()..end] == made[..]
    }

    /// Returns the number of children of a group.
    fn count(&self, level: u8, index: u64) -> usize {
        let left = (self.size >> level).saturating_sub(index.saturating_mul(GROUP));
        usize::try_from(left.min(GROUP)).expect("it is at most 256")
    }
}

/// Names the records under a group.
fn tampered(level: u8, index: u64, size: u64) -> StorageError {
    let span = 1_u64.checked_shl(u32::from(level) + u32::from(GROUP_LEVEL)).unwrap_or(u64::MAX);
    let first = index.saturating_mul(span);
    let last = first.saturating_add(span - 1).min(size.saturating_sub(1));
    StorageError::tampered("audit", format!("{first} to {last}"))
}
