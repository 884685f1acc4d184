//! Reasons why a proxy gave no connection.

use std::{fmt, io};

use super::TlsFailure;

/// The reason why a proxy gave no connection; nothing was sent to the server.
#[derive(Debug)]
pub enum ProxyFailure {
    /// The variable's text is no proxy of a supported kind.
    Unusable,
    /// It does not answer.
    Unreachable(io::Error),
    /// It gave no connection within the time limit.
    Late,
    /// The TLS handshake with the proxy itself failed.
    Tls(TlsFailure),
    /// It requires a user name and password, or other ones (407).
    Unauthorized,
    /// It refuses to connect to the server, with this status.
    Refused(u16),
    /// Its answer is not HTTP.
    Foreign,
}

impl fmt::Display for ProxyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable => f.write_str("cannot be used: only http:// and https:// are supported"),
            Self::Unreachable(error) => write!(f, "does not answer: {error}"),
            Self::Late => f.write_str("did not connect in time"),
            Self::Tls(failure) => write!(f, "{failure}"),
            Self::Unauthorized => f.write_str("requires a valid user name and password"),
            Self::Refused(status) => write!(f, "refused to connect to the server (status {status})"),
            Self::Foreign => f.write_str("does not answer like a proxy"),
        }
    }
}
