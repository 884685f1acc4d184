//! The first process of a new terminal: it makes the program that terminal's foreground job.
//!
//! ```text
//! user's terminal ─ exec ─ new terminal ─ monitor (leads its session) ─ program (a job of its own)
//! ```
//!
//! A job whose parent is not of its own session cannot be stopped by Ctrl-Z (POSIX: an orphaned process group). So this
//! process stands between: it stops when the program stops, which `exec` sees, and continues the program when it is
//! continued. It is this binary again, since a session begins only in a process that is no group's leader.
//!
//! The program's own process begins as this binary, too, and becomes the program once it is the foreground: a program
//! that read its terminal a moment too early would be stopped, and a Ctrl-Z of that moment lost with the SIGCONT that
//! continues it.

use std::{
    ffi::OsString,
    io::{self, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::{
    process::{
        Pid, Signal, WaitOptions, getpgrp, getpid, ioctl_tiocsctty, kill_process, kill_process_group, setsid,
        waitpid,
    },
    termios::{tcgetpgrp, tcsetpgrp},
};
use signal_hook::consts::{SIGCHLD, SIGCONT};

use super::{
    ending, memory,
    signals::{Arrived, catch},
};

/// The word that makes this binary a monitor; no subcommand, so that no help shows it.
pub(in crate::cli) const WORD: &str = "--exec-monitor";
/// The same for the program's own process.
pub(in crate::cli) const PROGRAM_WORD: &str = "--exec-program";
/// The pause between two looks at the foreground, and the most of them, ten seconds together.
const LOOK: Duration = Duration::from_micros(100);
const LOOKS_MAX: u32 = 100_000;

/// Runs the program, and returns its exit code.
pub(in crate::cli) fn run(words: &[OsString]) -> u8 {
    memory::leave_no_core();
    let Some((program, arguments)) = words.split_first() else { return 1 };
    start(program, arguments).unwrap_or_else(|error| told(program, &error))
}

/// Becomes the program once this process is its terminal's foreground; returns the exit code if it cannot.
pub(in crate::cli) fn become_program(words: &[OsString]) -> u8 {
    let Some((program, arguments)) = words.split_first() else { return 1 };
    for _ in 0..LOOKS_MAX {
        // Without a terminal there is nothing to wait for.
        if tcgetpgrp(io::stdout()).map_or(true, |foreground| foreground == getpgrp()) {
            break;
        }
        thread::sleep(LOOK);
    }
    told(program, &Command::new(program).args(arguments).exec())
}

fn told(program: &OsString, error: &io::Error) -> u8 {
    let error = ending::unstarted(&program.to_string_lossy(), error);
    drop(writeln!(io::stderr(), "error: {}", error.message));
    error.exit as u8
}

/// Returns the binary itself, even if its file was replaced meanwhile.
pub(super) fn own_binary() -> io::Result<PathBuf> {
    let linked = Path::new("/proc/self/exe");
    if linked.exists() { Ok(linked.to_owned()) } else { std::env::current_exe() }
}

fn start(program: &OsString, arguments: &[OsString]) -> io::Result<u8> {
    setsid()?;
    ioctl_tiocsctty(io::stdout())?;
    let (to, from) = mpsc::channel::<Arrived>();
    let mut command = Command::new(own_binary()?);
    command.arg(PROGRAM_WORD).arg(program).args(arguments).process_group(0);
    catch(to, None)?;
    let child = Pid::from_child(&command.spawn()?);
    tcsetpgrp(io::stdout(), child)?;
    loop {
        let Ok(Arrived { signal, .. }) = from.recv() else { return Ok(1) };
        match signal {
            SIGCHLD => {
                while let Some(status) = changed(child)? {
                    if let Some(code) = ending::code(status) {
                        return Ok(code);
                    }
                    if status.stopped() {
                        let _ = kill_process(getpid(), Signal::STOP);
                    }
                }
            }
            SIGCONT => resume(child),
            // The terminal's signals come here only before the program is its foreground.
            signal => pass(child, signal),
        }
    }
}

fn changed(child: Pid) -> io::Result<Option<rustix::process::WaitStatus>> {
    Ok(waitpid(Some(child), WaitOptions::NOHANG | WaitOptions::UNTRACED)?.map(|(_, status)| status))
}

/// Continues the program's job.
fn resume(child: Pid) {
    let _ = kill_process_group(child, Signal::CONT);
}

fn pass(child: Pid, signal: i32) {
    if let Some(signal) = Signal::from_named_raw(signal) {
        let _ = kill_process(child, signal);
    }
}
