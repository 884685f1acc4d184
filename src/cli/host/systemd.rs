//! The socket that systemd passes (`sd_listen_fds(3)`), and the service's state that it is sent (`sd_notify(3)`).

use std::{io, net::TcpListener, os::unix::net::UnixListener, sync::Arc, time::Duration};

use listenfd::ListenFd;
use sd_notify::NotifyState;

use super::settings::Address;
use crate::{
    cli::error::CliError,
    http::{Listener, Tls},
};

/// The longest pause between two signs of life.
const ALIVE_EVERY: Duration = Duration::from_secs(10);

/// A listening socket that this process was started with.
pub(super) enum Passed {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Takes the socket that systemd passed, if it passed one; it comes in the place of `--listen`.
///
/// # Errors
/// There are several, or it is neither a TCP nor a unix listener.
pub(super) fn passed() -> Result<Option<Passed>, CliError> {
    let hint = "configure one ListenStream= in the socket unit, an address or a path";
    let wrong = |error: io::Error| CliError::failed(format!("the socket of LISTEN_FDS: {error}"), hint);
    let mut fds = ListenFd::from_env();
    match fds.len() {
        0 => return Ok(None),
        1 => {}
        count => {
            return Err(CliError::failed(
                format!("LISTEN_FDS passes {count} sockets, but only one is served"),
                hint,
            ));
        }
    }
    // A socket of another kind stays in its place and is tried as that kind.
    match fds.take_tcp_listener(0) {
        Ok(listener) => Ok(listener.map(Passed::Tcp)),
        Err(_) => Ok(fds.take_unix_listener(0).map_err(wrong)?.map(Passed::Unix)),
    }
}

impl Passed {
    /// Its address, for the rules that hold for `--listen`.
    ///
    /// # Errors
    /// The socket does not say.
    pub(super) fn address(&self) -> io::Result<Address> {
        Ok(match self {
            Self::Tcp(listener) => Address::Tcp(listener.local_addr()?),
            Self::Unix(listener) => {
                Address::Unix(listener.local_addr()?.as_pathname().map(Into::into).unwrap_or_default())
            }
        })
    }

    /// Listens on it. A unix socket's file is systemd's, and stays.
    ///
    /// # Errors
    /// The runtime does not take it.
    pub(super) fn listen(self, tls: Option<Arc<Tls>>) -> io::Result<Listener> {
        match self {
            Self::Tcp(listener) => Listener::passed_tcp(listener, tls),
            Self::Unix(listener) => Listener::passed_unix(listener),
        }
    }
}

/// Says that the server answers.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Says that settings are read again; [`ready`] follows.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Says that the server ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Gives signs of life for as long as it is polled, where the unit asks for them (`WatchdogSec=`). A disk that hangs
/// stops none of them: the server answers 503 then, and a restart would not mend the disk.
pub(super) async fn keep_alive() {
    let Some(patience) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let mut every = tokio::time::interval((patience / 3).min(ALIVE_EVERY).max(Duration::from_millis(1)));
    loop {
        every.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "NOTIFY_SOCKET cannot be reached");
    }
}
