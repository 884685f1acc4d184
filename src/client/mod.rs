//! L5. The client: every route of the contract as a typed method, over TCP, TLS or a unix socket.
//!
//! Owns connections, repeats, waits and the saved session. Knows the wire and plain values; never the vault, its file
//! or the command line, so that any Rust program can use it.
//!
//! ```no_run
//! # async fn example() -> Result<(), sealroom::client::Error> {
//! use sealroom::{client::{Client, CredentialFilter, Endpoint, Roots}, domain::Secret};
//!
//! let endpoint: Endpoint = "https://vault.example.com".parse()?;
//! let client = Client::new(endpoint, &Roots::System)?.with_token(Secret::from(String::from("sfp_app_…")));
//! let filter = CredentialFilter { provider: Some("github".to_owned()), ..CredentialFilter::default() };
//! for credential in client.credentials(&filter).await?.items()? {
//!     let secret = credential.credentials.expose();
//! #   let _ = secret;
//! }
//! # Ok(()) }
//! ```

mod answers;
mod auth;
mod call;
mod connect;
mod endpoint;
mod error;
mod patience;
mod proxy;
mod requests;
mod routes;
mod session;
mod stream;
mod text;
mod tls;

use std::{sync::Arc, time::Duration};

use tokio::sync::Mutex;

use crate::{
    clock::Clock,
    domain::{Secret, Timestamp},
};
use auth::Auth;
use connect::{Connector, Sender};
use patience::Patience;

pub use answers::{
    Credential, Credentials, Event, Health, Integration, Pair, Project, Scoped, SecretJson, SecretText,
    Token, User, WhoLoggedIn,
};
pub use endpoint::{Endpoint, EndpointError};
pub use error::{Error, Refusal};
pub use proxy::{Proxies, ProxyFailure};
pub use requests::{
    CredentialFilter, EventFilter, NewIntegration, NewProject, NewToken, NewUser, Scope, UserChange,
};
pub use session::{Place, Session, SessionError, SessionFile};
pub use stream::{ExportFilter, Records};
pub use tls::{Roots, TlsFailure};

/// The longest time for name look-up, connection and TLS handshake.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest time for one answer: a revocation may wait 5 s and a stalled disk longer; the server itself gives a
/// request 30 s.
pub const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// The longest time that one call waits in all because the server says "later".
pub const WAIT_MAX: Duration = Duration::from_secs(30);

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
    connector: Connector,
    kept: Mutex<Option<Sender>>,
    auth: Auth,
    token_from: Option<String>,
    clock: Clock,
    notify: Notify,
    patience: Patience,
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
