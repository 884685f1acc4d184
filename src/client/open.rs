//! A connection to a server that may still be starting.

use std::{io, time::Duration};

use tokio::time::sleep;

use super::{Client, Endpoint, Error, Notice, connect::Sender, patience::EVERY};

/// The wait after which the user gets a notice.
const SILENT_MAX: Duration = Duration::from_secs(1);

impl Client {
    /// Opens a connection, waiting for a server that is still starting.
    pub(super) async fn open(&self) -> Result<Sender, Error> {
        loop {
            let error = match self.connector.open().await {
                Ok(sender) => return Ok(sender),
                Err(error) => error,
            };
            let spent = if self.may_start(&error) { self.patience.spend() } else { None };
            let Some(spent) = spent else { return Err(error) };
            if spent == SILENT_MAX {
                let server = self.endpoint().to_string();
                (self.notify)(Notice::ComingUp { server, time: self.patience.limit });
            }
            sleep(EVERY).await;
        }
    }

    /// Returns whether no server listens there yet.
    fn may_start(&self, error: &Error) -> bool {
        let Error::Connect { source, .. } = error else { return false };
        match source.kind() {
            io::ErrorKind::ConnectionRefused => true,
            io::ErrorKind::NotFound => matches!(self.endpoint(), Endpoint::Unix(_)),
            _ => false,
        }
    }
}
