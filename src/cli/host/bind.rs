//! The listener of a server and its URL.

use std::sync::Arc;

use super::settings::Address;
use crate::{
    cli::error::CliError,
    http::{Listener, Tls},
};

pub(super) async fn listen(address: &Address, tls: Option<Arc<Tls>>) -> Result<Listener, CliError> {
    let (listener, shown) = match address {
        Address::Tcp(address) => {
            let listener = match tls {
                Some(tls) => Listener::tls(*address, tls).await,
                None => Listener::tcp(*address).await,
            };
            (listener, address.to_string())
        }
        Address::Unix(path) => (Listener::unix(path), format!("unix:{}", path.display())),
    };
    listener.map_err(|error| {
        CliError::failed(
            format!("cannot listen on {shown}: {error}"),
            "stop the process that listens there, or choose another --listen",
        )
    })
}

pub(super) fn url(listener: &Listener) -> Result<String, CliError> {
    listener
        .url()
        .map_err(|error| CliError::failed(format!("the socket has no address: {error}"), "try again"))
}
