//! The terminal during a prompt: separate key presses, whole pastes, and no input left for the shell.
//!
//! A terminal brackets a paste (`ESC [ 200 ~ … ESC [ 201 ~`, xterm's mode 2004), which distinguishes its line ends from
//! Enter. Without brackets, a paste is recognized by its speed: what arrives within [`GAP`] of an Enter belongs to it.

use std::{
    env,
    io::{self, IsTerminal, Write},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::getpgrp,
    termios::{
        InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
    },
};
use zeroize::Zeroizing;

use super::{
    answer::{ANSWER_BYTES_MAX, Echo, Failure},
    signals::Question,
};
use crate::cli::pem::{Armour, armour};

/// Maximum gap between two pieces of a paste.
const GAP: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// Maximum gap once several lines have arrived: a slow connection must not truncate a key.
const LINES_GAP: Timespec = Timespec { tv_sec: 0, tv_nsec: 400_000_000 };
/// Maximum number of pieces discarded: a terminal that is never silent must not block the command forever.
const PIECES_MAX: usize = 4096;

const PASTE_BEGINS: &[u8] = b"200~";
const PASTE_ENDS: &[u8] = b"201~";

/// A terminal in non-canonical mode, until this is dropped.
struct Raw {
    before: Termios,
    brackets: bool,
}

impl Raw {
    fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.local_modes -= LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        // CR stays CR, so that CR LF is one line end.
        raw.input_modes -= InputModes::ICRNL | InputModes::INLCR | InputModes::IGNCR;
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        let brackets = io::stderr().is_terminal() && env::var_os("TERM").is_some_and(|term| term != "dumb");
        if brackets {
            let _ = show("\x1b[?2004h");
        }
        Ok(Self { before, brackets })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if self.brackets {
            let _ = show("\x1b[?2004l");
        }
        // Flush unread input with the prompt: a shell would run it.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}

/// Returns whether this process is in its terminal's foreground; a terminal without a session has no foreground.
pub(super) fn is_ours() -> bool {
    tcgetpgrp(io::stdin()).map_or(true, |foreground| foreground == getpgrp())
}

pub(super) fn read(echo: Echo) -> Result<Vec<u8>, Failure> {
    // Dropped in reverse order: signals wait until the terminal is restored.
    let question = Question::begin()?;
    let raw = Raw::enter()?;
    // Allocate the full size at once: a growing buffer would leave partial copies behind.
    let mut answer = Answer { echo, typed: Zeroizing::new(Vec::with_capacity(ANSWER_BYTES_MAX)) };
    let outcome = answer.read(&question);
    if outcome.is_err() {
        discard();
    }
    drop(raw);
    // A terminal that hung up shows nothing; the outcome of the prompt counts.
    let shown = show("\n");
    if question.was_interrupted() {
        return Err(Failure::Interrupted);
    }
    outcome?;
    shown?;
    Ok(answer.typed.to_vec())
}

struct Answer {
    echo: Echo,
    typed: Zeroizing<Vec<u8>>,
}

impl Answer {
    fn read(&mut self, question: &Question) -> Result<(), Failure> {
        let (mut is_pasting, mut before) = (false, 0);
        loop {
            let key = key(question)?;
            match key {
                b'\r' | b'\n' => {
                    if key == b'\r' || before != b'\r' {
                        self.push(b'\n')?;
                    }
                    if !is_pasting && !is_more_coming(self.gap())? && self.is_whole()? {
                        return self.finish();
                    }
                }
                0x03 => return Err(Failure::Interrupted),
                0x04 if self.typed.is_empty() => {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                0x08 | 0x7f => self.erase()?,
                0x15 => {
                    while !self.typed.is_empty() {
                        self.erase()?;
                    }
                }
                0x1b => match sequence(question)?.as_slice() {
                    PASTE_BEGINS => is_pasting = true,
                    PASTE_ENDS => is_pasting = false,
                    _ => {}
                },
                control if control < 0x20 && control != b'\t' => {}
                byte => {
                    self.push(byte)?;
                    if self.echo == Echo::Shown {
                        io::stderr().write_all(&[byte])?;
                    }
                }
            }
            before = key;
        }
    }

    fn push(&mut self, byte: u8) -> Result<(), Failure> {
        if self.typed.len() == ANSWER_BYTES_MAX {
            return Err(Failure::TooLong);
        }
        self.typed.push(byte);
        Ok(())
    }

    fn gap(&self) -> &'static Timespec {
        let several = self.typed.iter().filter(|byte| **byte == b'\n').nth(1).is_some();
        if several { &LINES_GAP } else { &GAP }
    }

