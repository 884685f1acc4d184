//! The integration tests: one binary, one folder a subject, and `support` for what they share.
#![allow(
    clippy::unwrap_used,
    clippy::pedantic,
    clippy::type_complexity,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod api;
mod audit;
mod cli;
mod crash;
mod dependencies;
mod example;
mod host;
#[path = "../lab/mod.rs"]
mod lab;
mod readme;
mod secret_types;
mod support;
mod tidy;
