//! L1. The bytes under the engine: the locked file and the backends between it and redb.
//!
//! Knows no key, no row and no record. Each backend forwards the engine's lock requests to the one below.

mod deferred_writes;
mod error;
mod file;
mod held_file;
mod kept;
mod lock;
mod new_name;
mod path;
mod preallocated;
mod private_file;
mod read_ahead;
mod replacement;
mod rollback;
mod turn;
mod unfinished;
mod watched;

use std::sync::Arc;

use redb::StorageBackend;

pub use deferred_writes::DeferredWrites;
pub use error::FileError;
pub use file::{DataFile, NewFile, scratch, sweep, unnamed};
pub use held_file::{Displaced, HeldFile};
pub use kept::{COPIES_MAX, kept_copy, newest_kept_copy};
pub use lock::Locking;
pub use new_name::rename_new;
pub use path::{UNFINISHED, beside, resolved};
pub use preallocated::Preallocated;
pub use private_file::{read_private, replace_private};
pub use read_ahead::ReadAhead;
pub use replacement::{Replacement, copy};
pub use rollback::Rollback;
pub use turn::take_turn;
pub use unfinished::{claim, sweep_unclaimed};
pub use watched::{Calls, Watched};

/// The medium of an engine: a file, or in tests a disk that loses power.
pub type Medium = Arc<dyn StorageBackend>;

/// The length of redb's header, to which every commit writes: magic number and two commit slots of 128 bytes each
/// (redb, `docs/design.md`, "Database header").
const HEADER_BYTES: usize = 320;

/// Forwards the engine's lock requests to the medium below, within `impl StorageBackend`.
macro_rules! forward_locks {
    ($medium:ident) => {
        fn try_lock_range(
            &self,
            start: std::ops::Bound<u64>,
            end: std::ops::Bound<u64>,
        ) -> Result<bool, redb::BackendError> {
            self.$medium.try_lock_range(start, end)
        }

        fn try_lock_shared_range(
            &self,
            start: std::ops::Bound<u64>,
            end: std::ops::Bound<u64>,
        ) -> Result<bool, redb::BackendError> {
            self.$medium.try_lock_shared_range(start, end)
        }

        fn lock_range(
            &self,
            start: std::ops::Bound<u64>,
            end: std::ops::Bound<u64>,
        ) -> Result<(), redb::BackendError> {
            self.$medium.lock_range(start, end)
        }

        fn lock_shared_range(
            &self,
            start: std::ops::Bound<u64>,
            end: std::ops::Bound<u64>,
        ) -> Result<(), redb::BackendError> {
            self.$medium.lock_shared_range(start, end)
        }

        fn unlock_range(
            &self,
            start: std::ops::Bound<u64>,
            end: std::ops::Bound<u64>,
        ) -> Result<(), redb::BackendError> {
            self.$medium.unlock_range(start, end)
        }

        fn query_lock_range(
            &self,
            start: std::ops::Bound<u64>,
            end: std::ops::Bound<u64>,
        ) -> Result<bool, redb::BackendError> {
            self.$medium.query_lock_range(start, end)
        }
    };
}
pub(crate) use forward_locks;
