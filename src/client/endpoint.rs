//! A server's address: `http://host:port`, `https://host` or `unix:PATH`.

use std::{fmt, path::PathBuf, str::FromStr};

use url::{Host, Url};

/// The published base path; a URL may end with it, since clients of this API accept it there.
const BASE_PATH: &str = "/sfp/api";

/// The address of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// Plain or encrypted, over TCP.
    Tcp {
        /// The name or address, IPv6 without brackets.
        host: String,
        /// The port.
        port: u16,
        /// `true` for TLS.
        tls: bool,
        /// Scheme, host and port, for display.
        origin: String,
        /// `true` if the address is this host's own.
        loopback: bool,
    },
    /// A socket file.
    Unix(PathBuf),
}

/// The reason why a text names no server. No variant contains the text: it may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is no URL, or has another scheme.
    #[error("the server's URL must begin with http://, https:// or unix:")]
    Scheme,
    /// It is no URL.
    #[error("the server's URL cannot be read")]
    Malformed,
    /// It has a user name or password.
    #[error("the server's URL has a user name or password in it")]
    UserInfo,
    /// It has a path, a query or a fragment.
    #[error("the server's URL has a path in it")]
    Path,
}

impl Endpoint {
    /// Returns whether a credential would cross a network in the clear.
    pub const fn is_exposed(&self) -> bool {
        matches!(self, Self::Tcp { tls: false, loopback: false, .. })
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(EndpointError::Malformed) } else { Ok(Self::Unix(path.into())) };
        }
        let tls = match text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase()).as_deref() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(EndpointError::Scheme),
        };
        let url = Url::parse(text).map_err(|_| EndpointError::Malformed)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::UserInfo);
        }
        let path = url.path().trim_end_matches('/');
        if !(path.is_empty() || path == BASE_PATH) || url.query().is_some() || url.fragment().is_some() {
            return Err(EndpointError::Path);
        }
        let (host, loopback) = match url.host().ok_or(EndpointError::Malformed)? {
            Host::Domain(name) => (name.to_owned(), name == "localhost" || name.ends_with(".localhost")),
            Host::Ipv4(address) => (address.to_string(), address.is_loopback()),
            Host::Ipv6(address) => (address.to_string(), address.is_loopback()),
        };
        let port = url.port_or_known_default().ok_or(EndpointError::Malformed)?;
        Ok(Self::Tcp { host, port, tls, origin: url.origin().ascii_serialization(), loopback })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { origin, .. } => f.write_str(origin),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_one_spelling_however_it_was_written() {
        for (text, shown) in [
            ("http://127.0.0.1:3029", "http://127.0.0.1:3029"),
            (" http://LOCALHOST:3029/ ", "http://localhost:3029"),
            ("https://vault.example.com:443/sfp/api/", "https://vault.example.com"),
            ("HTTPS://[::1]:8443/sfp/api", "https://[::1]:8443"),
            ("unix:/run/v.sock", "unix:/run/v.sock"),
            ("unix:///run/v.sock", "unix:/run/v.sock"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_server_says_why_and_never_repeats_itself() {
        for (text, error) in [
            ("", EndpointError::Scheme),
            ("localhost:3029", EndpointError::Scheme),
            ("ftp://x", EndpointError::Scheme),
            ("http://", EndpointError::Malformed),
            ("http://x:99999", EndpointError::Malformed),
            ("unix:", EndpointError::Malformed),
            ("http://ada:example@vault.example.com", EndpointError::UserInfo),
            ("http://ada@vault.example.com", EndpointError::UserInfo),
            ("http://vault.example.com/team", EndpointError::Path),
            ("http://vault.example.com/?x=1", EndpointError::Path),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(error), "{text}");
            assert!(!error.to_string().contains("ada"));
        }
    }

    #[test]
    fn only_a_plain_connection_to_another_host_is_exposed() {
        for (text, exposed) in [
            ("http://127.0.0.1:1", false),
            ("http://127.9.9.9:1", false),
            ("http://[::1]:1", false),
            ("http://localhost:1", false),
            ("http://10.0.0.1:1", true),
            ("http://localhost.example.com", true),
            ("https://10.0.0.1", false),
            ("unix:/x", false),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().is_exposed(), exposed, "{text}");
        }
    }
}
