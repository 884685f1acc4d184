//! Mutual exclusion of processes: an advisory lock on the data file's own inode.
//!
//! The lock is taken on the open descriptor before the first byte is read, and lasts as long as the file is open. So no
//! other spelling of the path, link or mount bypasses it. `FILE.lock` beside it names the holder; losing `FILE.lock`
//! loses only that name.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{fs::OFlags, io::Errno};

use super::{
    error::FileError,
    path::{beside, leads_to},
};

/// The length of a process's id and a line end, at most.
const NOTE_BYTES_MAX: u64 = 20;

/// The policy for a file system without locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Locking {
    /// Refuses to open a file that cannot be locked.
    #[default]
    Required,
    /// The operator vouches that no other process opens the file.
    Waived,
}

/// Excludes every other process, or only writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Exclusive,
    Shared,
}

/// Locks an open data file; the lock ends with the last duplicate of its descriptor.
pub(super) fn lock(file: &File, data: &Path, mode: Mode, locking: Locking) -> Result<(), FileError> {
    let tried = match mode {
        Mode::Exclusive => file.try_lock(),
        Mode::Shared => file.try_lock_shared(),
    };
    match tried {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(in_use(data, file)),
        Err(TryLockError::Error(source)) if !is_unsupported(&source) => {
            Err(FileError::Io { path: data.to_owned(), source })
        }
        Err(TryLockError::Error(_)) if locking == Locking::Waived => Ok(()),
        Err(TryLockError::Error(source)) => Err(FileError::NoLocks { path: data.to_owned(), source }),
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    let codes = [Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP];
    codes.iter().any(|code| error.raw_os_error() == Some(code.raw_os_error()))
}

fn in_use(data: &Path, file: &File) -> FileError {
    let holder = holder_of(file).or_else(|| noted_holder(data));
    FileError::InUse { path: data.to_owned(), holder: holder.unwrap_or_else(|| "?".to_owned()) }
}

/// Returns the process that holds the lock, from the kernel's list (proc(5), `/proc/locks`); `None` if the process is
/// in another namespace or the system has no such list.
#[cfg(target_os = "linux")]
fn holder_of(file: &File) -> Option<String> {
    let metadata = file.metadata().ok()?;
    let (major, minor) = (rustix::fs::major(metadata.dev()), rustix::fs::minor(metadata.dev()));
    let inode = format!("{major:02x}:{minor:02x}:{}", metadata.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let mut held = locks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = held.find(|words| words.get(1) == Some(&"FLOCK") && words.get(5) == Some(&inode.as_str()))?;
    line.get(4).filter(|pid| is_pid(pid)).map(|pid| (*pid).to_owned())
}

#[cfg(not(target_os = "linux"))]
const fn holder_of(_: &File) -> Option<String> {
    None
}

/// Returns the process that `FILE.lock` names.
fn noted_holder(data: &Path) -> Option<String> {
    let mut text = String::new();
    open_side(data, false).ok()?.take(20).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned()).filter(|pid| is_pid(pid))
}

fn is_pid(text: &str) -> bool {
    !text.is_empty() && text != "0" && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `FILE.lock`, held while `FILE` is open or under construction, then removed. It names the holder of `FILE`, and
/// excludes other processes while no file of that name exists yet.
#[derive(Debug)]
pub(super) struct SideLock(Option<(PathBuf, File)>);

impl Drop for SideLock {
    fn drop(&mut self) {
        if let Some((path, file)) = &self.0
            && leads_to(path, file)
        {
            // Best effort: a leftover lock file is harmless.
            drop(fs::remove_file(path));
        }
    }
}

impl SideLock {
    /// Locks the side file and writes this process's id into it. Ignores a side file that cannot be used: the data
    /// file's own lock decides.
    ///
    /// # Errors
    /// Another process holds the side file's lock.
    pub(super) fn take(data: &Path) -> Result<Self, FileError> {
        let Ok(mut file) = open_side(data, true) else { return Ok(Self(None)) };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = holder_of(&file).or_else(|| noted_holder(data));
                let holder = holder.unwrap_or_else(|| "?".to_owned());
                return Err(FileError::InUse { path: data.to_owned(), holder });
            }
            Err(TryLockError::Error(_)) => return Ok(Self(None)),
        }
        // Leave any other content alone: the file is not ours. A kill may have cut a note short.
        let mut noted = String::new();
        let is_note = (&file).take(NOTE_BYTES_MAX + 1).read_to_string(&mut noted).is_ok()
            && noted.len() as u64 <= NOTE_BYTES_MAX
            && (noted.is_empty() || is_pid(noted.strip_suffix('\n').unwrap_or(&noted)));
        if !is_note {
            return Ok(Self(None));
        }
        let note = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            // In one call, which no kill divides.
            file.write_all(format!("{}\n", std::process::id()).as_bytes())
        };
        // Best effort: a full disk must not keep a vault from being opened.
        drop(note(&mut file));
        Ok(Self(Some((beside(data, ".lock"), file))))
    }
}

/// Opens `FILE.lock` if it is a regular file with one name, owned by this user or root: writing through a planted link
/// would truncate its target.
fn open_side(data: &Path, create: bool) -> io::Result<File> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).expect("the flags are small");
    let mut options = OpenOptions::new();
    options.read(true).write(create).create(create).truncate(false).mode(0o600).custom_flags(flags);
    let file = options.open(beside(data, ".lock"))?;
    let metadata = file.metadata()?;
    let own = [rustix::process::geteuid().as_raw(), 0].contains(&metadata.uid());
    if metadata.is_file() && metadata.nlink() == 1 && own {
        Ok(file)
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_without_locks_is_never_taken_for_one_whose_file_is_free() {
        for (code, unsupported) in [
            (Errno::NOLCK, true),
            (Errno::NOSYS, true),
            (Errno::OPNOTSUPP, true),
            (Errno::IO, false),
            (Errno::BADF, false),
            (Errno::INTR, false),
        ] {
            assert_eq!(
                is_unsupported(&io::Error::from_raw_os_error(code.raw_os_error())),
                unsupported,
                "{code}"
            );
        }
    }

    /// A process was killed between the number and the line's end: its note was taken for a foreign file's content, and
    /// neither named a holder nor went away again.
    #[test]
    fn a_note_that_a_kill_cut_short_is_taken_over_and_other_content_is_left_alone() {
        for (text, is_ours) in [
            ("", true),
            ("9", true),
            ("909", true),
            ("909\n", true),
            ("909\n1", false),
            ("909 \n", false),
            ("0\n", false),
            ("notes", false),
            ("123456789012345678901", false),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let data = folder.path().join("v.redb");
            let note = beside(&data, ".lock");
            fs::write(&note, text).unwrap();
            let side = SideLock::take(&data).unwrap();
            let expected = if is_ours { format!("{}\n", std::process::id()) } else { text.to_owned() };
            assert_eq!(fs::read_to_string(&note).unwrap(), expected, "{text:?}");
            drop(side);
            assert_eq!(note.exists(), !is_ours, "{text:?}");
        }
    }

    #[test]
    fn a_holder_is_a_process_or_unknown() {
        for (text, is) in
            [("1", true), ("4230", true), ("0", false), ("-1", false), ("", false), ("12 3", false)]
        {
            assert_eq!(is_pid(text), is, "{text}");
        }
    }
}
