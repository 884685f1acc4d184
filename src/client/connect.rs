//! Connections: TCP, direct or through a proxy, TLS, unix sockets.

use std::{io, time::Duration};

use bytes::Bytes;
use http_body_util::{Empty, Full};
use hyper::{
    Method, Request, StatusCode,
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    Endpoint, Error, Proxies, ProxyFailure, Roots, TlsFailure,
    proxy::Proxy,
    tls::{connector, proxy_connector},
};

/// Time limit for name look-up, connection and TLS handshake together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The silence after which the system probes whether the other end is still there, and the pause between two probes:
/// routers forget a silent connection after some minutes.
#[cfg(any(target_os = "linux", target_os = "macos"))]
const SILENCE: Duration = Duration::from_mins(1);
#[cfg(any(target_os = "linux", target_os = "macos"))]
const PROBE_EVERY: Duration = Duration::from_secs(15);
/// The half of a connection that takes requests.
pub(super) type Sender = SendRequest<Full<Bytes>>;

/// The settings of every connection to one server.
pub(super) struct Connector {
    pub(super) endpoint: Endpoint,
    tls: Option<TlsConnector>,
    proxy: Option<(Proxy, Option<TlsConnector>)>,
    roots: Roots,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

type Piped = Box<dyn Stream>;

impl Connector {
    pub(super) fn new(endpoint: Endpoint, roots: &Roots) -> Result<Self, Error> {
        let tls = match &endpoint {
            Endpoint::Tcp { tls: true, .. } => Some(connector(roots)?),
            Endpoint::Tcp { tls: false, .. } | Endpoint::Unix(_) => None,
        };
        Ok(Self { endpoint, tls, proxy: None, roots: roots.clone() })
    }

    /// Adds the proxy that applies to this server, if any.
    pub(super) fn through(self, proxies: &Proxies) -> Result<Self, Error> {
        let Some(proxy) = proxies.of(&self.endpoint)? else { return Ok(self) };
        let tls = proxy.tls.then(|| proxy_connector(&self.roots)).transpose()?;
        Ok(Self { proxy: Some((proxy, tls)), ..self })
    }

    /// Opens a connection; its other half runs until the server or the sender closes it.
    pub(super) async fn open(&self) -> Result<Sender, Error> {
        let connecting = async {
            let stream = self.stream().await?;
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.failed(io::Error::other(error)))
        };
        let late = || match &self.proxy {
            Some((proxy, _)) => proxy.failed(ProxyFailure::Late),
            None => self.failed(io::Error::from(io::ErrorKind::TimedOut)),
        };
        let (sender, connection) = timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| late())??;
        // Its errors reach the caller through the sender.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    /// Returns the value of the `Host` header.
    pub(super) fn authority(&self) -> &str {
        match &self.endpoint {
            Endpoint::Tcp { origin, .. } => origin.split_once("://").map_or("", |(_, authority)| authority),
            Endpoint::Unix(_) => "localhost",
        }
    }

    /// Returns the proxy on the way, if there is one.
    pub(super) fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref().map(|(proxy, _)| proxy)
    }

    /// Returns the proxy that reads each request: it gets the absolute form (RFC 9112 §3.2.2), since nothing is
    /// tunnelled.
    pub(super) fn forwarder(&self) -> Option<&Proxy> {
        self.proxy().filter(|_| self.tls.is_none())
    }

    async fn stream(&self) -> Result<Piped, Error> {
        let (host, port) = match &self.endpoint {
            Endpoint::Unix(path) => return unix(path).await.map_err(|error| self.failed(error)),
            Endpoint::Tcp { host, port, .. } => (host, *port),
        };
        let stream = match &self.proxy {
            None => tcp(host, port).await.map_err(|error| self.failed(error))?,
            Some((proxy, tls)) => {
                let unreachable = |error| proxy.failed(ProxyFailure::Unreachable(error));
                let stream = tcp(&proxy.host, proxy.port).await.map_err(unreachable)?;
                let failed = |failure| proxy.failed(ProxyFailure::Tls(failure));
                let stream = self.encrypted(tls.as_ref(), &proxy.host, stream).await.map_err(failed)?;
                if self.tls.is_some() { tunnel(proxy, stream, host, port).await? } else { stream }
            }
        };
        let failed = |failure| Error::Tls { server: self.endpoint.to_string(), failure };
        self.encrypted(self.tls.as_ref(), host, stream).await.map_err(failed)
    }

    /// Returns the stream with TLS, or the stream itself if the connection uses none.
    async fn encrypted(
        &self,
        tls: Option<&TlsConnector>,
        host: &str,
        stream: Piped,
    ) -> Result<Piped, TlsFailure> {
        let Some(tls) = tls else { return Ok(stream) };
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsFailure::NoName)?;
        let ca_file = match &self.roots {
            Roots::System => None,
            Roots::File(path) => Some(path.as_path()),
        };
        let encrypted = tls.connect(name, stream).await;
        Ok(Box::new(encrypted.map_err(|error| TlsFailure::of(&error, ca_file))?))
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Connect { server: self.endpoint.to_string(), source }
    }
}

/// Asks the proxy for a tunnel to the server (RFC 9110 §9.3.6); only the server reads what is sent through it.
async fn tunnel(proxy: &Proxy, stream: Piped, host: &str, port: u16) -> Result<Piped, Error> {
    let foreign = || proxy.failed(ProxyFailure::Foreign);
    let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(&target)
        .header(header::HOST, &target)
        .body(Empty::<Bytes>::new())
        .map_err(|_| foreign())?;
    if let Some(authorization) = &proxy.authorization {
        request.headers_mut().insert(header::PROXY_AUTHORIZATION, authorization.clone());
    }
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| foreign())?;
    tokio::spawn(async move { drop(connection.with_upgrades().await) });
    let answer = sender.send_request(request).await.map_err(|_| foreign())?;
    match answer.status() {
        status if status.is_success() => {}
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => return Err(proxy.failed(ProxyFailure::Unauthorized)),
        status => return Err(proxy.failed(ProxyFailure::Refused(status.as_u16()))),
    }
    let upgraded = hyper::upgrade::on(answer).await.map_err(|_| foreign())?;
    Ok(Box::new(TokioIo::new(upgraded)))
}

async fn tcp(host: &str, port: u16) -> io::Result<Piped> {
    let stream = TcpStream::connect((host, port)).await?;
    // A request is one write; waiting for more would only delay it.
    stream.set_nodelay(true)?;
    #[cfg(unix)]
    probe_when_silent(&stream);
    Ok(Box::new(stream))
}

/// Makes the system find out that a silent server has gone. A stream that follows the log waits for ever, and a router
/// that forgot the connection, or a host that lost its power, says nothing.
#[cfg(unix)]
fn probe_when_silent(stream: &TcpStream) {
    use rustix::net::sockopt;
    // A system that refuses leaves a connection that works.
    let _ = sockopt::set_socket_keepalive(stream, true);
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        let _ = sockopt::set_tcp_keepidle(stream, SILENCE);
        let _ = sockopt::set_tcp_keepintvl(stream, PROBE_EVERY);
    }
}

#[cfg(unix)]
async fn unix(path: &std::path::Path) -> io::Result<Piped> {
    Ok(Box::new(tokio::net::UnixStream::connect(path).await?))
}

#[cfg(not(unix))]
async fn unix(_: &std::path::Path) -> io::Result<Piped> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}
