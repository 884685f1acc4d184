//! The user's terminal while its keys belong to another terminal: every key goes there, also Ctrl-C.

use std::{
    io::{self, IsTerminal},
    os::fd::AsFd,
};

use rustix::{
    process::getpgrp,
    termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr, tcsetwinsize},
};

/// Standard input in raw mode, until this is dropped.
pub(in crate::cli) struct Raw {
    before: Termios,
}

impl Raw {
    /// Enters raw mode, if standard input is a terminal and this process is in its foreground.
    pub(in crate::cli) fn enter() -> Option<Self> {
        let stdin = io::stdin();
        if !stdin.is_terminal() || tcgetpgrp(&stdin).is_ok_and(|foreground| foreground != getpgrp()) {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        // Not `Drain`: a signal interrupts its wait.
        tcsetattr(&stdin, OptionalActions::Now, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Gives another terminal the modes and the size of the user's.
pub(in crate::cli) fn resemble(other: impl AsFd) {
    if let Ok(modes) = tcgetattr(io::stdout()) {
        let _ = tcsetattr(&other, OptionalActions::Now, &modes);
    }
    resize(other);
}

/// Gives another terminal the size of the user's.
pub(in crate::cli) fn resize(other: impl AsFd) {
    if let Ok(size) = tcgetwinsize(io::stdout()) {
        let _ = tcsetwinsize(other, size);
    }
}
