//! The integration tests: one binary, one module a subject.
#![allow(
    clippy::unwrap_used,
    clippy::pedantic,
    clippy::type_complexity,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod audit;
mod binary;
mod canary;
mod changes;
mod cli;
mod clock;
mod codes;
mod commands;
mod contract;
mod crash;
mod damage;
mod disks;
mod events;
mod example;
mod exhaustion;
mod export;
mod fake;
mod faults;
mod fixture;
mod forms;
mod kills;
#[path = "../lab/mod.rs"]
mod lab;
mod limits;
mod lone;
mod malformed;
mod metrics;
mod newest;
mod openapi;
mod overload;
mod pages;
mod pasting;
mod policy;
mod raw;
mod readme;
mod remote;
mod revocation;
mod secrets;
mod server;
mod tail;
mod tamper;
mod terminal;
mod tidy;
mod tls;
mod tokens;
mod transcripts;
mod typing;
mod users;
mod verify;
mod ways;
