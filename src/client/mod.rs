//! L5. The client: every route of the contract as a typed method, over TCP, TLS or a unix socket.
//!
//! Owns connections, retries, waits and the saved session. Knows the wire and plain values; never the vault, its file
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
mod due;
mod endpoint;
mod error;
mod exposure;
mod identity;
mod open;
mod otp;
mod patience;
mod proofs;
mod proxy;
mod proxy_failure;
mod requests;
mod revisions;
mod routes;
mod seen;
mod session;
mod sessions;
mod state;
mod stream;
mod tls;
mod tls_failure;
mod witness;

pub use crate::api::responses::Exposure;
pub use answers::{
    Credential, Credentials, Event, Health, Integration, Pair, Project, RepositoryToken, Scoped, SecretJson,
    SecretText, Token, User, WhoLoggedIn,
};
pub use call::{ANSWER_TIMEOUT, WAIT_MAX};
pub use connect::CONNECT_TIMEOUT;
pub use due::{Due, DueCounts, DueCredential, DueFilter, DueToken, Left, NamedToken, Predecessor, Rolled};
pub use endpoint::{Endpoint, EndpointError};
pub use error::{Error, Refusal};
pub use otp::{BegunOtp, OneTimeCodes};
pub use proxy::Proxies;
pub use proxy_failure::ProxyFailure;
pub use requests::{
    CredentialFilter, EventFilter, Expired, ExposureQuestion, IntegrationChange, Listing, NewIntegration,
    NewProject, NewToken, NewUser, Scope, UserChange,
};
pub use revisions::{Kept, KeptRevision, Revisions};
pub use seen::{Seen, Shorter};
pub use session::{Place, Session, SessionError, SessionFile};
pub use sessions::{NoProfile, Profile, Sessions};
pub use state::{Client, Notice};
pub use stream::{ExportFilter, Records};
pub use tls::Roots;
pub use tls_failure::TlsFailure;
pub use witness::{WitnessAnswer, WitnessUrl};
