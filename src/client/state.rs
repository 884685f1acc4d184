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

/// What a user may want to know while a call is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The server said "later"; the call goes on after this time.
    Waiting {
        /// How long.
        time: Duration,
        /// What the server said.
        message: String,
    },
    /// No server listens yet; the call goes on trying for this time.
    ComingUp {
        /// Which server.
        server: String,
        /// How long, in all.
        time: Duration,
    },
    /// The application token ends within days.
    TokenEnds(Timestamp),
    /// The session went on, and could not be saved, because of this: the next command must log in.
    SessionUnsaved(String),
}

type Notify = Arc<dyn Fn(Notice) + Send + Sync>;

/// One server, and as whom to speak to it.
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
    /// A client without a token.
    ///
    /// # Errors
    /// The roots cannot be read, or none are there.
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

    /// Reaches the server through the proxy that is for it, if one is.
    ///
    /// # Errors
    /// The proxy cannot be used, or its roots cannot be read.
    pub fn through(self, proxies: &Proxies) -> Result<Self, Error> {
        Ok(Self { connector: self.connector.through(proxies)?, ..self })
    }

    /// Speaks with this token from now on.
    #[must_use]
    pub fn with_token(self, token: Secret) -> Self {
        Self { auth: Auth::Token(token), ..self }
    }

    /// Names the source of the token, a variable or a file, for the error of a server that refuses it.
    #[must_use]
    pub fn token_from(self, source: impl Into<String>) -> Self {
        Self { token_from: Some(source.into()), ..self }
    }

    /// Speaks with a saved session from now on, which is refreshed and saved again when its time comes.
    #[must_use]
    pub fn with_session(self, file: SessionFile, session: Session) -> Self {
        Self { auth: Auth::session(file, session), ..self }
    }

    /// Waits this long, over all calls, for a server that does not listen yet.
    #[must_use]
    pub fn waiting_for_start(self, time: Duration) -> Self {
        Self { patience: Patience::new(time), ..self }
    }

    /// Tells `notify` what a user may want to know.
    #[must_use]
    pub fn on_notice(self, notify: impl Fn(Notice) + Send + Sync + 'static) -> Self {
        Self { notify: Arc::new(notify), ..self }
    }

    /// The server.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.connector.endpoint
    }
}
