//! Reasons why a proxy gave no connection.

use std::{fmt, io};

use super::TlsFailure;

/// Why nothing came through a proxy; nothing was sent to the server.
#[derive(Debug)]
pub enum ProxyFailure {
    /// The variable's text is no proxy of a kind that is spoken.
    Unusable,
    /// It does not answer.
    Unreachable(io::Error),
    /// It gave no connection within the time for one.
    Late,
    /// The TLS handshake with the proxy itself failed.
    Tls(TlsFailure),
    /// It asks for a user name and password, or for others (407).
    Unauthorized,
    /// It refuses to connect to the server, with this status.
    Refused(u16),
    /// Its answer is no HTTP.
    Foreign,
}

impl fmt::Display for ProxyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable => f.write_str("cannot be used: it is none of http:// or https://"),
            Self::Unreachable(error) => write!(f, "does not answer: {error}"),
            Self::Late => f.write_str("gave no connection in time"),
            Self::Tls(failure) => write!(f, "{failure}"),
            Self::Unauthorized => f.write_str("wants a user name and password, or others"),
            Self::Refused(status) => write!(f, "does not connect to the server (status {status})"),
            Self::Foreign => f.write_str("does not answer as a proxy does"),
        }
    }
}
