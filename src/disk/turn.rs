//! A turn at a folder's files among processes.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
    thread,
    time::Duration,
};

/// The tries for a turn, and the pause between two.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Waits until no other process has its turn at a folder, at most a second: whoever may read the folder can hold its
/// lock for ever, and not every file system has locks. So a turn makes two writers rarer, and what they write must hold
/// without it. The turn ends with the value.
///
/// # Errors
/// The folder cannot be opened.
pub fn take_turn(folder: &Path) -> io::Result<File> {
    let folder = File::open(folder)?;
    for _ in 0..TRIES {
        match folder.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            Ok(()) | Err(TryLockError::Error(_)) => break,
        }
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_of_the_folder_that_holds_its_lock_keeps_no_writer_away() {
        let folder = tempfile::tempdir().unwrap();
        let reader = File::open(folder.path()).unwrap();
        reader.lock().unwrap();
        let own = take_turn(folder.path()).unwrap();
        drop(reader);
        drop(own);
        let first = take_turn(folder.path()).unwrap();
        let second = File::open(folder.path()).unwrap();
        assert!(
            matches!(second.try_lock(), Err(TryLockError::WouldBlock)),
            "a turn is a lock where nobody holds it"
        );
        drop(first);
        assert!(take_turn(&folder.path().join("missing")).is_err());
    }
}
