//! Writes that wait for a slow reader.
//!
//! A standard stream is shared with other programs, and one of them may have made it non-blocking. A full pipe then
//! refuses bytes instead of waiting, and what was not written would be lost in the middle of a line.

use std::io::{self, Write};

/// Writes all bytes and flushes them.
///
/// # Errors
/// As the stream's.
#[cfg(unix)]
pub(in crate::cli) fn write_whole(to: &mut (impl Write + std::os::fd::AsFd), bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match to.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => rest = &rest[written..],
            Err(error) => unix::wait_after(error, &*to)?,
        }
    }
    // The stream keeps what a flush did not write.
    while let Err(error) = to.flush() {
        unix::wait_after(error, &*to)?;
    }
    Ok(())
}

/// Writes all bytes and flushes them; elsewhere a standard stream always waits.
///
/// # Errors
/// As the stream's.
#[cfg(not(unix))]
pub(in crate::cli) fn write_whole(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}

#[cfg(unix)]
mod unix {
    use std::{io, os::fd::AsFd};

    use rustix::event::{PollFd, PollFlags, poll};

    /// Waits until the stream takes bytes again, if that is all that failed.
    pub(super) fn wait_after(error: io::Error, stream: impl AsFd) -> io::Result<()> {
        match error.kind() {
            io::ErrorKind::Interrupted => Ok(()),
            io::ErrorKind::WouldBlock => {
                // A signal ends it early; then the next write only finds the stream full again.
                let _ = poll(&mut [PollFd::new(&stream, PollFlags::OUT)], None);
                Ok(())
            }
            _ => Err(error),
        }
    }
}
