//! Entrances of the fuzz targets: a connection over memory, and the readers of a request's parts.

use std::sync::Arc;

use hyper::{
    HeaderMap, Uri,
    header::{self, HeaderName, HeaderValue},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    sync::watch,
    time::{Duration, timeout},
};

use super::{
    edge::{Edge, check_origin},
    error::HttpError,
    origin::Origin,
    request::{self, Query, is_well_formed},
    server::Server,
};
use crate::domain::{Email, IntegrationId, Invalid, Name, Peer, ProjectId, Provider, RequestId, Timestamp};

/// The time without an answer after which the client hangs up.
const QUIET: Duration = Duration::from_millis(2);
/// More than any input and its answers.
const PIPE_BYTES: usize = 1 << 20;

/// Sends these bytes over one connection and returns the answers.
pub(crate) async fn exchange(server: &Arc<Server>, input: &[u8]) -> Vec<u8> {
    let peer = Peer::Ip(std::net::Ipv4Addr::LOCALHOST.into());
    let slot = Arc::new(server.limiter.acquire(Some(peer)).expect("there is one connection at a time"));
    let origin = Origin { peer, metrics_open: true, is_loopback: true };
    let (mut client, socket) = duplex(PIPE_BYTES);
    let (_running, stopped) = watch::channel(false);
    let serving = Arc::clone(server).serve(socket, origin, &slot, stopped);
    let asking = async {
        let mut answers = Vec::new();
        drop(client.write_all(input).await);
        while let Ok(Ok(1..)) = timeout(QUIET, client.read_buf(&mut answers)).await {}
        drop(client.shutdown().await);
        drop(client.read_to_end(&mut answers).await);
        answers
    };
    tokio::join!(serving, asking).1
}

/// Returns the messages with which the parts of a query are refused.
pub(crate) fn query(text: &str) -> Vec<String> {
    let mut query = Query::parse(Some(text));
    let found = [
        query.take::<ProjectId>("project").err(),
        query.take::<Provider>("provider").err(),
        query.take::<Name>("name").err(),
        query.take::<IntegrationId>("cursor").err(),
        query.take::<Timestamp>("from").err(),
        query.number("limit", request::PAGE_MAX).err(),
        query.text("repositoryIdentifier").err(),
        query.finish().err(),
    ];
    found.into_iter().flatten().map(message).collect()
}

/// Returns the messages with which a path's argument is refused.
pub(crate) fn arguments(encoded: &str) -> Vec<String> {
    let found = [
        request::argument::<Email>(encoded).err(),
        request::argument::<IntegrationId>(encoded).err(),
        request::argument::<ProjectId>(encoded).err(),
    ];
    found.into_iter().flatten().map(message).collect()
}

/// Reads a project out of a path's argument.
pub(crate) fn project(encoded: &str) -> Result<ProjectId, String> {
    request::argument(encoded).map_err(message)
}

/// Returns the messages with which a request for another server, or of an unknown client, is refused.
pub(crate) fn edge(host: &str, forwarded: &str) -> Vec<String> {
    let mut headers = HeaderMap::new();
    let forwarded_for = HeaderName::from_static("x-forwarded-for");
    for (name, text) in [(header::HOST, host), (header::ORIGIN, host), (forwarded_for, forwarded)] {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    }
    let peer = Peer::Ip(std::net::Ipv4Addr::LOCALHOST.into());
    let target = host.parse::<Uri>().unwrap_or_default();
    let proxied = Edge::from(true);
    let found = [
        check_origin(&headers).err(),
        proxied.check_host(&headers, &target, true).err(),
        proxied.client(&headers, peer).err(),
        (!is_well_formed(host)).then(|| HttpError::from(Invalid { what: "path", rule: "well-formed" })),
    ];
    found.into_iter().flatten().map(message).collect()
}

/// Returns what a client reads of an error.
fn message(error: HttpError) -> String {
    let id = RequestId::new(Timestamp::from_millis(0), [0; 10]);
    String::from_utf8_lossy(&error.answer(id).body).into_owned()
}
