//! The socket that systemd passes (`sd_listen_fds(3)`), and the service's state sent to it (`sd_notify(3)`).

use std::{io, net::TcpListener, os::unix::net::UnixListener, time::Duration};

use listenfd::ListenFd;
use sd_notify::NotifyState;

use super::settings::Address;
use crate::{
    cli::error::CliError,
    http::{Bound, Server},
};

/// Maximum pause between two watchdog notifications.
const ALIVE_EVERY: Duration = Duration::from_secs(10);

/// A listening socket that this process was started with.
pub(super) enum Passed {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Takes the socket that systemd passed, if any; it replaces `--listen`.
///
/// # Errors
/// There are several, or it is neither a TCP nor a unix listener.
pub(super) fn passed_socket() -> Result<Option<Passed>, CliError> {
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
    // A socket of another kind stays in its place, and is tried as that kind.
    match fds.take_tcp_listener(0) {
        Ok(listener) => Ok(listener.map(Passed::Tcp)),
        Err(_) => Ok(fds.take_unix_listener(0).map_err(wrong)?.map(Passed::Unix)),
    }
}

impl Passed {
    /// Returns its address, for the rules that apply to `--listen`.
    ///
    /// # Errors
    /// The socket does not report its address.
    pub(super) fn address(&self) -> io::Result<Address> {
        Ok(match self {
            Self::Tcp(listener) => Address::Tcp(listener.local_addr()?),
            Self::Unix(listener) => {
                Address::Unix(listener.local_addr()?.as_pathname().map(Into::into).unwrap_or_default())
            }
        })
    }

    /// Returns it as a bound socket. The file of a unix socket belongs to systemd, and stays.
    ///
    /// # Errors
    /// The socket does not report its address.
    pub(super) fn bound(self) -> io::Result<Bound> {
        match self {
            Self::Tcp(listener) => Ok(Bound::Tcp(listener)),
            Self::Unix(listener) => Bound::passed_unix(listener),
        }
    }
}

/// Notifies systemd that the server is ready, also after a reload.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Notifies systemd that the settings are being reloaded; [`ready`] follows.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Notifies systemd that the server is stopping.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Notifies systemd that the server is ready once it has taken a turn, and keeps the watchdog content from then on.
pub(super) async fn keep(server: &Server) {
    server.beat().await;
    ready();
    keep_alive(server).await;
}

/// Sends watchdog notifications for as long as it is polled, if the unit asks for them (`WatchdogSec=`), each after a
/// beat of the server: one whose accept loop or threads hang gives none, and is restarted. A disk that hangs stops no
/// beat: the server answers 503 then, and a restart would not repair the disk.
async fn keep_alive(server: &Server) {
    let Some(patience) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let mut every = tokio::time::interval((patience / 3).min(ALIVE_EVERY).max(Duration::from_millis(1)));
    loop {
        every.tick().await;
        server.beat().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "NOTIFY_SOCKET cannot be reached");
    }
}
