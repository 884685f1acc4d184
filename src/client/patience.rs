//! A server that is coming up: it opens its file and derives its key before it listens.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::sleep;

use super::{Client, Endpoint, Error, Notice, connect::Sender};

/// How often it is tried.
const EVERY: Duration = Duration::from_millis(100);
/// After this a user is told what is waited for.
const SILENT_MAX: Duration = Duration::from_secs(1);

/// How long a client waits for its server to listen, in all.
#[derive(Debug, Default)]
pub(super) struct Patience {
    whole: Duration,
    spent_millis: AtomicU64,
}

impl Patience {
    pub(super) const fn new(whole: Duration) -> Self {
        Self { whole, spent_millis: AtomicU64::new(0) }
    }

    /// Spends one pause of it. Gives what was spent before; none where nothing is left.
    fn spend(&self) -> Option<Duration> {
        let pause = u64::try_from(EVERY.as_millis()).unwrap_or(u64::MAX);
        let spent = Duration::from_millis(self.spent_millis.fetch_add(pause, Ordering::Relaxed));
        (spent < self.whole).then_some(spent)
    }
}

impl Client {
    /// A new connection, to a server that may still be coming up.
    pub(super) async fn open(&self) -> Result<Sender, Error> {
        loop {
            let error = match self.connector.open().await {
                Ok(sender) => return Ok(sender),
                Err(error) => error,
            };
            let spent = if self.may_come_up(&error) { self.patience.spend() } else { None };
            let Some(spent) = spent else { return Err(error) };
            if spent == SILENT_MAX {
                let server = self.endpoint().to_string();
                (self.notify)(Notice::ComingUp { server, time: self.patience.whole });
            }
            sleep(EVERY).await;
        }
    }

    /// Whether nobody listens there, and that may change by itself.
    fn may_come_up(&self, error: &Error) -> bool {
        let Error::Connect { source, .. } = error else { return false };
        match source.kind() {
            io::ErrorKind::ConnectionRefused => true,
            io::ErrorKind::NotFound => matches!(self.endpoint(), Endpoint::Unix(_)),
            _ => false,
        }
    }
}
