//! A medium for one sequential read, read ahead in windows.
//!
//! The pages of a log lie mostly in the order in which they were written. redb asks for one page of 4,096 bytes at a
//! time, and the system call costs more than the copy. Pages elsewhere are read one by one.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use redb::StorageBackend;

use super::Medium;

/// The window's size in bytes: it fits into a core's own cache, and makes the cost of the system call negligible.
const WINDOW: usize = 128 << 10;

/// A read-only medium whose sequential reads come from a window. The medium below must not change meanwhile.
#[derive(Debug)]
pub struct ReadAhead {
    medium: Medium,
    len: u64,
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    start: u64,
    bytes: Vec<u8>,
    /// The end of the last read.
    last: u64,
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Window").finish_non_exhaustive()
    }
}

impl ReadAhead {
    /// Wraps a medium.
    pub fn new(medium: Medium) -> io::Result<Self> {
        let len = medium.len()?;
        Ok(Self { medium, len, window: Mutex::default() })
    }
}

impl Window {
    fn get(&self, offset: u64, length: usize) -> Option<&[u8]> {
        let start = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(start..start.checked_add(length)?)
    }

    /// Returns whether `offset` follows the last read, with a gap of less than one window.
    fn is_next(&self, offset: u64) -> bool {
        offset.checked_sub(self.last).is_some_and(|gap| gap < WINDOW as u64)
    }

    fn fill(&mut self, medium: &Medium, offset: u64, length: usize) -> io::Result<()> {
        self.bytes.resize(length, 0);
        self.start = offset;
        medium.read(offset, &mut self.bytes).inspect_err(|_| self.bytes.clear())
    }
}

impl StorageBackend for ReadAhead {
    super::forward_locks!(medium);

    fn len(&self) -> Result<u64, io::Error> {
        self.medium.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(WINDOW).min(WINDOW);
        if window.get(offset, out.len()).is_none() && window.is_next(offset) && out.len() <= ahead {
            window.fill(&self.medium, offset, ahead)?;
        }
        window.last = offset.saturating_add(out.len() as u64);
        match window.get(offset, out.len()) {
            Some(bytes) => out.copy_from_slice(bytes),
            None => self.medium.read(offset, out)?,
        }
        Ok(())
    }

    fn set_len(&self, _: u64) -> Result<(), io::Error> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn write(&self, _: u64, _: &[u8]) -> Result<(), io::Error> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use redb::backends::InMemoryBackend;

    use super::*;

    proptest! {
        #[test]
        fn it_reads_what_the_medium_has(
            bytes in prop::collection::vec(any::<u8>(), 300_000..310_000),
            steps in prop::collection::vec((any::<bool>(), 0_u64..320_000, 1_usize..9_000), 1..60),
        ) {
            let medium = InMemoryBackend::new();
            medium.set_len(bytes.len() as u64).unwrap();
            medium.write(0, &bytes).unwrap();
            let ahead = ReadAhead::new(Arc::new(medium)).unwrap();
            let mut next = 0;
            for (elsewhere, offset, length) in steps {
                let offset = if elsewhere { offset } else { next };
                let mut out = vec![0; length];
                let wanted = bytes.get(usize::try_from(offset).unwrap()..).and_then(|rest| rest.get(..length));
                let read = ahead.read(offset, &mut out);
                prop_assert_eq!(read.ok().map(|()| &out[..]), wanted);
                next = offset + length as u64;
            }
        }
    }
}
