//! The integration tests: one binary, one module a subject.
#![allow(clippy::unwrap_used, clippy::pedantic, missing_docs, unreachable_pub, reason = "tests")]

mod contract;
mod crash;
mod policy;
mod revocation;
mod server;
mod tamper;
mod tidy;
