//! The first process of a new terminal: it makes the program that terminal's foreground job.
//!
//! ```text
//! user's terminal ─ exec ─ new terminal ─ monitor (leads its session) ─ program (a job of its own)
//! ```
//!
//! A job whose parent is not of its own session cannot be stopped by Ctrl-Z (POSIX: an orphaned process group). So this
//! process stands between: it stops when the program stops, which `exec` sees, and continues the program when it is
//! continued. It is this binary again, since a session begins only in a process that is no group's leader.

use std::{
    ffi::OsString,
    io::{self, Write},
    os::unix::process::CommandExt,
    process::Command,
    sync::mpsc,
};

use rustix::{
    process::{
        Pid, Signal, WaitOptions, getpid, ioctl_tiocsctty, kill_process, kill_process_group, setsid, waitpid,
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

/// Runs the program, and returns its exit code.
pub(in crate::cli) fn run(words: &[OsString]) -> u8 {
    memory::leave_no_core();
    let Some((program, arguments)) = words.split_first() else { return 1 };
    match start(program, arguments) {
        Ok(code) => code,
        Err(error) => {
            let name = program.to_string_lossy();
            drop(writeln!(io::stderr(), "error: {}", ending::unstarted(&name, &error).message));
            ending::unstarted(&name, &error).exit as u8
        }
    }
}

fn start(program: &OsString, arguments: &[OsString]) -> io::Result<u8> {
    setsid()?;
    ioctl_tiocsctty(io::stdout())?;
    let (to, from) = mpsc::channel::<Arrived>();
    let mut command = Command::new(program);
    command.args(arguments).process_group(0);
    catch(to, None)?;
    let child = Pid::from_child(&command.spawn()?);
    // The program may have met its terminal before it was its foreground, which stops it.
    tcsetpgrp(io::stdout(), child)?;
    loop {
        let Ok(Arrived { signal, .. }) = from.recv() else { return Ok(1) };
        match signal {
            SIGCHLD => {
                while let Some(status) = changed(child)? {
                    if let Some(code) = ending::code(status) {
                        return Ok(code);
                    }
                    stopped(child, status.stopping_signal());
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

fn stopped(child: Pid, signal: Option<i32>) {
    let is_early = signal == Some(Signal::TTIN.as_raw()) || signal == Some(Signal::TTOU.as_raw());
    if is_early && tcgetpgrp(io::stdout()).is_ok_and(|foreground| foreground == child) {
        resume(child);
    } else {
        let _ = kill_process(getpid(), Signal::STOP);
    }
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
