//! An in-memory disk that records every call, and fails the calls that a test selects.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use sealroom::disk::{Medium, Preallocated};

use super::{
    journal::{Image, Op},
    rng::Rng,
};

const PAGE: usize = 4096;
/// Small, so that a run fills many pieces.
const PIECE_BYTES: u64 = 16 * 1024;

/// The calls that fail, counted from 1 over writes, lengths and syncs.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub first: usize,
    pub last: usize,
    pub seed: u64,
}

/// A disk as one process sees it. Clones are the same disk and process; the number identifies the process.
#[derive(Debug, Clone)]
pub struct Disk(Arc<Mutex<State>>, usize);

#[derive(Debug)]
struct State {
    base: Arc<Vec<u8>>,
    pages: HashMap<usize, Box<[u8; PAGE]>>,
    len: u64,
    journal: Vec<Op>,
    fault: Option<Fault>,
    calls: usize,
    hit: usize,
    processes: usize,
}

impl Disk {
    /// Creates a disk that holds a file; writes do not change `base`.
    pub fn new(base: Arc<Vec<u8>>) -> Self {
        let len = base.len() as u64;
        let (pages, journal) = (HashMap::new(), Vec::new());
        let state = State { base, pages, len, journal, fault: None, calls: 0, hit: 0, processes: 0 };
        Self(Arc::new(Mutex::new(state)), 0)
    }

    /// Returns the disk as a vault sees it, preallocated like a data file.
    pub fn medium(&self) -> Medium {
        Arc::new(Preallocated::new(Arc::new(self.clone()), PIECE_BYTES, || true).unwrap())
    }

    /// Kills the process that holds the disk, as `kill -9` does: its later calls fail. Returns the disk as the next
    /// process sees it.
    pub fn kill(&self) -> Self {
        let mut state = self.state();
        state.processes += 1;
        Self(Arc::clone(&self.0), state.processes)
    }

    fn process(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state();
        if self.1 == state.processes { Ok(state) } else { Err(io::Error::other("this process is dead")) }
    }

    /// Returns the disk after a power cut, which keeps some of the writes that were not synced.
    pub fn cut(base: Arc<Vec<u8>>, pending: &[Op], rng: &mut Rng) -> Self {
        let this = Self::new(base);
        super::journal::cut(&mut *this.state(), pending, rng);
        this
    }

    /// Copies the file to a disk of its own, with an empty journal.
    pub fn fork(&self) -> Self {
        let state = self.state();
        let this = Self::new(Arc::clone(&state.base));
        let mut fork = this.state();
        (fork.pages, fork.len) = (state.pages.clone(), state.len);
        drop(fork);
        this
    }

    /// Replays another disk's calls up to a power cut.
    pub fn replay_and_cut(&self, ops: &[Op], rng: &mut Rng) {
        let synced = ops.iter().rposition(|op| matches!(op, Op::Sync)).unwrap_or(0);
        let (done, pending) = ops.split_at(synced);
        let mut state = self.state();
        for op in done {
            match op {
                Op::Write(offset, data) => {
                    state.len = state.len.max(offset + data.len() as u64);
                    state.put(*offset, data);
                }
                Op::SetLen(len) => state.set_length(*len),
                Op::Sync | Op::FailedSync(_) | Op::Acknowledged(_) => {}
            }
        }
        super::journal::cut(&mut *state, pending, rng);
    }

