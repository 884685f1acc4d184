//! What can go wrong between a client and its server; a server's refusal keeps its status, code and text.

use std::{io, time::Duration};

use super::{EndpointError, SessionError};

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
    #[error("tls with {server}: {source}")]
    Tls {
        /// With whom.
        server: String,
        /// Why not.
        source: io::Error,
    },
    /// The connection broke before there was an answer; whether the call was carried out is unknown.
    #[error("the connection to {server} broke before an answer: {text}")]
    Broken {
        /// With whom.
        server: String,
        /// What the HTTP layer says.
        text: String,
    },
    /// There was no answer in time; whether the call was carried out is unknown.
    #[error("{server} gave no answer within {} seconds", limit.as_secs())]
    Timeout {
        /// Who is silent.
        server: String,
        /// How long was waited.
        limit: Duration,
    },
    /// An answer came that this API does not give.
    #[error("{server} answers, but not as a sealroom server does (status {status})")]
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
    /// The server's code, where it gave one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => Some(&refusal.code),
            Self::Endpoint(_)
            | Self::Roots(_)
            | Self::Connect { .. }
            | Self::Tls { .. }
            | Self::Broken { .. }
            | Self::Timeout { .. }
            | Self::Foreign { .. }
            | Self::Session(_) => None,
        }
    }
}
