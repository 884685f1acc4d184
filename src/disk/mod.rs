//! L1. The bytes under the engine: the locked file and the backends between it and redb.
//!
//! Knows no key, no row and no record. Each backend passes the engine's lock requests on to the file below.

pub mod deferred_writes;
pub mod file;
pub mod preallocated;
pub mod read_ahead;

use std::sync::Arc;

use redb::StorageBackend;

pub use deferred_writes::DeferredWrites;
pub use preallocated::Preallocated;
pub use read_ahead::ReadAhead;

/// The medium: a file, or in the tests something that loses power.
pub type Medium = Arc<dyn StorageBackend>;
