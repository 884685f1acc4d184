//! A backend that undoes what the last sync did not make durable, once a call fails.
//!
//! After a failed sync Linux takes the pages for clean: the page cache shows the commit whole, the disk may lack parts
//! of it, and a second sync succeeds without writing them. redb writes copy-on-write: the header names one commit, and
//! no page of that commit changes before a sync has made the next one durable. So the header as of the last sync is
//! enough to go back: it returns to the file before anything else is written or read.

use std::{
    fmt, io,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use redb::StorageBackend;

use super::{HEADER_BYTES, Medium};

/// A medium whose header returns to its last synced state after a write, sync or change of length that failed. Until the
/// header is durable again, reads see it and every further write fails.
pub struct Rollback {
    medium: Medium,
    headers: Mutex<Headers>,
    /// Set after a failure, until the header is durable again.
    failed: AtomicBool,
}

type Header = [u8; HEADER_BYTES];

struct Headers {
    written: Header,
    synced: Header,
}

impl Rollback {
    /// Wraps a medium, whose header so far counts as synced.
    ///
    /// # Errors
    /// The medium cannot be read.
    pub fn new(medium: Medium) -> io::Result<Self> {
        let mut header = [0; HEADER_BYTES];
        let there = usize::try_from(medium.len()?).map_or(HEADER_BYTES, |len| len.min(HEADER_BYTES));
        medium.read(0, &mut header[..there])?;
        let headers = Mutex::new(Headers { written: header, synced: header });
        Ok(Self { medium, headers, failed: AtomicBool::new(false) })
    }

    /// Writes through `write`, which may change the header, once an earlier failure is undone.
    fn write_through(
        &self,
        write: impl FnOnce(&Medium) -> io::Result<()>,
        change: impl FnOnce(&mut Header),
    ) -> io::Result<()> {
        let mut headers = self.headers();
        self.undo(&mut headers)?;
        change(&mut headers.written);
        self.attempt(&headers, || write(&self.medium))
    }

    /// Makes a call to the medium; its failure, a panic included, rolls the header back.
    fn attempt(&self, headers: &Headers, call: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let unfinished = Unfinished(&self.failed);
        call().inspect_err(|_| {
            // Best effort, so that the next process finds this header too if this one is killed now.
            let _ = self.medium.write(0, &headers.synced);
        })?;
        std::mem::forget(unfinished);
        Ok(())
    }

    /// Makes the synced header durable again after a failure.
    fn undo(&self, headers: &mut Headers) -> io::Result<()> {
        if !self.has_failed() {
            return Ok(());
        }
        self.medium.write(0, &headers.synced)?;
        self.medium.sync_data()?;
        headers.written = headers.synced;
        self.failed.store(false, Ordering::Release);
        Ok(())
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    fn headers(&self) -> MutexGuard<'_, Headers> {
        self.headers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call to the medium that counts as failed when dropped.
struct Unfinished<'a>(&'a AtomicBool);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl fmt::Debug for Rollback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rollback").finish_non_exhaustive()
    }
}

impl StorageBackend for Rollback {
    super::forward_locks!(medium);

    fn len(&self) -> Result<u64, io::Error> {
        self.medium.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.medium.read(offset, out)?;
        if self.has_failed() {
            let headers = self.headers();
            let start = usize::try_from(offset).map_or(HEADER_BYTES, |start| start.min(HEADER_BYTES));
            for (to, from) in out.iter_mut().zip(&headers.synced[start..]) {
                *to = *from;
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let kept = usize::try_from(len).map_or(HEADER_BYTES, |len| len.min(HEADER_BYTES));
        self.write_through(|medium| medium.set_len(len), |header| header[kept..].fill(0))
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut headers = self.headers();
        self.undo(&mut headers)?;
        self.attempt(&headers, || self.medium.sync_data())?;
        headers.synced = headers.written;
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.write_through(
            |medium| medium.write(offset, data),
            |header| {
                let start = usize::try_from(offset).map_or(HEADER_BYTES, |start| start.min(HEADER_BYTES));
                header[start..].iter_mut().zip(data).for_each(|(to, from)| *to = *from);
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicUsize};

    use redb::backends::InMemoryBackend;

    use super::*;

    /// A medium whose next calls that write or sync fail.
    #[derive(Debug, Default)]
    struct Failing {
        bytes: InMemoryBackend,
        fails: AtomicUsize,
    }

    impl Failing {
        fn call(&self) -> io::Result<()> {
            let left = self.fails.load(Ordering::Relaxed);
            self.fails.store(left.saturating_sub(1), Ordering::Relaxed);
            if left == 0 { Ok(()) } else { Err(io::ErrorKind::Other.into()) }
        }
    }

    impl StorageBackend for Failing {
        fn len(&self) -> Result<u64, io::Error> {
            self.bytes.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
            self.bytes.read(offset, out)
        }

        fn set_len(&self, len: u64) -> Result<(), io::Error> {
            self.call()?;
            self.bytes.set_len(len)
        }

        fn sync_data(&self) -> Result<(), io::Error> {
            self.call()
        }

        fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
            self.call()?;
            self.bytes.write(offset, data)
        }
    }

    fn read<const N: usize>(medium: &dyn StorageBackend, offset: u64) -> [u8; N] {
        let mut bytes = [0; N];
        medium.read(offset, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_a_failed_call_left_in_the_header_is_never_read_and_never_becomes_durable() {
        // The failing call, then as many attempts to undo it.
        for fails in 1..=6 {
            let disk = Arc::new(Failing::default());
            let medium = Rollback::new(disk.clone()).unwrap();
            medium.set_len(8192).unwrap();
            medium.write(316, &[1; 100]).unwrap();
            medium.sync_data().unwrap();
            medium.write(310, &[2; 20]).unwrap();
            assert_eq!(read(&medium, 314), [2; 4]);

            disk.fails.store(fails, Ordering::Relaxed);
            medium.sync_data().unwrap_err();
            let mut tries = 0;
            loop {
                assert_eq!(
                    read(&medium, 314),
                    [0, 0, 1, 1, 1, 1, 2, 2],
                    "the synced header, the written page"
                );
                tries += 1;
                if medium.write(4096, &[3]).is_ok() {
                    break;
                }
            }
            assert!(tries <= fails, "{tries} of {fails}");
            assert_eq!(read(&disk.bytes, 310), [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
            medium.write(0, &[4]).unwrap();
            medium.sync_data().unwrap();
            assert_eq!(read(&medium, 0), [4]);
        }
    }
}
