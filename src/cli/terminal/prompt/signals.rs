//! Signals during a prompt: they end the prompt and not the process, so that the echo is restored first.
//!
//! Once a handler is installed, the operating system's default action is gone for good; so outside a prompt the same
//! handlers emulate it. A server has its own handlers, and says so with [`are_handled`].

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

/// Signals that terminate a process by default.
const ENDING: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// Set while a signal takes its default action.
static BY_DEFAULT: AtomicBool = AtomicBool::new(true);
/// Set if another part of the process handles signals.
static ELSEWHERE: AtomicBool = AtomicBool::new(false);
/// The stream that gets a byte from each signal.
static ARRIVED: OnceLock<UnixStream> = OnceLock::new();

/// Declares that this process has its own handlers: outside a prompt, only they decide.
#[cfg(feature = "server")]
pub(in crate::cli) fn are_handled() {
    ELSEWHERE.store(true, Ordering::SeqCst);
}

/// Returns whether a prompt is waiting for its answer, and ends by a signal itself.
pub(in crate::cli) fn is_asking() -> bool {
    !BY_DEFAULT.load(Ordering::SeqCst)
}

/// A prompt during which signals wait in a pipe.
pub(super) struct Question {
    arrived: &'static UnixStream,
}

impl Question {
    pub(super) fn begin() -> io::Result<Self> {
        let arrived = arrived()?;
        BY_DEFAULT.store(false, Ordering::SeqCst);
        Ok(Self { arrived })
    }

    /// Returns the stream that is readable after a signal.
    pub(super) const fn signals(&self) -> &UnixStream {
        self.arrived
    }

    /// Returns whether a signal arrived, and clears it.
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
        // A server handles the other three itself; no other code would act on the fourth.
        if signal == SIGQUIT || !ELSEWHERE.load(Ordering::SeqCst) {
            flag::register_conditional_default(signal, &BY_DEFAULT)?;
        }
        pipe::register(signal, writer.try_clone()?)?;
    }
    Ok(ARRIVED.get_or_init(|| reader))
}
