//! The signals of `exec`: which of them arrive, and whether the program has them already.
//!
//! A terminal sends its signals (Ctrl-C, Ctrl-Z) to every process in its foreground, the program too. What another
//! process sends to `exec` alone is passed on.

use std::{io, sync::mpsc::Sender, thread};

use signal_hook::{
    consts::{
        SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH,
    },
    iterator::{SignalsInfo, exfiltrator::WithOrigin},
    low_level::siginfo::{Cause, Origin},
};

use crate::cli::signals::ignored;

/// The signals that are passed on, and those that tell of the program or the terminal.
const CAUGHT: [i32; 11] =
    [SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH];

/// A signal that arrived.
#[derive(Clone, Copy)]
pub(super) struct Arrived {
    pub(super) signal: i32,
    /// True if the kernel sent it, as it does for a terminal, to the program too.
    pub(super) is_shared: bool,
}

/// Sends every signal but `except` to `to`, from a thread of its own.
///
/// # Errors
/// The operating system refuses.
pub(super) fn catch<T: From<Arrived> + Send + 'static>(to: Sender<T>, except: Option<i32>) -> io::Result<()> {
    let ignored = ignored();
    // A program under `nohup` inherits what is ignored; a handler would end that.
    let is_ignored = |signal: i32| signal != SIGCHLD && (ignored >> (signal - 1)) & 1 == 1;
    let caught = CAUGHT.iter().filter(|signal| Some(**signal) != except && !is_ignored(**signal));
    let mut signals = SignalsInfo::<WithOrigin>::new(caught)?;
    thread::spawn(move || {
        for Origin { signal, cause, .. } in signals.forever() {
            let is_shared = matches!(cause, Cause::Kernel);
            if to.send(Arrived { signal, is_shared }.into()).is_err() {
                return;
            }
        }
    });
    Ok(())
}
