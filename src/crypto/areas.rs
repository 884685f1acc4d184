//! Work areas of argon2: made once, reused, and wiped after each run.
//!
//! They come from the system's allocator and not from the program's, which keeps what is freed until later requests: a
//! server that nobody asks held the 64 MiB of its passphrase for ever. An area that a password needs goes back to the
//! pool, and there are as many of them as ever ran at the same time: a burst of logins from many threads would otherwise
//! leave one in each thread's arena. A larger one, of a passphrase, is not kept.

use std::sync::{Mutex, PoisonError};

use allocator_api2::{alloc::System, vec::Vec};
use argon2::Block;
use zeroize::Zeroize;

/// The smallest reservation of an area of at least a mebibyte, in blocks. The system's allocator maps what is larger
/// than 32 MiB (`DEFAULT_MMAP_THRESHOLD_MAX`, mallopt(3)) on its own, and unmaps it when it is freed, so no area ever
/// lies in a heap. Untouched pages cost nothing.
const RESERVED_BLOCKS: usize = 33 * 1024;

/// There is no memory for an area.
#[derive(Debug)]
pub(super) struct NoMemory;

type Blocks = Vec<Block, System>;

/// The idle areas.
pub(super) struct Areas {
    /// The largest area that is kept, in blocks of 1 KiB.
    kept_blocks: usize,
    idle: Mutex<std::vec::Vec<Blocks>>,
}

impl Areas {
    pub(super) const fn keeping(kept_blocks: usize) -> Self {
        Self { kept_blocks, idle: Mutex::new(std::vec::Vec::new()) }
    }

    /// Runs a derivation with an area of `blocks` blocks, and wipes it.
    ///
    /// # Errors
    /// There is no memory.
    pub(super) fn with<T>(
        &self,
        blocks: usize,
        derive: impl FnOnce(&mut [Block]) -> T,
    ) -> Result<T, NoMemory> {
        let is_kept = blocks <= self.kept_blocks;
        let idle = if is_kept { self.idle().pop() } else { None };
        let mut area = Area { blocks: idle.unwrap_or(Blocks::new_in(System)), used: blocks };
        // Reserve before touching: a process without the memory gets an error, and is not killed.
        let room = if blocks < 1024 { blocks } else { blocks.max(RESERVED_BLOCKS) };
        let missing = room.saturating_sub(area.blocks.len());
        area.blocks.try_reserve_exact(missing).map_err(|_| NoMemory)?;
        if area.blocks.len() < blocks {
            area.blocks.resize(blocks, Block::new());
        }
        let derived = derive(&mut area.blocks[..blocks]);
        area.wipe();
        if is_kept {
            self.idle().push(std::mem::replace(&mut area.blocks, Blocks::new_in(System)));
        }
        Ok(derived)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, std::vec::Vec<Blocks>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An area in use, wiped also where the derivation panics.
struct Area {
    blocks: Blocks,
    used: usize,
}

impl Area {
    fn wipe(&mut self) {
        let used = self.used.min(self.blocks.len());
        self.blocks[..used].iter_mut().for_each(Zeroize::zeroize);
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        self.wipe();
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Barrier, thread};

    use super::*;

    const KEPT: usize = 128;

    fn fill(area: &mut [Block]) -> usize {
        area.iter_mut().for_each(|block| block.as_mut().fill(u64::MAX));
        area.as_ptr() as usize
    }

    fn is_wiped(areas: &Areas) -> bool {
        areas.idle().iter().flatten().all(|block| block.as_ref().iter().all(|word| *word == 0))
    }

    #[test]
    fn any_number_of_runs_needs_no_more_areas_than_ran_at_a_time_and_each_is_wiped() {
        let areas = Areas::keeping(KEPT);
        let mut places = BTreeSet::new();
        for blocks in [128, 8, 64, 128, 8] {
            places.insert(areas.with(blocks, fill).unwrap());
            assert!(is_wiped(&areas));
        }
        assert_eq!((places.len(), areas.idle().len()), (1, 1), "one after the other, of any size");
        let together = Barrier::new(3);
        for _ in 0..20 {
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        areas.with(64, |area| {
                            together.wait();
                            fill(area)
                        })
                    });
                }
            });
            assert!(is_wiped(&areas));
        }
        assert_eq!(areas.idle().len(), 3, "60 runs on 60 threads, three at a time");
    }

    #[test]
    fn an_area_of_a_passphrase_is_not_kept_and_one_of_a_failed_run_is_wiped() {
        let areas = Areas::keeping(KEPT);
        areas.with(KEPT + 1, fill).unwrap();
        assert!(areas.idle().is_empty());
        let failed = areas.with(64, |area| {
            fill(area);
            Err::<(), _>("a failure")
        });
        assert!(failed.unwrap().is_err() && areas.idle().len() == 1 && is_wiped(&areas));
        assert!(areas.with(usize::MAX / 4096, |area| area.len()).is_err(), "no memory");
    }
}
