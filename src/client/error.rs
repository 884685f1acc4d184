//! What can go wrong between a client and its server; a server's refusal keeps its status, code and text.

use std::{io, time::Duration};

use super::{EndpointError, ProxyFailure, SessionError, TlsFailure};

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server's URL is none.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The trusted certificates cannot be had.
    #[error("the trusted certificates: {0}")]
    Roots(String),
    /// No connection came about; nothing was sent.
    #[error("no server answers at {server}: {source}")]
    Connect {
        /// Where it was tried.
        server: String,
        /// Why not.
        source: io::Error,
    },
    /// The TLS handshake failed; nothing was sent.
    #[error("{server} {failure}")]
    Tls {
        /// With whom.
        server: String,
        /// Why not.
        failure: TlsFailure,
    },
    /// The proxy on the way gives no connection; nothing was sent to the server.
    #[error("{}", proxied(.proxy, .variable, .failure))]
    Proxy {
        /// The proxy, without user name and password; empty where the variable names none that can be used.
        proxy: String,
        /// The variable that names it.
        variable: &'static str,
        /// Why not.
        failure: ProxyFailure,
    },
    /// The answer is no HTTP: whether the call was carried out is unknown, though most likely it was not.
    #[error("{server} does not answer in HTTP")]
    NotHttp {
        /// Who answered.
        server: String,
    },
    /// The connection broke before there was an answer; whether the call was carried out is unknown.
    #[error("the connection to {server} closed before an answer: {text}")]
    Broken {
        /// With whom.
        server: String,
        /// What the HTTP layer says.
        text: String,
    },
    /// There was no answer in time; whether the call was carried out is unknown.
    #[error("{server} did not answer within {} seconds", limit.as_secs())]
    Timeout {
        /// Who is silent.
        server: String,
        /// How long was waited.
        limit: Duration,
    },
    /// An answer came that this API does not give.
    #[error("{server} answers, but not like a sealroom server (status {status})")]
    Foreign {
        /// Who answered.
        server: String,
        /// With what.
        status: u16,
    },
    /// The server says no.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// The session cannot go on.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// A server's no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: String,
    /// The server's sentence.
    pub message: String,
    /// When to try again, where the server says so.
    pub retry_after: Option<Duration>,
    /// Where the token came from that a 401 refuses, as [`super::Client::token_from`] was told.
    pub token_from: Option<String>,
}

impl Error {
    /// Whether nothing was sent, and another moment may bring a connection.
    pub(super) const fn is_unsent(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Proxy { failure: ProxyFailure::Unreachable(_), .. })
    }

    /// The server's code, where it gave one.
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

fn proxied(proxy: &str, variable: &str, failure: &ProxyFailure) -> String {
    if proxy.is_empty() {
        format!("{variable} names a proxy that {failure}")
    } else {
        format!("the proxy {proxy} ({variable}) {failure}")
    }
}
