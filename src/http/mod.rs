//! L5. The server: HTTP/1.1 on hyper, one route table, one place that turns errors into answers.
//!
//! Knows the vault's use cases and the wire types; cannot name the storage. Order of checks, for every request:
//! route (404, 405), locked (503), authenticate (401), role (403), body (413, 415, 400), domain.

mod audit;
mod backup;
mod connection;
mod connection_limit;
mod edge;
mod error;
mod export;
mod exposure;
mod handlers;
mod linger;
mod listener;
mod metrics;
pub mod openapi;
mod origin;
mod otp;
#[cfg(any(test, fuzzing))]
pub(crate) mod probe;
mod pulse;
mod request;
mod request_log;
mod response;
pub mod routes;
mod server;
mod service;
mod tls;
mod upkeep;
mod witness;

pub use edge::{Edge, HostName, Network};
pub use listener::{Bound, Listener, pause_after};
pub use request_log::{ANSWERED, STRANGERS};
pub use server::{Limits, Server};
pub use tls::{Distrust, LeafFlaw, Tls, TlsError, certificate_end, leaf_flaw, verify_certificate};
