//! Connections: TCP, TLS, unix sockets.

use std::{io, path::PathBuf};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{CONNECT_TIMEOUT, Endpoint, Error, Roots, TlsFailure, tls::connector};

/// The half of a connection that takes requests.
pub(super) type Sender = SendRequest<Full<Bytes>>;

/// What every connection to one server needs.
pub(super) struct Connector {
    pub(super) endpoint: Endpoint,
    tls: Option<TlsConnector>,
    ca_file: Option<PathBuf>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Connector {
    pub(super) fn new(endpoint: Endpoint, roots: &Roots) -> Result<Self, Error> {
        let tls = match &endpoint {
            Endpoint::Tcp { tls: true, .. } => Some(connector(roots)?),
            Endpoint::Tcp { tls: false, .. } | Endpoint::Unix(_) => None,
        };
        let ca_file = match roots {
            Roots::System => None,
            Roots::File(path) => Some(path.clone()),
        };
        Ok(Self { endpoint, tls, ca_file })
    }

    /// A new connection; its other half runs until the server or the sender goes.
    pub(super) async fn open(&self) -> Result<Sender, Error> {
        let connecting = async {
            let stream = self.stream().await?;
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.failed(io::Error::other(error)))
        };
        let late = || self.failed(io::Error::from(io::ErrorKind::TimedOut));
        let (sender, connection) = timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| late())??;
        // Its errors reach the caller through the sender.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    /// What the `Host` header says.
    pub(super) fn authority(&self) -> &str {
        match &self.endpoint {
            Endpoint::Tcp { origin, .. } => origin.split_once("://").map_or("", |(_, authority)| authority),
            Endpoint::Unix(_) => "localhost",
        }
    }

    async fn stream(&self) -> Result<Box<dyn Stream>, Error> {
        match &self.endpoint {
            Endpoint::Unix(path) => unix(path).await.map_err(|error| self.failed(error)),
            Endpoint::Tcp { host, port, .. } => {
                let tcp = TcpStream::connect((host.as_str(), *port)).await;
                let tcp = tcp.map_err(|error| self.failed(error))?;
                // A request is one write; waiting for more would only delay it.
                tcp.set_nodelay(true).map_err(|error| self.failed(error))?;
                let Some(tls) = &self.tls else { return Ok(Box::new(tcp)) };
                let failed = |failure| Error::Tls { server: self.endpoint.to_string(), failure };
                let name = ServerName::try_from(host.clone()).map_err(|_| failed(TlsFailure::NoName))?;
                let ca_file = self.ca_file.as_deref();
                let encrypted = tls.connect(name, tcp).await;
                Ok(Box::new(encrypted.map_err(|error| failed(TlsFailure::of(&error, ca_file)))?))
            }
        }
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Connect { server: self.endpoint.to_string(), source }
    }
}

#[cfg(unix)]
async fn unix(path: &std::path::Path) -> io::Result<Box<dyn Stream>> {
    Ok(Box::new(tokio::net::UnixStream::connect(path).await?))
}

#[cfg(not(unix))]
async fn unix(_: &std::path::Path) -> io::Result<Box<dyn Stream>> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}
