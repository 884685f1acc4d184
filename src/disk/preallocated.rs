//! A backend that preallocates file blocks ahead of commits.
//!
//! A commit that writes a block first also waits for the file system's metadata update, about 50 % more per commit. So
//! the first write to a new piece of the file fills the whole piece with zeros. A new piece reads as zeros before and
//! after: no byte of the file changes its meaning. If the disk has little room left, nothing is preallocated.

use std::{
    fmt, io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use redb::StorageBackend;

use super::Medium;

/// A medium that fills each new piece with zeros before the first write to it.
pub struct Preallocated {
    medium: Medium,
    piece_bytes: u64,
    has_room: HasRoom,
    /// The first [`PIECES_MAX`] pieces; later ones are never filled.
    pieces: Mutex<Vec<Piece>>,
}

/// Returns whether the disk has blocks to spare.
type HasRoom = Box<dyn Fn() -> bool + Send + Sync>;

/// The most pieces that are tracked, at one byte each: 1 TiB of a data file.
const PIECES_MAX: usize = 1 << 22;

/// The known content of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// The piece may hold anything.
    Used,
    /// The file grew by this piece, and nothing has been written to it since.
    New,
}

impl Preallocated {
    /// The size of a piece in bytes: about twenty batches of records, 0.3 ms to fill.
    pub const PIECE_BYTES: u64 = 256 * 1024;

    /// Wraps a medium in pieces of `piece_bytes`; its existing pieces are never filled.
    pub fn new(
        medium: Medium,
        piece_bytes: u64,
        has_room: impl Fn() -> bool + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let mut this = Self { medium, piece_bytes, has_room: Box::new(has_room), pieces: Mutex::default() };
        this.pieces = Mutex::new(vec![Piece::Used; this.count(this.medium.len()?)]);
        Ok(this)
    }

    /// Fills the new pieces that a write touches. Holds the lock throughout, so that no concurrent write is overwritten
    /// with zeros.
    fn prepare(&self, offset: u64, len: u64) {
        let mut pieces = self.pieces();
        let (first, end) = (self.number(offset), self.count(offset.saturating_add(len)));
        for (number, piece) in pieces.iter_mut().enumerate().take(end).skip(first) {
            let known = std::mem::replace(piece, Piece::Used);
            if known == Piece::New && (self.has_room)() {
                // Best effort: if the disk is full, the write itself fails.
                let _ = self.fill(number as u64 * self.piece_bytes);
            }
        }
    }

    fn fill(&self, offset: u64) -> io::Result<()> {
        const STEP: usize = 16 * 1024;
        let zeros = [0; STEP];
        let end = (offset + self.piece_bytes).min(self.medium.len()?);
        let mut at = offset;
        while at < end {
            let length = usize::try_from(end - at).map_or(STEP, |left| left.min(STEP));
            self.medium.write(at, &zeros[..length])?;
            at += length as u64;
        }
        Ok(())
    }

    /// Returns the number of the piece that holds a byte.
    fn number(&self, offset: u64) -> usize {
        usize::try_from(offset / self.piece_bytes).unwrap_or(usize::MAX)
    }

    /// Returns the number of pieces that hold `bytes`.
    fn count(&self, bytes: u64) -> usize {
        usize::try_from(bytes.div_ceil(self.piece_bytes)).map_or(PIECES_MAX, |count| count.min(PIECES_MAX))
    }

    fn pieces(&self) -> MutexGuard<'_, Vec<Piece>> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Preallocated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preallocated").finish_non_exhaustive()
    }
}

impl StorageBackend for Preallocated {
    super::forward_locks!(medium);

