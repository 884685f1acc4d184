//! The time and the memory of this host, for an examination.

use super::memory;
use crate::{clock::Clock, storage::Surroundings};

/// Returns what an examination compares a file with.
pub(super) fn surroundings() -> Surroundings {
    Surroundings {
        now: Clock::system().now(),
        memory_bytes: memory::free_kib().map(|kib| kib.saturating_mul(1024)),
    }
}
