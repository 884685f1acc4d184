//! The client: one server, its kept connection, and the identity of the calls.

use std::{sync::Arc, time::Duration};

use tokio::sync::Mutex;

use super::{
    Endpoint, Error, Proxies, Roots, Session, SessionFile,
    connect::{Connector, Sender},
    identity::Auth,
    patience::Patience,
};
use crate::{
    clock::Clock,
    domain::{Secret, Timestamp},
};

/// Information for the user while a call is in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The server said "later"; the call continues after this time.
    Waiting {
        /// The wait.
        time: Duration,
        /// The server's message.
        message: String,
    },
    /// No server listens yet; the call keeps retrying for this time.
    ComingUp {
        /// The server.
        server: String,
        /// The total wait.
        time: Duration,
    },
    /// The application token expires within days.
    TokenEnds(Timestamp),
    /// The session was refreshed and could not be saved, for this reason: the next command must log in.
    SessionUnsaved(String),
}

type Notify = Arc<dyn Fn(Notice) + Send + Sync>;

/// One server, and the identity of the calls to it.
pub struct Client {
    pub(super) connector: Connector,
    pub(super) kept: Mutex<Option<Sender>>,
    pub(super) auth: Auth,
    pub(super) token_from: Option<String>,
    pub(super) clock: Clock,
    pub(super) notify: Notify,
    pub(super) patience: Patience,
}

impl Client {
    /// Returns a client without a token.
    ///
    /// # Errors
    /// The roots cannot be read, or there are none.
    pub fn new(endpoint: Endpoint, roots: &Roots) -> Result<Self, Error> {
        Ok(Self {
            connector: Connector::new(endpoint, roots)?,
            kept: Mutex::new(None),
            auth: Auth::Nobody,
            token_from: None,
            clock: Clock::system(),
            notify: Arc::new(drop),
            patience: Patience::default(),
        })
    }

    /// Reaches the server through the proxy that applies to it, if any.
    ///
    /// # Errors
    /// The proxy cannot be used, or its roots cannot be read.
    pub fn through(self, proxies: &Proxies) -> Result<Self, Error> {
        Ok(Self { connector: self.connector.through(proxies)?, ..self })
    }

    /// Authenticates with this token from now on.
    #[must_use]
    pub fn with_token(self, token: Secret) -> Self {
        Self { auth: Auth::Token(token), ..self }
    }

    /// Names the source of the token, a variable or a file, for the error of a server that refuses it.
    #[must_use]
    pub fn token_from(self, source: impl Into<String>) -> Self {
        Self { token_from: Some(source.into()), ..self }
    }

    /// Authenticates with a saved session from now on, which is refreshed and saved again when it is due.
    #[must_use]
    pub fn with_session(self, file: SessionFile, session: Session) -> Self {
        Self { auth: Auth::session(file, session), ..self }
    }

    /// Waits this long, over all calls, for a server that does not listen yet.
    #[must_use]
    pub fn waiting_for_start(self, time: Duration) -> Self {
        Self { patience: Patience::new(time), ..self }
    }

    /// Passes notices for the user to `notify`.
    #[must_use]
    pub fn on_notice(self, notify: impl Fn(Notice) + Send + Sync + 'static) -> Self {
        Self { notify: Arc::new(notify), ..self }
    }

    /// Returns the server.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.connector.endpoint
    }
}