    pub fn set_fault(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    /// Returns the number of calls that failed.
    pub fn hit(&self) -> usize {
        self.state().hit
    }

    /// Returns the number of calls.
    pub fn calls(&self) -> usize {
        self.state().calls
    }

    /// Records an answer in the journal.
    pub fn acknowledge(&self, records: u64) {
        self.state().journal.push(Op::Acknowledged(records));
    }

    /// Returns the journal so far and begins a new one.
    pub fn take_journal(&self) -> Vec<Op> {
        std::mem::take(&mut self.state().journal)
    }

    pub fn with_journal<T>(&self, see: impl FnOnce(&[Op]) -> T) -> T {
        see(&self.state().journal)
    }

    /// Returns the whole file as a process sees it.
    pub fn image(&self) -> Vec<u8> {
        let state = self.state();
        let mut image = vec![0; state.len as usize];
        state.read(0, &mut image);
        image
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn read(&self, offset: u64, out: &mut [u8]) {
        let (mut at, mut done) = (offset as usize, 0);
        while done < out.len() {
            let within = at % PAGE;
            let step = (PAGE - within).min(out.len() - done);
            let to = &mut out[done..done + step];
            match self.pages.get(&(at / PAGE)) {
                Some(page) => to.copy_from_slice(&page[within..within + step]),
                None => base(&self.base, at, to),
            }
            (at, done) = (at + step, done + step);
        }
    }

    /// Counts a call. If it is to fail, returns the error, and a generator that decides how much of a write remains.
    fn call(&mut self) -> Option<(io::Error, Rng)> {
        self.calls += 1;
        let fault = self.fault.filter(|fault| (fault.first..=fault.last).contains(&self.calls))?;
        self.hit += 1;
        let mut rng = Rng::new(&[fault.seed, self.calls as u64]);
        // EIO and ENOSPC.
        let error = io::Error::from_raw_os_error(if rng.one_in(2) { 5 } else { 28 });
        Some((error, rng))
    }
}

impl Image for State {
    fn set_length(&mut self, len: u64) {
        if len < self.len {
            self.pages.retain(|number, _| ((number * PAGE) as u64) < len);
            // A file that grows back reads as zeros there.
            let within = len as usize % PAGE;
            if within > 0 {
                self.page(len as usize / PAGE)[within..].fill(0);
            }
            for number in (len as usize).div_ceil(PAGE)..(self.base.len()).div_ceil(PAGE) {
                self.pages.insert(number, Box::new([0; PAGE]));
            }
        }
        self.len = len;
    }

    fn length(&self) -> u64 {
        self.len
    }

    fn put(&mut self, offset: u64, data: &[u8]) {
        let (mut at, mut done) = (offset as usize, 0);
        while done < data.len() {
            let within = at % PAGE;
            let step = (PAGE - within).min(data.len() - done);
            self.page(at / PAGE)[within..within + step].copy_from_slice(&data[done..done + step]);
            (at, done) = (at + step, done + step);
        }
    }
}

impl State {
    fn page(&mut self, number: usize) -> &mut [u8; PAGE] {
        let whole = &self.base;
        self.pages.entry(number).or_insert_with(|| {
            let mut page = Box::new([0; PAGE]);
            base(whole, number * PAGE, &mut page[..]);
            page
        })
    }
}

/// Reads from the base; zeros past its end.
fn base(whole: &[u8], at: usize, to: &mut [u8]) {
    let there = whole.len().saturating_sub(at).min(to.len());
    to[..there].copy_from_slice(whole.get(at..at + there).unwrap_or_default());
    to[there..].fill(0);
}

impl redb::StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.process()?.len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.process()?;
        if offset + out.len() as u64 > state.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        state.read(offset, out);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.process()?;
        if let Some((error, _)) = state.call() {
            return Err(error);
        }
        state.set_length(len);
        state.journal.push(Op::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.process()?;
        if let Some((error, mut rng)) = state.call() {
            let seed = rng.next();
            state.journal.push(Op::FailedSync(seed));
            return Err(error);
        }
        state.journal.push(Op::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.process()?;
        let failed = state.call();
        let there = match &failed {
            // A short write: a part of it remains, or nothing.
            Some((_, rng)) => &data[..rng.clone().below(data.len() + 1)],
            None => data,
        };
        if !there.is_empty() {
            let end = offset + there.len() as u64;
            state.len = state.len.max(end);
            state.put(offset, there);
            state.journal.push(Op::Write(offset, there.into()));
        }
        failed.map_or(Ok(()), |(error, _)| Err(error))
    }
}
