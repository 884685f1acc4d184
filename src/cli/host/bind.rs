//! The listener of a server and its URL.

use super::settings::Address;
use crate::{
    cli::error::CliError,
    http::{Bound, Listener},
};

/// Binds the address that the settings name.
pub(super) fn bind(address: &Address) -> Result<Bound, CliError> {
    let (bound, shown) = match address {
        Address::Tcp(address) => (Bound::tcp(*address), address.to_string()),
        Address::Unix(path) => (Bound::unix(path), format!("unix:{}", path.display())),
    };
    bound.map_err(|error| {
        CliError::failed(
            format!("cannot listen on {shown}: {error}"),
            "stop the process that listens there, or choose another --listen",
        )
    })
}

pub(super) fn url(listener: &Listener) -> Result<String, CliError> {
    listener.url().map_err(|error| no_listener(&error))
}

/// Returns the error of a socket that is bound and cannot be used.
pub(super) fn no_listener(error: &std::io::Error) -> CliError {
    CliError::failed(format!("the listening socket cannot be used: {error}"), "try again")
}
