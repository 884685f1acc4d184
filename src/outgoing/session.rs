//! One connection to a provider: allowed addresses alone, TLS, bounded answers, no redirects.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request,
    client::conn::http1::{self, SendRequest},
    header::{self, HeaderMap, HeaderValue},
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    net::{TcpStream, lookup_host},
    task::JoinSet,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::Host;

use super::{address::is_forbidden, failure::Failure, hosts::ApiBase};
use crate::domain::Secret;

/// The longest answer: a token comes with a description of its repository, which is below 10 KiB.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// An answer, whatever its status.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Secret,
}

struct Wiped(Secret);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

/// A connection that is kept for the calls of one token.
pub(super) struct Session<'a> {
    tls: &'a TlsConnector,
    base: &'a ApiBase,
    sender: Option<SendRequest<Full<Bytes>>>,
    /// Ends the connection with the session, in whatever state it is.
    tasks: JoinSet<()>,
}

impl<'a> Session<'a> {
    pub(super) fn new(tls: &'a TlsConnector, base: &'a ApiBase) -> Self {
        Self { tls, base, sender: None, tasks: JoinSet::new() }
    }

    /// Sends a request with this bearer token and reads the answer.
    pub(super) async fn call(
        &mut self,
        method: Method,
        path: &str,
        bearer: &str,
        body: Vec<u8>,
    ) -> Result<Answer, Failure> {
        let request = self.request(method, path, bearer, body)?;
        self.send(request).await
    }

    /// Sends a request and reads the answer.
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        let mut sender = self.sender().await?;
        let answer = sender.send_request(request).await.map_err(|_| Failure::Broken)?;
        let (head, body) = answer.into_parts();
        let whole = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { Failure::TooLong } else { Failure::Broken }
        })?;
        // hyper's own buffers cannot be wiped from here; this copy can.
        let body = Secret::new(whole.to_bytes().to_vec());
        self.sender = Some(sender);
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        bearer: &str,
        body: Vec<u8>,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let authorization = Wiped(Secret::from(["Bearer ", bearer].concat()));
        let mut authorization =
            HeaderValue::from_maybe_shared(Bytes::from_owner(authorization)).map_err(|_| Failure::Broken)?;
        authorization.set_sensitive(true);
        let mut request = Request::builder()
            .method(method)
            .uri([&self.base.path, path].concat())
            .header(header::HOST, self.base.authority())
            .header(header::USER_AGENT, concat!("sealroom/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28")
            .header(header::AUTHORIZATION, authorization);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request.body(Full::new(body.into())).map_err(|_| Failure::Broken)
    }

    /// Returns the connection of the call before if it is still open, or a new one.
    async fn sender(&mut self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        if let Some(mut sender) = self.sender.take()
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        let stream = encrypted(self.tls, &self.base.host, tcp(self.base).await?).await?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|_| Failure::Broken)?;
        // Its errors reach the caller through the sender.
        self.tasks.spawn(async move { drop(connection.await) });
        Ok(sender)
    }
}

/// Connects to the first address that is allowed and answers. The name is resolved once: what was checked is what is
/// called.
async fn tcp(base: &ApiBase) -> Result<TcpStream, Failure> {
    let found: io::Result<Vec<SocketAddr>> = match &base.host {
        Host::Domain(name) => lookup_host((name.as_str(), base.port)).await.map(Iterator::collect),
        Host::Ipv4(address) => Ok(vec![(*address, base.port).into()]),
        Host::Ipv6(address) => Ok(vec![(*address, base.port).into()]),
    };
    let found = found.map_err(|_| Failure::Unresolved)?;
    let mut failure = if found.is_empty() { Failure::Unresolved } else { Failure::ForbiddenAddress };
    for address in found.into_iter().filter(|address| !is_forbidden(address.ip())) {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // A request is one write; waiting for more would only delay it.
                stream.set_nodelay(true).map_err(|_| Failure::Unreachable)?;
                return Ok(stream);
            }
            Err(_) => failure = Failure::Unreachable,
        }
    }
    Err(failure)
}

async fn encrypted(
    tls: &TlsConnector,
    host: &Host<String>,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Failure> {
    let name = match host {
        Host::Domain(name) => ServerName::try_from(name.clone()).map_err(|_| Failure::Unresolved)?,
        Host::Ipv4(address) => ServerName::IpAddress(IpAddr::from(*address).into()),
        Host::Ipv6(address) => ServerName::IpAddress(IpAddr::from(*address).into()),
    };
    tls.connect(name, stream).await.map_err(|error| Failure::of_tls(&error))
}
