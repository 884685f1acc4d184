//! A per-thread cache of opened rows, valid between two changes of state.
//!
//! Each thread has its own, so no request waits for another. A cache is valid for one [`Generation`] of one vault.
//! Every commit that changes state begins a new generation; a commit that only records reads does not. A cache holds
//! rows and sealed credentials, never an opened credential.

use std::{any::Any, cell::RefCell, collections::HashMap, sync::Arc};

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

thread_local! {
    static CACHE: RefCell<Option<Cache>> = const { RefCell::new(None) };
}

/// Returns this thread's cached row: `None` if it is not cached, `Some(None)` if it is known not to exist.
pub(in crate::storage) fn get<T: Send + Sync + 'static>(
    generation: Generation,
    table: Table,
    key: &[u8],
) -> Option<Option<Arc<T>>> {
    CACHE.with_borrow(|cache| {
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
    CACHE.with_borrow_mut(|slot| {
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
