//! L4. The use cases: policy, decision and audit meet here and nowhere else.
//!
//! Every method takes the caller and a [`Context`] with the time; none reads a clock. A method decides in the commit
//! thread, on the newest state: it authenticates the caller again, asks the policy again, and only then looks at
//! rows, so that what was revoked a moment ago is revoked for a request under way too.

mod access;
mod act;
mod create;
mod credentials;
mod error;
mod export;
mod gauges;
mod host;
mod integrations;
mod lifecycle;
mod log;
mod projects;
mod sessions;
mod slots;
mod tally;
mod tokens;
mod users;

pub use crate::storage::Disclosed as Disclosure;
pub use access::Admitted;
pub use act::Context;
pub use create::{Created, InitError, InitPlan};
pub use credentials::{CredentialQuery, Disclosed};
pub use error::Error;
pub use export::Proof;
pub use gauges::{Gauges, OpenGauges};
pub use integrations::Listed;
pub use lifecycle::{Settings, UnlockError, Vault};
pub use log::EventQuery;
pub use sessions::{LoggedIn, SessionLife};
pub use tally::Rejected;
