//! The permission to call providers, and the means.

use std::{fmt, time::Duration};

use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

use super::{
    hosts::{AllowedHost, ApiBase},
    roots::{self, RootsError},
};

/// The most calls at a time; further ones wait, within the time limit of their own.
pub(super) const CALLS_MAX: usize = 32;

/// The permission to call these hosts, and the means.
pub struct Outgoing {
    hosts: Vec<AllowedHost>,
    pub(super) tls: TlsConnector,
    pub(super) timeout: Duration,
    pub(super) calls: Semaphore,
}

impl Outgoing {
    /// Allows calls to these hosts; `ca_pem` holds authorities that are trusted beside the system's, and `timeout` is
    /// for all that one token takes.
    ///
    /// # Errors
    /// [`RootsError`]: there is no authority to trust.
    pub fn new(
        hosts: Vec<AllowedHost>,
        ca_pem: Option<&[u8]>,
        timeout: Duration,
    ) -> Result<Self, RootsError> {
        let tls = roots::connector(ca_pem)?;
        Ok(Self { hosts, tls, timeout, calls: Semaphore::new(CALLS_MAX) })
    }

    /// Returns whether the host of this API may be called.
    pub fn allows(&self, base: &ApiBase) -> bool {
        self.hosts.iter().any(|host| host.is(base))
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}
