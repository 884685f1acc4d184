//! One run of the program: its streams, its terminal if it needs one, its signals.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, IsTerminal, PipeWriter, Write, pipe},
    os::fd::{AsFd, OwnedFd},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{Mode, OFlags, fstat},
    io::Errno,
    process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, waitpid},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::tcgetpgrp,
};

use super::{
    mask::Mask,
    monitor,
    pump::{Pump, To},
};
use crate::cli::{
    client::credentials::Variable,
    terminal::raw::{resemble, resize},
};

/// The terminal whose keys a program reads, if it has one.
pub(super) type Keys = Arc<Mutex<Option<File>>>;

/// A program that runs.
pub(super) struct Running {
    pid: Pid,
    terminal: Option<File>,
    pumps: Vec<JoinHandle<io::Result<()>>>,
    /// Closed when the program has ended.
    _alive: PipeWriter,
}

impl Running {
    /// Starts the program with the variables in its environment.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(super) fn start(
        words: &[OsString],
        variables: &[Variable],
        mask: &Arc<Mask>,
        keys: &Keys,
    ) -> io::Result<Self> {
        let terminal = if io::stdout().is_terminal() { Some(terminal()?) } else { None };
        let mut command = if terminal.is_some() {
            let mut command = Command::new(monitor::own_binary()?);
            command.arg(monitor::WORD).args(words);
            command
        } else {
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]);
            command
        };
        command.envs(variables.iter().map(|one| (one.name.as_str(), one.value.as_str())));
        let (ended, running) = pipe()?;
        let mut streams: Vec<(File, To)> = Vec::new();
        if let Some((master, slave)) = &terminal {
            if io::stdin().is_terminal() {
                command.stdin(Stdio::from(slave.try_clone()?));
            }
            command.stdout(Stdio::from(slave.try_clone()?));
            streams.push((master.try_clone()?, To::Stdout));
            if io::stderr().is_terminal() {
                command.stderr(Stdio::from(slave.try_clone()?));
            }
        } else {
            let (from, to) = pipe()?;
            if are_one(io::stdout(), io::stderr()) {
                // One pipe keeps the order of their lines.
                command.stderr(to.try_clone()?);
            }
            command.stdout(to);
            streams.push((OwnedFd::from(from).into(), To::Stdout));
        }
        let has_own_errors = match &terminal {
            Some(_) => !io::stderr().is_terminal(),
            None => !are_one(io::stdout(), io::stderr()),
        };
        if has_own_errors {
            let (from, to) = pipe()?;
            command.stderr(to);
            streams.push((OwnedFd::from(from).into(), To::Stderr));
        }
        let child = command.spawn()?;
        // The program's ends are its own now: a stream ends with the last process that has it.
        drop(command);
        let terminal = terminal.map(|(master, _)| master);
        if let Ok(mut keys) = keys.lock() {
            *keys = terminal.as_ref().and_then(|master| master.try_clone().ok());
        }
        let mut pumps = Vec::new();
        for (from, to) in streams {
            let is_terminal = to == To::Stdout && terminal.is_some();
            pumps.push(Pump::begin(from, to, Arc::clone(mask), is_terminal, ended.try_clone()?));
        }
        Ok(Self { pid: Pid::from_child(&child), terminal, pumps, _alive: running })
    }

    /// Returns whether the program has a terminal of its own.
    pub(super) const fn has_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// Sends a signal to the program.
    pub(super) fn signal(&self, signal: i32) {
        // It may have ended a moment ago.
        if let Some(signal) = Signal::from_named_raw(signal) {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Kills the program.
    pub(super) fn kill(&self) {
        // At a terminal of its own the program is that terminal's foreground, and this process's child its monitor.
        if let Some(job) = self.terminal.as_ref().and_then(|terminal| tcgetpgrp(terminal).ok()) {
            let _ = kill_process_group(job, Signal::KILL);
        } else {
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }

    /// Gives the program's terminal the size of the user's.
    pub(super) fn resize(&self) {
        if let Some(terminal) = &self.terminal {
            resize(terminal);
        }
    }

    /// Returns the next change of the program's state.
    pub(super) fn changed(&self) -> Option<WaitStatus> {
        let options = WaitOptions::NOHANG | WaitOptions::UNTRACED;
        waitpid(Some(self.pid), options).ok().flatten().map(|(_, status)| status)
    }

    /// Shows the rest of the output of a program that has ended.
    ///
    /// # Errors
    /// A part of it could not be written. The program, which writes into a pipe, may have ended without notice of that.
    pub(super) fn drain(self) -> io::Result<()> {
        let Self { pumps, _alive: running, .. } = self;
        drop(running);
        let ends: Vec<_> = pumps.into_iter().filter_map(|pump| pump.join().ok()).collect();
        ends.into_iter().collect()
    }
}

/// Returns both ends of a new terminal like the user's.
fn terminal() -> io::Result<(File, OwnedFd)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let slave = rustix::fs::open(&*name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    resemble(&slave);
    Ok((master.into(), slave))
}

/// Returns whether two streams lead to the same file, pipe or terminal.
fn are_one(one: impl AsFd, other: impl AsFd) -> bool {
    match (fstat(one), fstat(other)) {
        (Ok(one), Ok(other)) => (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino),
        _ => false,
    }
}

/// Passes the user's keys on to the program's terminal, until this process ends.
pub(super) fn pass_keys(keys: Keys) {
    std::thread::spawn(move || {
        let mut typed = zeroize::Zeroizing::new([0; 4096]);
        loop {
            let length = match rustix::io::read(io::stdin(), typed.as_mut_slice()) {
                // Another program of this terminal may have made it non-blocking.
                Err(Errno::AGAIN | Errno::INTR) => {
                    let _ = poll(&mut [PollFd::new(&io::stdin(), PollFlags::IN)], None);
                    continue;
                }
                Ok(0) | Err(_) => return,
                Ok(length) => length,
            };
            let terminal = keys.lock().ok().and_then(|keys| keys.as_ref().and_then(|to| to.try_clone().ok()));
            if let Some(mut terminal) = terminal {
                drop(terminal.write_all(&typed[..length]));
            }
        }
    });
}
