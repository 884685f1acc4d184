//! Errors between a client and its server; a server's refusal keeps its status, code and text.

use std::{io, time::Duration};

use super::{EndpointError, ProxyFailure, SessionError, TlsFailure};

/// The reason why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server's URL is invalid.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The trusted certificates cannot be read.
    #[error("the trusted certificates: {0}")]
    Roots(String),
    /// No connection was established; nothing was sent.
    #[error("no server answers at {server}: {source}")]
    Connect {
        /// The server.
        server: String,
        /// The cause.
        source: io::Error,
    },
    /// The TLS handshake failed; nothing was sent.
    #[error("{server} {failure}")]
    Tls {
        /// The server.
        server: String,
        /// The cause.
        failure: TlsFailure,
    },
    /// The proxy on the way provides no connection; nothing was sent to the server.
    #[error("{}", proxy_message(.proxy, .variable, .failure))]
    Proxy {
        /// The proxy, without user name and password; empty if the variable names no usable one.
        proxy: String,
        /// The variable that names it.
        variable: &'static str,
        /// The cause.
        failure: ProxyFailure,
    },
    /// The answer is not HTTP: whether the call was carried out is unknown, though it most likely was not.
    #[error("{server} does not answer in HTTP")]
    NotHttp {
        /// The server that answered.
        server: String,
    },
    /// The connection broke before there was an answer; whether the call was carried out is unknown.
    #[error("the connection to {server} closed before an answer: {text}")]
    Broken {
        /// The server.
        server: String,
        /// The HTTP layer's text.
        text: String,
    },
    /// There was no answer in time; whether the call was carried out is unknown.
    #[error("{server} did not answer within {} seconds", limit.as_secs())]
    Timeout {
        /// The server that did not answer.
        server: String,
        /// The time limit.
        limit: Duration,
    },
    /// The answer does not follow this API.
    #[error("{server} answers, but not like a sealroom server (status {status})")]
    Foreign {
        /// The server that answered.
        server: String,
        /// The HTTP status.
        status: u16,
    },
    /// The server refused the call.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// The session cannot be used.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// A server's refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The stable error code.
    pub code: String,
    /// The server's sentence.
    pub message: String,
    /// The time until a retry, if the server says so.
    pub retry_after: Option<Duration>,
    /// The source of the token that a 401 refuses, as given to [`super::Client::token_from`].
    pub token_from: Option<String>,
}

impl Error {
    /// Returns whether nothing was sent, and a retry may get a connection.
    pub(super) const fn is_unsent(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Proxy { failure: ProxyFailure::Unreachable(_), .. })
    }

    /// Returns the server's code, if it gave one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => Some(&refusal.code),
            Self::Endpoint(_)
            | Self::Roots(_)
            | Self::Connect { .. }
            | Self::Tls { .. }
            | Self::Proxy { .. }
            | Self::NotHttp { .. }
            | Self::Broken { .. }
            | Self::Timeout { .. }
            | Self::Foreign { .. }
            | Self::Session(_) => None,
        }
    }
}

fn proxy_message(proxy: &str, variable: &str, failure: &ProxyFailure) -> String {
    if proxy.is_empty() {
        format!("{variable} names a proxy that {failure}")
    } else {
        format!("the proxy {proxy} ({variable}) {failure}")
    }
}
