//! Listen addresses: their syntax, and which of them are allowed without TLS.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
};

use crate::cli::{error::CliError, paths, source::Source};

/// The forms of an address.
const FORMS: &str = "write host:port such as 127.0.0.1:3029 or [::1]:3029 (0.0.0.0:3029 is every address, port 0 any \
                     free port), or unix:PATH";

/// The address that a server listens on, as configured.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli::host) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Parses an address; resolves a name.
pub(super) fn parse(text: &str, source: &Source) -> Result<Address, CliError> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = Path::new(path);
        if path.as_os_str().is_empty() {
            return Err(source.refuse("'unix:' has no path after it", FORMS));
        }
        paths::check(path, source)?;
        return Ok(Address::Unix(path.to_owned()));
    }
    let refuse = |what: String| source.refuse(format!("'{}' {what}", text.escape_debug()), FORMS);
    let (host, port) =
        text.rsplit_once(':').ok_or_else(|| refuse("is not an address: it has no port".to_owned()))?;
    if port.parse::<u16>().is_err() {
        return Err(refuse("has no port from 0 to 65535 after its last colon".to_owned()));
    }
    if host.is_empty() {
        return Err(refuse("has no host before its port".to_owned()));
    }
    match text.to_socket_addrs().map(|mut found| found.next()) {
        Ok(Some(address)) => Ok(Address::Tcp(address)),
        Ok(None) => Err(refuse("resolves to no address".to_owned())),
        Err(error) => Err(refuse(format!("has an unknown host: {error}"))),
    }
}
