//! What views are made of: the engine, the keys, and what the writer shares with readers.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{access::LastAccess, cache::Generation, engine::Engine, tables::Table};
use crate::{crypto::keys::Keys, domain::FileId};

/// Rows of the batch's earlier jobs, sealed; `None` is deleted.
pub(super) type Overlay = BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>;

/// Counts the commits that changed state: even while none is under way.
#[derive(Debug, Default)]
pub(super) struct StateClock(AtomicU64);

impl StateClock {
    pub(super) fn read(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// From here until [`StateClock::settle`] nobody can tell which state a snapshot shows.
    pub(super) fn unsettle(&self) {
        self.0.fetch_or(1, Ordering::AcqRel);
    }

    pub(super) fn settle(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// What views are made of.
pub(super) struct Source {
    /// Tells the vaults of one process apart.
    pub(super) vault: u64,
    pub(super) engine: Arc<Engine>,
    pub(super) keys: Keys,
    pub(super) file: FileId,
    pub(super) state: StateClock,
    pub(super) accesses: Accesses,
}

impl Source {
    /// The state by now; while a commit that changes it is under way, its number is odd.
    pub(super) fn generation(&self) -> Generation {
        Generation { vault: self.vault, number: self.state.read() }
    }
}

/// Last accesses that are committed to the log and not yet to their table, by id.
#[derive(Default)]
pub(super) struct Accesses(Mutex<BTreeMap<[u8; 16], LastAccess>>);

impl Accesses {
    pub(super) fn take_in(&self, accesses: impl IntoIterator<Item = LastAccess>) {
        self.lock().extend(accesses.into_iter().map(|access| (access.id, access)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(super) fn all(&self) -> Vec<LastAccess> {
        self.lock().values().cloned().collect()
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    pub(super) fn of(&self, id: &[u8; 16]) -> Option<LastAccess> {
        self.lock().get(id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<[u8; 16], LastAccess>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
