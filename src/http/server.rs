//! Sockets in, answers out.

use std::{
    io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{
    Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::timeout,
};

use super::{
    connection::{Connection, Watched},
    error::Fault,
    handlers,
    request::{self, Call, Query, bearer},
    response::{Answer, Payload},
    routes::{self, Access, Endpoint, Found, Route},
};
use crate::{
    api::responses::{AuditState, Health},
    clock::Clock,
    crypto::random,
    domain::{Caller, Email, Peer, RequestId, Timestamp, days},
    vault::{Admitted, Context, Error, Vault},
};

/// How long answers under way may take once the server stops.
const DRAIN: Duration = Duration::from_secs(10);
/// A token's end is announced in its last days.
const SOON_DAYS: u64 = 7;

/// What a client may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest body, in bytes.
    pub body_bytes_max: usize,
    /// The longest header block, in bytes.
    pub header_bytes_max: usize,
    /// The time for the headers.
    pub header_timeout: Duration,
    /// The time for the whole request.
    pub request_timeout: Duration,
    /// The most connections at a time.
    pub connections_max: usize,
}

impl Limits {
    /// The limits of the contract, section 1.
    pub const STANDARD: Self = Self {
        body_bytes_max: 64 * 1024,
        header_bytes_max: 16 * 1024,
        header_timeout: Duration::from_secs(10),
        request_timeout: Duration::from_secs(30),
        connections_max: 1024,
    };
}

/// Where to listen.
#[derive(Debug)]
pub enum Listener {
    /// An address.
    Tcp(TcpListener),
    /// A socket file, removed at the end.
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Binds an address.
    ///
    /// # Errors
    /// It is taken, or not ours.
    pub async fn tcp(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self::Tcp)
    }

    /// Binds a socket file, mode 0600; one that nobody answers any more is replaced.
    ///
    /// # Errors
    /// Somebody answers there, or the folder refuses.
    pub fn unix(path: &Path) -> io::Result<Self> {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self::Unix(listener, path.to_owned()))
    }

    /// The URL of the server, as a client would write it.
    ///
    /// # Errors
    /// The socket has no address.
    pub fn url(&self) -> io::Result<String> {
        match self {
            Self::Tcp(listener) => Ok(format!("http://{}", listener.local_addr()?)),
            Self::Unix(_, path) => Ok(format!("unix:{}", path.display())),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            drop(std::fs::remove_file(path));
        }
    }
}

/// A server over a vault.
pub struct Server {
    vault: Arc<Vault>,
    clock: Clock,
    limits: Limits,
    behind_proxy: bool,
    started: Timestamp,
    slots: Arc<Semaphore>,
}

impl Server {
    /// A server that does not listen yet. `behind_proxy` takes the peer from the last hop of `X-Forwarded-For`.
    pub fn new(vault: Arc<Vault>, clock: Clock, limits: Limits, behind_proxy: bool) -> Arc<Self> {
        let started = clock.now();
        let slots = Arc::new(Semaphore::new(limits.connections_max));
        Arc::new(Self { vault, clock, limits, behind_proxy, started, slots })
    }

    /// Serves until `stop`, then finishes what is under way.
    pub async fn run(self: Arc<Self>, listener: Listener, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut stop = pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = self.accept(&listener) => accepted,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            };
            match accepted {
                Ok((Socket::Tcp(socket), peer)) => {
                    let server = Arc::clone(&self);
                    connections.spawn(server.connection(socket, peer, stopped.clone()));
                }
                Ok((Socket::Unix(socket), peer)) => {
                    let server = Arc::clone(&self);
                    connections.spawn(server.connection(socket, peer, stopped.clone()));
                }
                Err(error) => {
                    // Out of descriptors, most likely: it passes, and looping at once would burn a core.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(listener);
        stopping.send_replace(true);
        let drained = timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            tracing::warn!("connections that did not end in time are closed");
        }
    }

    async fn accept(&self, listener: &Listener) -> io::Result<(Socket, Peer)> {
        match listener {
            Listener::Tcp(listener) => {
                let (socket, address) = listener.accept().await?;
                socket.set_nodelay(true)?;
                Ok((Socket::Tcp(socket), Peer::Ip(address.ip())))
            }
            Listener::Unix(listener, _) => Ok((Socket::Unix(listener.accept().await?.0), Peer::Unix)),
        }
    }

