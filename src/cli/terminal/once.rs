//! Secrets that are shown once: each reaches its reader, or the operation behind it is undone.
//!
//! For a list, a reader that went away wants no more, and nothing is lost. A recovery key, a token or a generated
//! password cannot be shown again, so here a reader that went away is an error like a full disk.

#[cfg(feature = "client")]
use std::fmt;
use std::io;

#[cfg(feature = "client")]
use crate::cli::error::CliError;

/// A secret that reached no reader, and the cause.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be shown: {cause}")]
pub(in crate::cli) struct Lost {
    what: &'static str,
    cause: String,
}

impl Lost {
    pub(in crate::cli) fn new(what: &'static str, error: &io::Error) -> Self {
        let cause = match error.kind() {
            io::ErrorKind::BrokenPipe => "the reader of standard output is gone".to_owned(),
            io::ErrorKind::NotConnected => "standard output is closed, or a null device".to_owned(),
            _ => format!("standard output: {error}"),
        };
        Self { what, cause }
    }
}

/// A token or user that exists at the server, and whose secret reached no reader.
#[cfg(feature = "client")]
pub(in crate::cli) struct Made {
    /// Its kind, name and id.
    pub(in crate::cli) what: String,
    /// Its end, in the message's words: `revoked`.
    pub(in crate::cli) ended: &'static str,
    /// The command that ends it by hand.
    pub(in crate::cli) by_hand: String,
    /// The hint once it is undone.
    pub(in crate::cli) remedy: &'static str,
}

#[cfg(feature = "client")]
impl Made {
    /// Returns the error of a command that could not show what it had created, and then tried to undo that.
    pub(in crate::cli) fn undone(
        &self,
        cause: impl fmt::Display,
        outcome: Result<(), impl Into<CliError>>,
    ) -> CliError {
        let Self { what, ended, by_hand, remedy } = self;
        match outcome {
            Ok(()) => CliError::failed(format!("{cause}; {what} is {ended} again"), *remedy),
            Err(error) => {
                let CliError { message, code, .. } = error.into();
                let message = format!("{cause}; {what} is not {ended}: {message}");
                CliError {
                    code,
                    ..CliError::failed(message, format!("no reader received its secret: {by_hand}"))
                }
            }
        }
    }
}

/// The answer to a null device as the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Discard {
    /// The output can be printed again.
    #[cfg(feature = "server")]
    Allowed,
    /// It is a secret that nobody would have.
    Refused,
}

#[cfg(unix)]
pub(in crate::cli) use unix::{check, settle};

#[cfg(unix)]
mod unix {
    use std::{io, os::fd::AsFd};

    use super::Discard;
    use rustix::{
        event::{PollFd, PollFlags, Timespec, poll},
        fs::{FileType, OFlags, fcntl_getfl, fstat, fsync, stat},
        io::ioctl_fionread,
    };

    /// Number of polls of a pipe, and the pause between two: a reader takes its data within microseconds, and one that
    /// waits for the command's end first keeps its end open.
    const LOOKS: u32 = 50;
    const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

    /// Refuses an output that was closed before the command began, and with [`Discard::Refused`] every null device.
    ///
    /// The runtime puts the null device in the place of a closed output, opened for reading and writing. A shell's
    /// `> /dev/null` opens it only for writing, and discards on purpose.
    pub(in crate::cli) fn check(output: impl AsFd, discard: Discard) -> io::Result<()> {
        let found = fstat(&output)?;
        // A root that holds the binary alone has no such device.
        let null = stat("/dev/null").ok();
        let is_null = FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice
            && null.is_some_and(|null| found.st_rdev == null.st_rdev);
        if is_null && (discard == Discard::Refused || fcntl_getfl(&output)?.contains(OFlags::RDWR)) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        Ok(())
    }

    /// Waits until the output is safe: a file's bytes are on its disk, and a pipe's reader took them or still can.
    pub(in crate::cli) fn settle(output: impl AsFd) -> io::Result<()> {
        match FileType::from_raw_mode(fstat(&output)?.st_mode) {
            FileType::RegularFile => Ok(fsync(&output)?),
            FileType::Fifo => taken(output),
            _ => Ok(()),
        }
    }

    fn taken(pipe: impl AsFd) -> io::Result<()> {
        let is_taken = || ioctl_fionread(&pipe).map(|unread| unread == 0);
        for _ in 0..LOOKS {
            if is_taken()? {
                return Ok(());
            }
            // Without a requested event, the poll wakes only because the last reader went away.
            let mut waiting = [PollFd::new(&pipe, PollFlags::empty())];
            match poll(&mut waiting, Some(&PAUSE)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) if is_taken()? => return Ok(()),
                Ok(_) => return Err(io::ErrorKind::BrokenPipe.into()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Elsewhere a closed output fails when it is written.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "as on unix")]
pub(in crate::cli) fn check<T>(_: T, _: Discard) -> io::Result<()> {
    Ok(())
}

/// Elsewhere written output counts as taken.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "as on unix")]
pub(in crate::cli) fn settle<T>(_: T) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::{
        fs::{File, OpenOptions},
        io::{Read, Write},
        thread,
    };

    use super::*;

    fn kind(outcome: io::Result<()>) -> Option<io::ErrorKind> {
        outcome.err().map(|error| error.kind())
    }

    #[test]
    fn an_output_that_was_closed_is_told_from_one_that_throws_away_on_purpose() {
        let mut both = OpenOptions::new();
        let closed = both.read(true).write(true).open("/dev/null").unwrap();
        let null = OpenOptions::new().write(true).open("/dev/null").unwrap();
        for discard in [Discard::Allowed, Discard::Refused] {
            assert_eq!(kind(check(&closed, discard)), Some(io::ErrorKind::NotConnected));
            assert_eq!(kind(check(tempfile::tempfile().unwrap(), discard)), None);
            assert_eq!(kind(check(File::open("/dev/zero").unwrap(), discard)), None);
        }
        assert_eq!(kind(check(&null, Discard::Allowed)), None);
        assert_eq!(kind(check(&null, Discard::Refused)), Some(io::ErrorKind::NotConnected), "a secret");
    }

    #[test]
    fn a_pipe_is_settled_only_by_a_reader_that_took_all_or_still_can() {
        let (mut reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"sfp_app_example\n").unwrap();
        assert_eq!(kind(settle(&writer)), None, "it may read later");
        let taking = thread::spawn(move || {
            let mut bytes = [0; 16];
            reader.read_exact(&mut bytes).unwrap();
        });
        taking.join().unwrap();
        assert_eq!(kind(settle(&writer)), None, "it took all before it went");
        let (mut reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"sfp_app_example\n").unwrap();
        reader.read_exact(&mut [0; 4]).unwrap();
        drop(reader);
        assert_eq!(kind(settle(&writer)), Some(io::ErrorKind::BrokenPipe), "it took a part and went");
        assert_eq!(kind(settle(tempfile::tempfile().unwrap())), None);
    }
}
