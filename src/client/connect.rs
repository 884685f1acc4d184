//! Connections: TCP, TLS with the system's roots or a given authority, unix sockets.

use std::{io, path::PathBuf, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{CONNECT_TIMEOUT, Endpoint, Error};

/// The half of a connection that takes requests.
pub(super) type Sender = SendRequest<Full<Bytes>>;

/// Which authorities a server's certificate may come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// Those that the system trusts.
    System,
    /// Those of this PEM file alone.
    File(PathBuf),
}

/// What every connection to one server needs.
pub(super) struct Connector {
    pub(super) endpoint: Endpoint,
    tls: Option<TlsConnector>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Connector {
    pub(super) fn new(endpoint: Endpoint, roots: &Roots) -> Result<Self, Error> {
        let tls = match &endpoint {
            Endpoint::Tcp { tls: true, .. } => Some(TlsConnector::from(Arc::new(config(roots)?))),
            Endpoint::Tcp { tls: false, .. } | Endpoint::Unix(_) => None,
        };
        Ok(Self { endpoint, tls })
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
                let failed = |source| Error::Tls { server: self.endpoint.to_string(), source };
                let name =
                    ServerName::try_from(host.clone()).map_err(|error| failed(io::Error::other(error)))?;
                Ok(Box::new(tls.connect(name, tcp).await.map_err(failed)?))
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

fn config(roots: &Roots) -> Result<ClientConfig, Error> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::System => {
            let found = rustls_native_certs::load_native_certs();
            store.add_parsable_certificates(found.certs);
            if store.is_empty() {
                return Err(Error::Roots("this system has none".to_owned()));
            }
        }
        Roots::File(path) => {
            let unreadable = |text: String| Error::Roots(format!("{}: {text}", path.display()));
            let pem = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
            let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
            for certificate in certificates.map_err(|_| unreadable("no PEM certificates".to_owned()))? {
                store
                    .add(certificate)
                    .map_err(|_| unreadable("not an authority's certificate".to_owned()))?;
            }
            if store.is_empty() {
                return Err(unreadable("no PEM certificates".to_owned()));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions.map_err(|error| Error::Roots(error.to_string()))?;
    Ok(builder.with_root_certificates(store).with_no_client_auth())
}
