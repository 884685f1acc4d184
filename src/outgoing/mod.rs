//! L2. Calls from the server to a provider: the only place that opens a connection to another host.
//!
//! Owns the allowed hosts, the trusted authorities, what GitHub is asked and may answer, the notices to a webhook and the checkpoints to witnesses. Knows no rows, no caller
//! and no clock; a key enters as a stored credential and leaves as a signature. Nothing of an answer reaches a log or a
//! client except a status and the token itself.
//!
//! ```text
//! App::read → App::sign (the key is dropped) → Outgoing::mint
//!   └ host listed? → resolve → address allowed? → TLS → GET …/installation → POST …/access_tokens
//! ```

mod address;
mod app;
mod calls;
mod claims;
mod failure;
mod github;
mod hosts;
mod roots;
mod session;
mod shares;
mod webhook;
mod witness;

pub use self::{
    app::{App, AppConfig, BadApp, SignedApp},
    calls::Outgoing,
    failure::{Disabled, Failure, MintError},
    github::{InstallationToken, Repository},
    hosts::{AllowedHost, ApiBase},
    roots::RootsError,
    shares::{Share, Shares},
    webhook::Webhook,
    witness::{WitnessReply, WitnessTarget},
};
