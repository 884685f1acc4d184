//! Signals while somebody is asked: they end the question and not the process, so that the echo comes back first.
//!
//! Once a handler stands, the operating system's own way is gone for good; so outside a question the same handlers do
//! what the system would have done. A server has handlers of its own, and says so with [`are_handled`].

use std::{
    io::{self, Read},
    os::unix::net::UnixStream,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM},
    flag,
    low_level::pipe,
};

/// What ends a process that does not care.
const ENDING: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// Whether a signal does what it does by default.
static BY_DEFAULT: AtomicBool = AtomicBool::new(true);
/// Whether somebody else decides about signals.
static ELSEWHERE: AtomicBool = AtomicBool::new(false);
/// Where each signal leaves a byte.
static ARRIVED: OnceLock<UnixStream> = OnceLock::new();

/// Says that this process has handlers of its own: outside a question they alone decide.
#[cfg(feature = "server")]
pub(in crate::cli) fn are_handled() {
    ELSEWHERE.store(true, Ordering::SeqCst);
}

/// A question during which signals wait in a pipe.
pub(super) struct Question {
    arrived: &'static UnixStream,
}

impl Question {
    pub(super) fn begin() -> io::Result<Self> {
        let arrived = arrived()?;
        BY_DEFAULT.store(false, Ordering::SeqCst);
        Ok(Self { arrived })
    }

    /// What can be read once a signal came.
    pub(super) const fn signals(&self) -> &UnixStream {
        self.arrived
    }

    /// Whether one came; it is forgotten by that.
    pub(super) fn was_interrupted(&self) -> bool {
        let mut arrived = self.arrived;
        matches!(arrived.read(&mut [0; 64]), Ok(1..))
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        BY_DEFAULT.store(true, Ordering::SeqCst);
    }
}

fn arrived() -> io::Result<&'static UnixStream> {
    if let Some(arrived) = ARRIVED.get() {
        return Ok(arrived);
    }
    let (reader, writer) = UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    for signal in ENDING {
        // Those that a server handles itself; nobody else would do anything for the fourth.
        if signal == SIGQUIT || !ELSEWHERE.load(Ordering::SeqCst) {
            flag::register_conditional_default(signal, &BY_DEFAULT)?;
        }
        pipe::register(signal, writer.try_clone()?)?;
    }
    Ok(ARRIVED.get_or_init(|| reader))
}
