//! Two readers of one file that does not change: the leader examines it, the follower gets the pages that have proven
//! themselves.
//!
//! redb judges a page's checksum before it asks for the next page, and stops at the first that is wrong. So what was
//! read before the newest read has held. Were that ever otherwise, the follower would see a page too early, but no
//! verdict would change: it is given only once the leader has come to its end.

use std::{
    io,
    ops::{Bound, Range},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use redb::{BackendError, StorageBackend};

use crate::disk::Medium;

/// What the leader and the follower share: a bit for each page.
#[derive(Debug)]
pub(super) struct Proven {
    pages: Vec<AtomicU64>,
    walk: Mutex<Walk>,
    news: Condvar,
    /// The leader proves no more pages.
    ended: AtomicBool,
}

#[derive(Debug, Default)]
struct Walk {
    /// What was asked for last.
    last: Range<u64>,
    /// Whether the follower waits.
    awaited: bool,
}

/// The unit of the bits; no page of redb's is smaller.
const PAGE: u64 = 4096;

impl Proven {
    /// Of a file so many bytes long, nothing yet.
    pub(super) fn none(bytes: u64) -> Arc<Self> {
        let words = usize::try_from(bytes.div_ceil(PAGE).div_ceil(64)).unwrap_or(0);
        Arc::new(Self {
            pages: std::iter::repeat_with(AtomicU64::default).take(words).collect(),
            walk: Mutex::default(),
            news: Condvar::new(),
            ended: AtomicBool::new(false),
        })
    }

    /// All that was read has held, and no more will be proven.
    pub(super) fn complete(&self) {
        let mut walk = self.walk();
        self.prove(&std::mem::take(&mut walk.last));
        self.end(walk);
    }

    /// Something has not held: what was not proven by now never will be.
    pub(super) fn break_off(&self) {
        self.end(self.walk());
    }

    fn end(&self, walk: MutexGuard<'_, Walk>) {
        self.ended.store(true, Ordering::Release);
        drop(walk);
        self.news.notify_all();
    }

    /// The leader asks for these pages next.
    fn asked(&self, pages: Range<u64>) {
        if self.ended.load(Ordering::Acquire) {
            return;
        }
        let mut walk = self.walk();
        if walk.last != pages {
            let before = std::mem::replace(&mut walk.last, pages);
            self.prove(&before);
        }
        if std::mem::take(&mut walk.awaited) {
            self.news.notify_all();
        }
    }

    fn prove(&self, pages: &Range<u64>) {
        for page in pages.clone() {
            if let Some(word) = self.word(page) {
                word.fetch_or(1 << (page % 64), Ordering::Release);
            }
        }
    }

    fn holds(&self, pages: &Range<u64>) -> bool {
        let is_set = |word: &AtomicU64, page: u64| word.load(Ordering::Acquire) & (1 << (page % 64)) != 0;
        pages.clone().all(|page| self.word(page).is_some_and(|word| is_set(word, page)))
    }

    fn word(&self, page: u64) -> Option<&AtomicU64> {
        self.pages.get(usize::try_from(page / 64).ok()?)
    }

    /// Waits until these pages have held.
    fn wait(&self, pages: &Range<u64>) -> io::Result<()> {
        if self.holds(pages) {
            return Ok(());
        }
        let mut walk = self.walk();
        loop {
            if self.holds(pages) {
                return Ok(());
            }
            if self.ended.load(Ordering::Acquire) {
                return Err(io::Error::other("a page that was not examined"));
            }
            walk.awaited = true;
            walk = self.news.wait(walk).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn walk(&self) -> MutexGuard<'_, Walk> {
        self.walk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pages(offset: u64, bytes: usize) -> Range<u64> {
    offset / PAGE..offset.saturating_add(bytes as u64).div_ceil(PAGE)
}

/// The medium of whoever examines the file; when it is dropped, nothing more is proven.
#[derive(Debug)]
pub(super) struct Leader {
    pub(super) medium: Medium,
    pub(super) proven: Arc<Proven>,
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.proven.break_off();
    }
}

/// The medium of whoever comes behind. Nobody else has the file open: its locks are those of one process alone.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) medium: Medium,
    pub(super) proven: Arc<Proven>,
}

fn refused<T>() -> Result<T, io::Error> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl StorageBackend for Leader {
    fn len(&self) -> Result<u64, io::Error> {
        self.medium.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.proven.asked(pages(offset, out.len()));
        self.medium.read(offset, out)
    }

    fn set_len(&self, _: u64) -> Result<(), io::Error> {
        refused()
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        refused()
    }

    fn write(&self, _: u64, _: &[u8]) -> Result<(), io::Error> {
        refused()
    }
}

impl StorageBackend for Follower {
    fn len(&self) -> Result<u64, io::Error> {
        self.medium.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.proven.wait(&pages(offset, out.len()))?;
        self.medium.read(offset, out)
    }

    fn set_len(&self, _: u64) -> Result<(), io::Error> {
        refused()
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        refused()
    }

    fn write(&self, _: u64, _: &[u8]) -> Result<(), io::Error> {
        refused()
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;

    fn pair() -> (Leader, Follower) {
        let medium = InMemoryBackend::new();
        medium.set_len(8 * PAGE).unwrap();
        let (medium, proven): (Medium, _) = (Arc::new(medium), Proven::none(8 * PAGE));
        (Leader { medium: medium.clone(), proven: proven.clone() }, Follower { medium, proven })
    }

    fn read(medium: &dyn StorageBackend, page: u64) -> io::Result<()> {
        medium.read(page * PAGE, &mut [0; 4096])
    }

    #[test]
    fn a_page_has_held_once_the_next_one_is_asked_for() {
        let (leader, follower) = pair();
        for page in [3, 3, 5] {
            assert!(!follower.proven.holds(&(3..4)));
            read(&leader, page).unwrap();
        }
        read(&follower, 3).unwrap();
        std::thread::scope(|scope| {
            let behind = scope.spawn(|| read(&follower, 5));
            read(&leader, 6).unwrap();
            behind.join().unwrap().unwrap();
        });
    }

    #[test]
    fn the_page_at_which_the_leader_stops_never_holds() {
        let (leader, follower) = pair();
        read(&leader, 1).unwrap();
        read(&leader, 2).unwrap();
        std::thread::scope(|scope| {
            let behind = scope.spawn(|| read(&follower, 2));
            drop(leader);
            behind.join().unwrap().unwrap_err();
        });
        read(&follower, 1).unwrap();
    }

    #[test]
    fn what_is_read_after_the_checksums_were_examined_does_not_count() {
        let (leader, follower) = pair();
        read(&leader, 1).unwrap();
        leader.proven.complete();
        read(&leader, 2).unwrap();
        read(&leader, 3).unwrap();
        read(&follower, 1).unwrap();
        read(&follower, 2).unwrap_err();
    }
}
