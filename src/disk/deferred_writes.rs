//! A backend that defers writes in memory until the file has been verified.

use std::{
    collections::BTreeMap,
    fmt, io, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use redb::StorageBackend;

use super::Medium;

/// The unit of deferred writes, in bytes.
const PAGE: u64 = 4096;

/// A backend over a medium, held or released. Held, it defers every write in memory, so that verifying a file or trying
/// a wrong passphrase changes none of its bytes. Released, it first replays the deferred writes in order, syncs
/// included, so that a power cut in the middle leaves a file that redb can recover.
#[derive(Clone)]
pub struct DeferredWrites {
    medium: Medium,
    /// Set once nothing is held: from then on reads and writes take no lock.
    open: Arc<AtomicBool>,
    held: Arc<Mutex<Option<Held>>>,
}

#[derive(Default)]
struct Held {
    len: u64,
    /// The medium's length, constant while writes are held.
    medium_len: u64,
    pages: BTreeMap<u64, Vec<u8>>,
    journal: Vec<Step>,
}

enum Step {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

impl DeferredWrites {
    /// Passes every write through to the medium.
    pub fn open(medium: Medium) -> Self {
        Self { medium, open: Arc::new(AtomicBool::new(true)), held: Arc::default() }
    }

    /// Defers every write until [`DeferredWrites::release`].
    pub fn held(medium: Medium) -> io::Result<Self> {
        let len = medium.len()?;
        let held = Held { len, medium_len: len, ..Held::default() };
        Ok(Self { medium, open: Arc::default(), held: Arc::new(Mutex::new(Some(held))) })
    }

    /// Replays the deferred writes in order, and passes later writes through.
    ///
    /// # Errors
    /// The medium refuses. Writes stay deferred, and the file is as after a power cut: reopen it.
    pub fn release(&self) -> io::Result<()> {
        let mut guard = self.lock();
        let Some(held) = guard.as_ref() else { return Ok(()) };
        for step in &held.journal {
            match step {
                Step::Write(offset, data) => self.medium.write(*offset, data),
                Step::SetLen(len) => self.medium.set_len(*len),
                Step::Sync => self.medium.sync_data(),
            }?;
        }
        *guard = None;
        self.open.store(true, Ordering::Release);
        Ok(())
    }

    /// Returns whether writes are deferred.
    pub fn is_held(&self) -> bool {
        !self.is_open()
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    fn either<T>(
        &self,
        held: impl FnOnce(&mut Held, &Medium) -> io::Result<T>,
        through: impl FnOnce(&Medium) -> io::Result<T>,
    ) -> io::Result<T> {
        if self.is_open() {
            return through(&self.medium);
        }
        match self.lock().as_mut() {
            Some(kept) => held(kept, &self.medium),
            None => through(&self.medium),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn write(&mut self, medium: &Medium, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut at = offset;
        let mut rest = data;
        while !rest.is_empty() {
            let within = usize::try_from(at % PAGE).expect("a page offset fits");
            let (now, later) = rest.split_at(rest.len().min(4096 - within));
            let page = self.page(medium, at / PAGE)?;
            page[within..within + now.len()].copy_from_slice(now);
            at += now.len() as u64;
            rest = later;
        }
        self.journal.push(Step::Write(offset, data.to_vec()));
        Ok(())
    }

    fn page(&mut self, medium: &Medium, number: u64) -> Result<&mut Vec<u8>, io::Error> {
        use std::collections::btree_map::Entry;
        match self.pages.entry(number) {
            Entry::Occupied(page) => Ok(page.into_mut()),
            Entry::Vacant(slot) => Ok(slot.insert(medium_page(medium, number)?)),
        }
    }

    fn read(&self, medium: &Medium, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let end = offset.saturating_add(out.len() as u64);
        if end > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if end <= self.medium_len && self.pages.range(offset / PAGE..end.div_ceil(PAGE)).next().is_none() {
            return medium.read(offset, out);
        }
        let mut at = offset;
        let mut rest = out;
        while !rest.is_empty() {
            let within = usize::try_from(at % PAGE).expect("a page offset fits");
            let step = rest.len().min(4096 - within);
            let (now, later) = mem::take(&mut rest).split_at_mut(step);
            match self.pages.get(&(at / PAGE)) {
                Some(page) => now.copy_from_slice(&page[within..within + step]),
                None => now.copy_from_slice(&medium_page(medium, at / PAGE)?[within..within + step]),
            }
            at += step as u64;
            rest = later;
        }
        Ok(())
    }

    #[allow(clippy::unnecessary_wraps, reason = "the shape of every other step")]
    fn sync(&mut self) -> io::Result<()> {
        self.journal.push(Step::Sync);
        Ok(())
    }

    #[allow(clippy::unnecessary_wraps, reason = "the shape of every other step")]
    fn set_len(&mut self, len: u64) -> io::Result<()> {
        if len < self.len {
            self.pages.retain(|number, _| number * PAGE < len);
        }
        self.len = len;
        self.journal.push(Step::SetLen(len));
        Ok(())
    }
}

/// Reads one page of the medium; bytes past its end read as zeros.
fn medium_page(medium: &Medium, number: u64) -> Result<Vec<u8>, io::Error> {
    let mut page = vec![0; 4096];
    let there = medium.len()?.saturating_sub(number * PAGE).min(PAGE);
    medium.read(number * PAGE, &mut page[..usize::try_from(there).expect("at most a page")])?;
    Ok(page)
}

impl fmt::Debug for DeferredWrites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeferredWrites").finish_non_exhaustive()
    }
}

impl StorageBackend for DeferredWrites {
    super::forward_locks!(medium);

    fn len(&self) -> Result<u64, io::Error> {
        self.either(|held, _| Ok(held.len), |medium| medium.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        if self.is_open() {
            return self.medium.read(offset, out);
        }
        match self.lock().as_ref() {
            Some(held) => held.read(&self.medium, offset, out),
            None => self.medium.read(offset, out),
        }
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.either(|held, _| held.set_len(len), |medium| medium.set_len(len))
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.either(|held, _| held.sync(), |medium| medium.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.either(|held, medium| held.write(medium, offset, data), |medium| medium.write(offset, data))
    }
}