    fn len(&self) -> Result<u64, io::Error> {
        self.medium.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.medium.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let mut pieces = self.pieces();
        let before = self.count(self.medium.len()?).max(pieces.len());
        self.medium.set_len(len)?;
        // Pieces that the medium had before are not new.
        pieces.resize(before, Piece::Used);
        pieces.resize(self.count(len), Piece::New);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.medium.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.prepare(offset, data.len() as u64);
        self.medium.write(offset, data)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    const PIECE: u64 = 1024;

    /// A medium in memory that records offset and length of each write.
    #[derive(Debug, Default)]
    struct Memory {
        bytes: Mutex<Vec<u8>>,
        writes: Mutex<Vec<(u64, usize)>>,
        /// The longest write that the medium accepts.
        longest: usize,
    }

    impl StorageBackend for Memory {
        fn len(&self) -> Result<u64, io::Error> {
            Ok(self.bytes.lock().unwrap().len() as u64)
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
            let from = usize::try_from(offset).unwrap();
            out.copy_from_slice(&self.bytes.lock().unwrap()[from..from + out.len()]);
            Ok(())
        }

        fn set_len(&self, len: u64) -> Result<(), io::Error> {
            self.bytes.lock().unwrap().resize(usize::try_from(len).unwrap(), 0);
            Ok(())
        }

        fn sync_data(&self) -> Result<(), io::Error> {
            Ok(())
        }

        fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
            if data.len() > self.longest {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let from = usize::try_from(offset).unwrap();
            self.bytes.lock().unwrap()[from..from + data.len()].copy_from_slice(data);
            self.writes.lock().unwrap().push((offset, data.len()));
            Ok(())
        }
    }

    fn preallocated(bytes: Vec<u8>, longest: usize) -> (Arc<Memory>, Preallocated) {
        let memory = Arc::new(Memory { bytes: Mutex::new(bytes), longest, ..Memory::default() });
        let medium = Preallocated::new(memory.clone(), PIECE, || true);
        (memory, medium.unwrap())
    }

    fn writes(memory: &Memory) -> Vec<(u64, usize)> {
        std::mem::take(&mut *memory.writes.lock().unwrap())
    }

    #[test]
    fn what_is_new_is_filled_once_with_the_first_write_to_it() {
        let (memory, medium) = preallocated(vec![7; 1500], 4096);
        medium.set_len(5000).unwrap();
        medium.write(2900, &[1; 100]).unwrap();
        assert_eq!(writes(&memory), [(2048, 1024), (2900, 100)]);
        medium.write(2100, &[1; 100]).unwrap();
        assert_eq!(writes(&memory), [(2100, 100)]);
        medium.write(4090, &[1; 100]).unwrap();
        assert_eq!(writes(&memory), [(3072, 1024), (4096, 904), (4090, 100)]);
        // The piece in which the file ended is not new, however much the file grows.
        medium.write(1600, &[1; 100]).unwrap();
        assert_eq!(writes(&memory), [(1600, 100)]);
    }

    #[test]
    fn where_room_is_scarce_only_what_is_written_takes_any() {
        let memory = Arc::new(Memory { longest: 4096, ..Memory::default() });
        let medium = Preallocated::new(memory.clone(), PIECE, || false).unwrap();
        medium.set_len(4096).unwrap();
        medium.write(100, &[1; 100]).unwrap();
        assert_eq!(writes(&memory), [(100, 100)]);
    }

    #[test]
    fn what_was_written_beyond_the_end_is_not_taken_for_new() {
        let (memory, medium) = preallocated(Vec::new(), 4096);
        medium.medium.set_len(3000).unwrap();
        medium.medium.write(2900, &[7; 100]).unwrap();
        medium.set_len(4096).unwrap();
        medium.write(2100, &[1; 10]).unwrap();
        assert_eq!(memory.bytes.lock().unwrap()[2900..3000], [7; 100]);
    }

    #[test]
    fn a_disk_that_has_no_room_for_zeros_may_have_some_for_the_write() {
        let (memory, medium) = preallocated(Vec::new(), 100);
        medium.set_len(4096).unwrap();
        medium.write(0, &[1; 100]).unwrap();
        assert_eq!(writes(&memory), [(0, 100)]);
        medium.write(2000, &[1; 101]).unwrap_err();
    }

    proptest! {
        #[test]
        fn it_reads_as_what_was_written(
            before in 0_u64..5000,
            steps in prop::collection::vec((any::<prop::sample::Index>(), 1_u64..1500, any::<bool>()), 1..40),
        ) {
            let mut model = vec![3; usize::try_from(before).unwrap()];
            let (_, medium) = preallocated(model.clone(), usize::MAX);
            for (n, (at, length, grows)) in steps.into_iter().enumerate() {
                if grows || model.is_empty() {
                    let len = at.index(10_000);
                    model.resize(len, 0);
                    medium.set_len(len as u64).unwrap();
                } else {
                    let from = at.index(model.len());
                    let to = model.len().min(from + usize::try_from(length).unwrap());
                    let value = u8::try_from(n + 1).unwrap();
                    model[from..to].fill(value);
                    medium.write(from as u64, &vec![value; to - from]).unwrap();
                }
                let mut read = vec![0; model.len()];
                medium.read(0, &mut read).unwrap();
                prop_assert_eq!(&read, &model);
            }
        }
    }
}
