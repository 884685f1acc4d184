//! L5. The server: HTTP/1.1 on hyper, one route table, one place that turns errors into answers.
//!
//! Knows the vault's use cases and the wire types; cannot name the storage. Order of checks, for every request:
//! route (404, 405), locked (503), authenticate (401), role (403), body (413, 415, 400), domain.

mod audit;
mod connection;
mod connection_limit;
mod error;
mod export;
mod handlers;
mod linger;
mod listener;
mod metrics;
pub mod openapi;
mod origin;
mod request;
mod response;
pub mod routes;
mod server;
mod service;
mod tls;

/// The log's target for the answer to a caller that was let in: every one is a line.
pub const ANSWERED: &str = "sealroom::answered";
/// The log's target for the answer to anybody else, who could fill a disk with lines: the log counts most of them.
pub const STRANGERS: &str = "sealroom::strangers";

pub use listener::{Listener, pause_after};
pub use server::{Limits, Server};
pub use tls::{LeafFlaw, Tls, TlsError, leaf_flaw};
