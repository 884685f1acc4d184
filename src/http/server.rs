//! Sockets in: who gets a connection, for how long, and how it ends.

use std::{io, pin::pin, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    connection::{Connection, Watched},
    connection_limit::{ConnectionLimiter, Slot},
    linger::Lingering,
    listener::{Listener, Socket, pause_after},
    metrics::Metrics,
    origin::Origin,
    tls::Tls,
};
use crate::{clock::Clock, domain::Timestamp, vault::Vault};

/// How long answers under way may take once the server stops.
const DRAIN: Duration = Duration::from_secs(10);
/// How often what is only counted becomes an event (contract §2).
const COUNTS_EVERY: Duration = Duration::from_mins(1);

/// What a client may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest body, in bytes.
    pub body_bytes_max: usize,
    /// The longest header block, in bytes.
    pub header_bytes_max: usize,
    /// The time for the headers.
    pub header_timeout: Duration,
    /// The time for the whole request.
    pub request_timeout: Duration,
    /// For how long a response may stall.
    pub stall_timeout: Duration,
    /// The most connections at a time; one address gets half of them.
    pub connections_max: usize,
}

impl Limits {
    /// The limits of the contract, section 1.
    pub const STANDARD: Self = Self {
        body_bytes_max: 64 * 1024,
        header_bytes_max: 16 * 1024,
        header_timeout: Duration::from_secs(10),
        request_timeout: Duration::from_secs(30),
        stall_timeout: Duration::from_secs(30),
        connections_max: 1024,
    };
}

/// A server over a vault.
pub struct Server {
    pub(super) vault: Arc<Vault>,
    pub(super) clock: Clock,
    pub(super) limits: ArcSwap<Limits>,
    pub(super) behind_proxy: bool,
    pub(super) started: Timestamp,
    pub(super) metrics: Metrics,
    pub(super) closing: watch::Sender<bool>,
    limiter: Arc<ConnectionLimiter>,
    lingering: Lingering,
}

impl Server {
    /// A server that does not listen yet. `behind_proxy` takes the peer from the last hop of `X-Forwarded-For`.
    pub fn new(vault: Arc<Vault>, clock: Clock, limits: Limits, behind_proxy: bool) -> Arc<Self> {
        let started = clock.now();
        let limiter = ConnectionLimiter::new(limits.connections_max, behind_proxy);
        let lingering = Lingering::new(limits.connections_max);
        let (limits, metrics) = (ArcSwap::from_pointee(limits), Metrics::new());
        let closing = watch::Sender::new(false);
        Arc::new(Self { vault, clock, limits, behind_proxy, started, metrics, closing, limiter, lingering })
    }

    /// Exchanges the limits for requests and connections to come; how many connections there may be stays.
    pub fn set_limits(&self, limits: Limits) {
        self.limits.store(Arc::new(limits));
    }

    /// Serves until `stop`, then finishes what is under way.
    pub async fn run(self: Arc<Self>, listener: Listener, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(false);
        let metrics_open = listener.is_local() && !self.behind_proxy;
        let mut connections = JoinSet::new();
        let mut stop = pin!(stop);
        let mut minute = interval(COUNTS_EVERY);
        minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                _ = minute.tick() => {
                    connections.spawn(Arc::clone(&self).record_counts());
                    continue;
                }
            };
            match accepted {
                Ok((socket, peer)) => {
                    // Over the limit: the drop closes the socket before a task or a handshake is spent on it.
                    if let Some(slot) = self.limiter.acquire(peer) {
                        let origin = Origin { peer, metrics_open };
                        connections.spawn(Arc::clone(&self).connection(
                            socket,
                            origin,
                            slot,
                            stopped.clone(),
                        ));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    pause_after(&error).await;
                }
            }
        }
        drop(listener);
        stopping.send_replace(true);
        self.closing.send_replace(true);
        let drained = timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            tracing::warn!("connections that did not end in time are closed");
        }
    }

    async fn record_counts(self: Arc<Self>) {
        if self.vault.is_locked() {
            return;
        }
        if let Err(error) = self.vault.record_counts(self.clock.now()).await {
            tracing::warn!(%error, "what was only counted could not be recorded");
        }
    }

    async fn connection(
        self: Arc<Self>,
        socket: Socket,
        origin: Origin,
        slot: Slot,
        stopped: watch::Receiver<bool>,
    ) {
        match socket {
            Socket::Tcp(socket) => self.serve(socket, origin, stopped).await,
            Socket::Unix(socket) => self.serve(socket, origin, stopped).await,
            // In a box: its state is three times that of a plain connection, which would carry it too.
            Socket::Tls(socket, tls) => Box::pin(self.shake(socket, tls, origin, stopped)).await,
        }
        drop(slot);
    }

    async fn shake(
        self: Arc<Self>,
        socket: TcpStream,
        tls: Arc<Tls>,
        origin: Origin,
        stopped: watch::Receiver<bool>,
    ) {
        match timeout(self.limits.load().header_timeout, tls.acceptor().accept(socket)).await {
            Ok(Ok(socket)) => self.serve(socket, origin, stopped).await,
            Ok(Err(error)) => tracing::debug!(%error, peer = %origin.peer, "no TLS handshake"),
            Err(_) => tracing::debug!(peer = %origin.peer, "the TLS handshake took too long"),
        }
    }

    async fn serve<S>(self: Arc<Self>, socket: S, origin: Origin, mut stopped: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = **self.limits.load();
        let connection = Arc::new(Connection::default());
        let mut closed_through = self.vault.closed_through();
        let service = {
            let (server, connection) = (Arc::clone(&self), Arc::clone(&connection));
            service_fn(move |request| {
                let (server, connection) = (Arc::clone(&server), Arc::clone(&connection));
                async move {
                    Ok::<_, std::convert::Infallible>(server.respond(request, origin, &connection).await)
                }
            })
        };
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(limits.header_bytes_max.max(8192))
            .half_close(false);
        let mut socket = Watched::new(socket, Arc::clone(&connection), limits.stall_timeout);
        {
            let mut serving = pin!(http.serve_connection(TokioIo::new(&mut socket), service));
            loop {
                tokio::select! {
                    ended = &mut serving => {
                        if !is_cut_off(&ended, &connection, origin) {
                            return;
                        }
                        break;
                    }
                    Ok(()) = stopped.changed() => serving.as_mut().graceful_shutdown(),
                    Ok(()) = closed_through.changed() => {
                        // What a revocation took away must not leave any more: the connection closes where it stands.
                        if connection.holds(*closed_through.borrow_and_update()) {
                            return;
                        }
                    }
                }
            }
        }
        // In a box: few connections come here, and each would carry its state.
        tokio::select! {
            () = Box::pin(self.lingering.linger(&mut socket, limits.request_timeout)) => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    }
}

/// Whether the server ended the connection over a request that its client may still be sending, with an answer.
fn is_cut_off(ended: &Result<(), hyper::Error>, connection: &Connection, origin: Origin) -> bool {
    let Err(error) = ended else { return connection.is_early() };
    tracing::debug!(error = reason(error), peer = %origin.peer, "a connection ended early");
    error.is_parse()
}

/// Why a connection ended, in words of our own: a parser's text may quote what it read.
fn reason(error: &hyper::Error) -> &'static str {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    match source.map(io::Error::kind) {
        Some(io::ErrorKind::TimedOut) => "the client did not take its answer",
        Some(_) => "the connection broke",
        None if error.is_timeout() => "the headers did not come in time",
        None if error.is_parse() => "the request is no HTTP/1.1",
        None if error.is_incomplete_message() => "the client hung up in the middle of a request",
        None => "another reason",
    }
}