    /// Returns whether an Enter without further input ended the answer. A private key ends at the end of its armour,
    /// even if its lines arrive one by one; an empty line marks the end of an incomplete one.
    fn is_whole(&self) -> Result<bool, Failure> {
        if self.echo == Echo::Shown || armour(&self.typed) != Armour::Open {
            return Ok(true);
        }
        if self.typed.ends_with(b"\n\n") { Err(Failure::Unfinished) } else { Ok(false) }
    }

    /// Drops the line ends around the answer except the last of a PEM file, and refuses several lines that are no
    /// armour.
    fn finish(&mut self) -> Result<(), Failure> {
        while self.typed.last() == Some(&b'\n') {
            self.typed.pop();
        }
        let leading = self.typed.iter().take_while(|byte| **byte == b'\n').count();
        self.typed.drain(..leading);
        if !self.typed.contains(&b'\n') {
            return Ok(());
        }
        if self.echo == Echo::Shown || armour(&self.typed) != Armour::Closed {
            return Err(Failure::SeveralLines);
        }
        // The last line of a PEM file has its line end too (RFC 7468 §3): OpenSSH reads no key without it.
        self.typed.push(b'\n');
        Ok(())
    }

    /// Removes the last character, all its bytes.
    fn erase(&mut self) -> io::Result<()> {
        let before = self.typed.len();
        while self.typed.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
        if self.echo == Echo::Shown && self.typed.len() < before { show("\x08 \x08") } else { Ok(()) }
    }
}

fn key(question: &Question) -> Result<u8, Failure> {
    let stdin = io::stdin();
    let mut byte = [0];
    loop {
        let mut waiting =
            [PollFd::new(question.signals(), PollFlags::IN), PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut waiting, None) {
            Ok(_) if waiting[0].revents().is_empty() => break,
            Ok(_) => return Err(Failure::Interrupted),
            // The signal's byte is already in the pipe.
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
    match rustix::io::read(io::stdin(), &mut byte).map_err(io::Error::from)? {
        0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        _ => Ok(byte[0]),
    }
}

fn is_more_coming(gap: &Timespec) -> io::Result<bool> {
    let stdin = io::stdin();
    let mut waiting = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut waiting, Some(gap)) {
        Ok(ready) => Ok(ready > 0),
        // The next key finds the signal.
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Discards further input until the terminal is silent.
fn discard() {
    let mut piece = Zeroizing::new([0; 4096]);
    for _ in 0..PIECES_MAX {
        let stdin = io::stdin();
        let mut waiting = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut waiting, Some(&LINES_GAP)) {
            Err(rustix::io::Errno::INTR) => {}
            // A terminal that hung up is always ready, and yields nothing.
            Ok(1..) => match rustix::io::read(io::stdin(), piece.as_mut_slice()) {
                Ok(1..) | Err(rustix::io::Errno::INTR) => {}
                Ok(0) | Err(_) => return,
            },
            Ok(0) | Err(_) => return,
        }
    }
}

/// Reads the rest after an ESC: of an arrow key or the like, all after the bracket or O, up to a letter or tilde.
fn sequence(question: &Question) -> Result<Vec<u8>, Failure> {
    let mut sequence = Vec::new();
    if is_more_coming(&GAP)? && matches!(key(question)?, b'[' | b'O') {
        loop {
            let byte = key(question)?;
            sequence.push(byte);
            if (0x40..=0x7e).contains(&byte) {
                break;
            }
        }
    }
    Ok(sequence)
}

fn show(text: &str) -> io::Result<()> {
    io::stderr().write_all(text.as_bytes())
}
