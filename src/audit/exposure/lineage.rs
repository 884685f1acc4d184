//! The revisions of one integration, and which of them have the same value.

use crate::domain::Integration;

/// The revisions whose value a rollback could still bring back. A value is named by its root, the revision that stored
/// it.
#[derive(Debug, Clone, Default)]
pub(super) struct Lineage {
    /// The current revision; `None` until a record states it.
    pub(super) current: Option<u64>,
    /// The oldest revision whose origin the records state.
    known_from: Option<u64>,
    /// Revisions that a rollback made, with their roots.
    equal: Vec<(u64, u64)>,
}

impl Lineage {
    /// Returns the root of a revision.
    pub(super) fn root(&self, revision: u64) -> u64 {
        self.equal.iter().find(|(equal, _)| *equal == revision).map_or(revision, |(_, root)| *root)
    }

    /// Returns the root of the current value.
    pub(super) fn live(&self) -> Option<u64> {
        self.current.map(|current| self.root(current))
    }

    /// Returns whether only archived records tell if a revision has the current value: the origin of neither is on
    /// record, and a rollback may have made one of the other.
    pub(super) fn is_unclear(&self, revision: u64) -> bool {
        let is_older = |root: u64| self.known_from.is_none_or(|known| root < known);
        let root = self.root(revision);
        self.live().is_some_and(|live| live != root && is_older(live) && is_older(root))
    }

    /// Returns whether the file still keeps a revision with that value.
    pub(super) fn keeps(&self, root: u64) -> bool {
        let Some(current) = self.current else { return true };
        let oldest = current.saturating_sub(Integration::KEPT_MAX as u64 - 1).max(1);
        (oldest..=current).any(|revision| self.root(revision) == root)
    }

    /// Takes in a new value.
    pub(super) fn store(&mut self, revision: u64) {
        self.known_from.get_or_insert(revision);
        self.go_on(revision);
    }

    /// Takes in a rollback.
    pub(super) fn roll_back(&mut self, revision: u64, from: u64) {
        let root = self.root(from);
        self.known_from.get_or_insert(revision);
        self.equal.push((revision, root));
        self.go_on(revision);
    }

    /// Takes in a record that states the current revision.
    pub(super) fn state(&mut self, revision: u64) {
        self.current.get_or_insert(revision);
    }

    fn go_on(&mut self, revision: u64) {
        self.current = Some(revision);
        let kept = self.equal.iter().copied().filter(|(_, root)| self.keeps(*root)).collect();
        self.equal = kept;
    }
}
