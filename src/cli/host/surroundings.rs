//! The time and the memory of this host, for an examination.

use super::memory::free_kib;
use crate::{clock::Clock, storage::Surroundings};

/// Returns what an examination compares a file with.
pub(super) fn surroundings() -> Surroundings {
    let memory_bytes = free_kib().and_then(|kib| kib.checked_mul(1024));
    Surroundings { now: Clock::system().now(), memory_bytes }
}
