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
mod requests;
mod routes;
mod session;
mod stream;
mod text;

use std::{sync::Arc, time::Duration};

use tokio::sync::Mutex;

use crate::{
    clock::Clock,
    domain::{Secret, Timestamp},
};
use auth::Auth;
use connect::{Connector, Sender};

pub use answers::{
    Credential, Credentials, Event, Health, Integration, Pair, Project, Scoped, SecretJson, SecretText,
    Token, User, WhoLoggedIn,
};
pub use connect::Roots;
pub use endpoint::{Endpoint, EndpointError};
pub use error::{Error, Refusal};
pub use requests::{
    CredentialFilter, EventFilter, NewIntegration, NewProject, NewToken, NewUser, Scope, UserChange,
};
pub use session::{Session, SessionError, SessionFile};
pub use stream::{ExportFilter, Records};

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
    /// The application token ends within days.
    TokenEnds(Timestamp),
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
        })
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
