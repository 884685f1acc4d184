//! Rows that a read needs, kept open between two changes.
//!
//! One cache a thread, so that no request waits for another. A cache is good for one generation of one vault: any
//! commit that changes state begins a new generation, while reads alone begin none. It holds rows and sealed
//! credentials, never an opened credential.

use std::{any::Any, cell::RefCell, collections::HashMap, sync::Arc};

use crate::storage::format::tables::Table;

/// The most that one thread keeps, by the size of the sealed rows; then it starts again from nothing.
const BYTES_MAX: usize = 2 << 20;

/// One state of the rows of one unlocked vault: where it is the same, so is everything that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation {
    /// Tells the vaults of one process apart.
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

/// What this thread knows of a row: `None` is nothing, `Some(None)` is that there is no such row.
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

/// Remembers a row of that generation.
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