    async fn connection<S>(self: Arc<Self>, socket: S, peer: Peer, mut stopped: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Ok(_slot) = Arc::clone(&self.slots).try_acquire_owned() else { return };
        let connection = Arc::new(Connection::default());
        let mut called_in = self.vault.called_in();
        let service = {
            let (server, connection) = (Arc::clone(&self), Arc::clone(&connection));
            service_fn(move |request| {
                let (server, connection) = (Arc::clone(&server), Arc::clone(&connection));
                async move { Ok::<_, std::convert::Infallible>(server.respond(request, peer, &connection).await) }
            })
        };
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_timeout)
            .max_buf_size(self.limits.header_bytes_max.max(8192))
            .half_close(false);
        let io = TokioIo::new(Watched::new(socket, Arc::clone(&connection)));
        let mut serving = pin!(http.serve_connection(io, service));
        loop {
            tokio::select! {
                _ = &mut serving => return,
                Ok(()) = stopped.changed() => serving.as_mut().graceful_shutdown(),
                Ok(()) = called_in.changed() => {
                    // What a revocation took away must not leave any more: the connection closes where it stands.
                    if connection.holds(*called_in.borrow_and_update()) {
                        return;
                    }
                }
            }
        }
    }

    async fn respond(
        &self,
        request: Request<Incoming>,
        peer: Peer,
        connection: &Arc<Connection>,
    ) -> Response<Payload> {
        let now = self.clock.now();
        let id = RequestId::new(now, random::bytes().unwrap_or_default());
        let context = Context { now, request: Some(id), peer: Some(self.peer(&request, peer)) };
        let answer = self.answer(request, context).await.unwrap_or_else(|fault| fault.answer(id));
        tracing::debug!(request = %id, status = answer.status.as_u16(), "answered");
        answer.finish(id, connection)
    }

    async fn answer(&self, request: Request<Incoming>, context: Context) -> Result<Answer, Fault> {
        let (head, body) = request.into_parts();
        let (route, argument) = match routes::find(head.method.as_str(), head.uri.path()) {
            Found::Route(route, argument) => (route, argument.to_owned()),
            Found::OtherMethod(allow) => return Err(Fault::Method(allow)),
            Found::Nothing => return Err(Fault::NoRoute),
        };
        let query = Query::parse(head.uri.query());
        match route.endpoint {
            Endpoint::Health => return query.finish().map(|()| self.health(context.now)),
            Endpoint::Ping => return query.finish().map(|()| Answer::text("pong".to_owned())),
            _ => {}
        }
        let caller = self.admit(route, &argument, &head.headers, &context).await?;
        let body =
            if route.endpoint.takes_body() { self.body(&head.headers, body).await? } else { Bytes::new() };
        let ends = caller.as_ref().and_then(|admitted| admitted.caller.token_expires_at);
        let call = Call {
            vault: Arc::clone(&self.vault),
            context,
            caller,
            argument,
            query,
            headers: head.headers,
            body,
        };
        let answer = handlers::answer(route.endpoint, call).await?;
        match ends.filter(|end| *end <= context.now.plus(days(SOON_DAYS))) {
            Some(end) => Ok(answer.header("token-expires-at", end)),
            None => Ok(answer),
        }
    }

    /// Locked, then who, then what: before anything of the body is read.
    async fn admit(
        &self,
        route: &Route,
        argument: &str,
        headers: &hyper::HeaderMap,
        context: &Context,
    ) -> Result<Option<Admitted>, Fault> {
        if self.vault.is_locked() {
            return Err(Error::Locked.into());
        }
        let (own, other) = match route.access {
            Access::Open | Access::Login => return Ok(None),
            Access::Needs(verb) => (verb, verb),
            Access::OwnOr(own, other) => (own, other),
        };
        let verb = |caller: &Caller| {
            let named = || request::argument::<Email>(argument).ok();
            if own != other && caller.email().is_some_and(|email| named().as_ref() == Some(email)) {
                own
            } else {
                other
            }
        };
        let (admitted, _) = self.vault.admit(context, bearer(headers), verb).await?;
        Ok(Some(admitted))
    }

    async fn body(&self, headers: &hyper::HeaderMap, body: Incoming) -> Result<Bytes, Fault> {
        let bytes_max = self.limits.body_bytes_max;
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > bytes_max as u64) {
            return Err(Fault::TooLarge { bytes_max });
        }
        let kind =
            headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(Fault::MediaType);
        }
        match timeout(self.limits.request_timeout, Limited::new(body, bytes_max).collect()).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Fault::TooLarge { bytes_max }),
            Ok(Err(_)) => Err(Fault::BrokenBody),
            Err(_) => Err(Fault::Timeout),
        }
    }

    fn health(&self, now: Timestamp) -> Answer {
        let audit = if self.vault.is_locked() { AuditState::Locked } else { AuditState::Writable };
        let uptime = now.since(self.started).as_secs();
        let health = Health::new(env!("CARGO_PKG_VERSION"), audit, self.vault.is_disk_low(), uptime);
        let status = StatusCode::from_u16(health.status_code()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        Answer::json(status, &health)
    }

    /// Behind a proxy the peer is the last hop of `X-Forwarded-For`; without one that header means nothing.
    fn peer(&self, request: &Request<Incoming>, socket: Peer) -> Peer {
        if !self.behind_proxy {
            return socket;
        }
        let last = request.headers().get_all("x-forwarded-for").iter().next_back();
        let hop = last.and_then(|value| value.to_str().ok()?.rsplit(',').next());
        hop.and_then(|hop| hop.trim().parse().ok()).map_or(socket, Peer::Ip)
    }
}

enum Socket {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}
