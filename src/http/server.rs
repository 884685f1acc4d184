//! The server: accepts connections, serves them and shuts them down.

use std::{
    io,
    pin::pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

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
    edge::Edge,
    linger::Lingering,
    listener::{Listener, Socket, pause_after},
    metrics::Metrics,
    origin::Origin,
    pulse::Pulse,
    request_log::ReadSummary,
    tls::Tls,
};
use crate::{clock::Clock, domain::Timestamp, vault::Vault};

/// The time that requests in flight get once the server stops.
const DRAIN: Duration = Duration::from_secs(10);
/// The interval at which rejected requests are recorded as counts (contract §2) and reads are logged.
const COUNTS_INTERVAL: Duration = Duration::from_mins(1);

/// Limits on what a client may use.
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
    /// The longest time that a response may stall.
    pub stall_timeout: Duration,
    /// The most concurrent connections; one address gets at most half of them.
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
    pub(super) edge: Edge,
    pub(super) started: Timestamp,
    pub(super) metrics: Metrics,
    pub(super) closing: watch::Sender<bool>,
    pub(super) limiter: Arc<ConnectionLimiter>,
    /// The certificate of the listener, if it has one.
    pub(super) tls: OnceLock<Arc<Tls>>,
    lingering: Lingering,
    reads: ReadSummary,
    pulse: Pulse,
}

impl Server {
    /// Creates a server that does not listen yet.
    pub fn new(vault: Arc<Vault>, clock: Clock, limits: Limits, edge: impl Into<Edge>) -> Arc<Self> {
        let (started, edge) = (clock.now(), edge.into());
        let limiter = ConnectionLimiter::new(limits.connections_max);
        let lingering = Lingering::new(limits.connections_max);
        let (limits, metrics) = (ArcSwap::from_pointee(limits), Metrics::new());
        let closing = watch::Sender::new(false);
        let reads = ReadSummary::default();
        let (tls, pulse) = (OnceLock::new(), Pulse::new());
        Arc::new(Self {
            vault,
            clock,
            limits,
            edge,
            started,
            metrics,
            closing,
            limiter,
            tls,
            lingering,
            reads,
            pulse,
        })
    }

    /// Replaces the limits for new requests and connections, except `connections_max`, which stays.
    pub fn set_limits(&self, limits: Limits) {
        self.limits.store(Arc::new(limits));
    }

    /// Returns once the accept loop has taken a turn and a thread for connections has run a task.
    pub async fn beat(&self) {
        self.pulse.ask().await;
    }

    /// Serves until `stop`, then drains the requests in flight.
    pub async fn run(self: Arc<Self>, listener: Listener, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(false);
        let metrics_open = listener.is_local() && !self.edge.is_proxied();
        let is_loopback = listener.is_loopback();
        if let Listener::Tls(_, tls) = &listener {
            // A server has one listener for its life.
            drop(self.tls.set(Arc::clone(tls)));
        }
        let mut connections = JoinSet::new();
        let mut stop = pin!(stop);
        let mut minute = interval(COUNTS_INTERVAL);
        minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                () = self.pulse.question() => {
                    let server = Arc::clone(&self);
                    connections.spawn(async move { server.pulse.answer() });
                    continue;
                }
                _ = minute.tick() => {
                    self.reads.log(&self.metrics);
                    connections.spawn(Arc::clone(&self).record_counts());
                    continue;
                }
            };
            match accepted {
                Ok((socket, peer)) => {
                    // Over the limit: the drop closes the socket before a task or a handshake is spent on it.
                    // A proxy's connections are those of many clients: none of them has a share of its own.
                    let address = Some(peer).filter(|peer| !self.edge.trusts(*peer));
                    if let Some(slot) = self.limiter.acquire(address) {
                        let origin = Origin { peer, metrics_open, is_loopback };
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
            tracing::warn!("connections still open after the drain timeout; closing them");
        }
        self.reads.log(&self.metrics);
    }

    async fn record_counts(self: Arc<Self>) {
        if self.vault.is_locked() {
            return;
        }
        if let Err(error) = self.vault.record_counts(self.clock.now()).await {
            tracing::warn!(%error, "the counts of rejected requests could not be recorded");
        }
    }

    async fn connection(
        self: Arc<Self>,
        socket: Socket,
        origin: Origin,
        slot: Slot,
        stopped: watch::Receiver<bool>,
    ) {
        let slot = Arc::new(slot);
        let served = async {
            match socket {
                Socket::Tcp(socket) => self.serve(socket, origin, &slot, stopped).await,
                Socket::Unix(socket) => self.serve(socket, origin, &slot, stopped).await,
                // Boxed: the state of a TLS connection is three times that of a plain one.
                Socket::Tls(socket, tls) => Box::pin(self.shake(socket, tls, origin, &slot, stopped)).await,
            }
        };
        tokio::select! {
            () = served => {}
            () = slot.evicted() => tracing::debug!(peer = %origin.peer, "idle connection dropped for a newcomer"),
        }
    }

    async fn shake(
        self: Arc<Self>,
        socket: TcpStream,
        tls: Arc<Tls>,
        origin: Origin,
        slot: &Arc<Slot>,
        stopped: watch::Receiver<bool>,
    ) {
        match timeout(self.limits.load().header_timeout, tls.acceptor().accept(socket)).await {
            Ok(Ok(socket)) => self.serve(socket, origin, slot, stopped).await,
            Ok(Err(error)) => tracing::debug!(%error, peer = %origin.peer, "TLS handshake failed"),
            Err(_) => tracing::debug!(peer = %origin.peer, "TLS handshake timed out"),
        }
    }

    pub(super) async fn serve<S>(
        self: Arc<Self>,
        socket: S,
        origin: Origin,
        slot: &Arc<Slot>,
        mut stopped: watch::Receiver<bool>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = **self.limits.load();
        let connection = Arc::new(Connection::of(Arc::clone(slot)));
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
                        // Close at once: no byte of a revoked credential may leave after the revocation.
                        if connection.holds(*closed_through.borrow_and_update()) {
                            return;
                        }
                    }
                }
            }
        }
        // Boxed: few connections linger.
        tokio::select! {
            () = Box::pin(self.lingering.linger(&mut socket, limits.request_timeout)) => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    }
}

/// Returns whether the server answered and closed while the client may still be sending.
fn is_cut_off(ended: &Result<(), hyper::Error>, connection: &Connection, origin: Origin) -> bool {
    let Err(error) = ended else { return connection.is_early() };
    tracing::debug!(error = reason(error), peer = %origin.peer, "connection ended early");
    error.is_parse()
}

/// Returns a fixed text for a connection error: a parser's own text may quote its input.
fn reason(error: &hyper::Error) -> &'static str {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    match source.map(io::Error::kind) {
        Some(io::ErrorKind::TimedOut) => "the client stopped reading its response",
        Some(_) => "the connection broke",
        None if error.is_timeout() => "the headers did not arrive in time",
        None if error.is_parse() => "the request is not HTTP/1.1",
        None if error.is_incomplete_message() => "the client disconnected during a request",
        None => "another reason",
    }
}
