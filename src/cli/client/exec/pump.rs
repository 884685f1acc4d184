//! The way of a program's output through the mask: one thread for each stream.

use std::{
    fs::File,
    io::{self, PipeReader, Read},
    sync::Arc,
    thread::{self, JoinHandle},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use zeroize::Zeroizing;

use super::mask::{Mask, Masker};
use crate::cli::terminal::patient::write_whole;

/// Size of one read: what a pipe holds on Linux.
const PIECE_BYTES: usize = 64 * 1024;
/// The time for which a terminal is quiet before the first letters of what may become a value are shown.
const IDLE: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// The time for which a stream is quiet, after its program has ended, before later output of others is given up.
const LINGER: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

/// The destination of a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    Stdout,
    Stderr,
}

pub(super) struct Pump {
    from: File,
    to: To,
    masker: Masker,
    /// True if a person may wait for a prompt.
    is_terminal: bool,
    /// Readable once the program has ended.
    ended: PipeReader,
}

impl Pump {
    /// Begins to pump; the thread ends with the stream.
    pub(super) fn begin(
        from: File,
        to: To,
        mask: Arc<Mask>,
        is_terminal: bool,
        ended: PipeReader,
    ) -> JoinHandle<io::Result<()>> {
        let mut pump = Self { from, to, masker: Masker::new(mask), is_terminal, ended };
        thread::spawn(move || match pump.run() {
            // A reader that has gone wants no more, and few programs mind where their messages go.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe || pump.to == To::Stderr => Ok(()),
            outcome => outcome,
        })
    }

    fn run(&mut self) -> io::Result<()> {
        let mut piece = Zeroizing::new(vec![0; PIECE_BYTES]);
        let mut out = Zeroizing::new(Vec::new());
        let mut has_ended = false;
        loop {
            match self.wait(has_ended)? {
                Ready::Idle => self.masker.idle(&mut out),
                Ready::Ended if has_ended => break,
                Ready::Ended => has_ended = true,
                Ready::Output => match self.from.read(&mut piece) {
                    Ok(0) => break,
                    Ok(length) => self.masker.push(&piece[..length], &mut out),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // A terminal whose last user has gone.
                    Err(_) => break,
                },
            }
            self.show(&mut out)?;
        }
        self.masker.finish(&mut out);
        self.show(&mut out)
    }

    fn wait(&self, has_ended: bool) -> io::Result<Ready> {
        let is_idle = self.is_terminal && self.masker.is_waiting();
        let time = if is_idle { Some(&IDLE) } else { has_ended.then_some(&LINGER) };
        let mut waiting = [PollFd::new(&self.from, PollFlags::IN), PollFd::new(&self.ended, PollFlags::IN)];
        let count = if has_ended { 1 } else { 2 };
        match poll(&mut waiting[..count], time) {
            Ok(0) if is_idle => Ok(Ready::Idle),
            Ok(0) => Ok(Ready::Ended),
            Ok(_) if !waiting[0].revents().is_empty() => Ok(Ready::Output),
            Ok(_) => Ok(Ready::Ended),
            Err(Errno::INTR) => self.wait(has_ended),
            Err(error) => Err(error.into()),
        }
    }

    fn show(&self, out: &mut Vec<u8>) -> io::Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        match self.to {
            To::Stdout => write_whole(&mut io::stdout().lock(), out)?,
            To::Stderr => write_whole(&mut io::stderr().lock(), out)?,
        }
        out.clear();
        Ok(())
    }
}

/// The event that a stream waits for.
enum Ready {
    Output,
    Idle,
    /// The program has ended, or, the second time, its stream is quiet.
    Ended,
}
