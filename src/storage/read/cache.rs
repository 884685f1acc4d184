//! A per-thread cache of opened rows, valid between two changes of state.
//!
//! Each thread has its own, so no request waits for another. A cache is valid for one [`Generation`] of one vault.
//! Every commit that changes state begins a new generation; a commit that only records reads does not. A cache holds
//! rows and sealed credentials, never an opened credential. A lock empties all of them.

use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use crate::storage::format::tables::Table;

/// The largest cache of one thread, by the size of the sealed rows in bytes; a full cache is cleared.
const BYTES_MAX: usize = 2 << 20;

/// The generation of an unlocked vault's state: two reads of the same generation see the same state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation {
    /// Identifies the vault within this process.
    pub(in crate::storage) vault: u64,
    /// Counts the commits that changed state.
    pub(in crate::storage) number: u64,
}

type Entry = Option<Arc<dyn Any + Send + Sync>>;

struct Cache {
    generation: Generation,
    bytes: usize,
    /// By table, then key: a look-up allocates nothing.
    rows: [HashMap<Vec<u8>, Entry>; Table::COUNT],
}

type Shared = Mutex<Option<Cache>>;

/// The cache of each thread, for [`forget`]; only its own thread reads one, so that no lock ever waits.
static ALL: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

thread_local! {
    static CACHE: Arc<Shared> = {
        let cache = Arc::default();
        let mut all = locked(&ALL);
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(&cache));
        cache
    };
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Drops what every thread has cached of a vault that is being locked.
pub(in crate::storage) fn forget(vault: u64) {
    for cache in locked(&ALL).iter().filter_map(Weak::upgrade) {
        let mut cache = locked(&cache);
        if cache.as_ref().is_some_and(|cache| cache.generation.vault == vault) {
            *cache = None;
        }
    }
}

/// Returns this thread's cached row: `None` if it is not cached, `Some(None)` if it is known not to exist.
pub(in crate::storage) fn get<T: Send + Sync + 'static>(
    generation: Generation,
    table: Table,
    key: &[u8],
) -> Option<Option<Arc<T>>> {
    CACHE.with(|cache| {
        let cache = locked(cache);
        let cache = cache.as_ref().filter(|cache| cache.generation == generation)?;
        match cache.rows[usize::from(table.number())].get(key)? {
            None => Some(None),
            Some(row) => Arc::clone(row).downcast().ok().map(Some),
        }
    })
}

/// Caches a row of that generation.
pub(in crate::storage) fn put<T: Send + Sync + 'static>(
    generation: Generation,
    table: Table,
    key: &[u8],
    row: Option<&Arc<T>>,
    bytes: usize,
) {
    CACHE.with(|cache| {
        let mut slot = locked(cache);
        let fresh = || Cache { generation, bytes: 0, rows: Default::default() };
        let cache = slot.get_or_insert_with(fresh);
        if cache.generation != generation || cache.bytes > BYTES_MAX {
            *cache = fresh();
        }
        cache.bytes += bytes + key.len() + 128;
        let row = row.map(|row| Arc::clone(row) as Arc<dyn Any + Send + Sync>);
        cache.rows[usize::from(table.number())].insert(key.to_vec(), row);
    });
}
