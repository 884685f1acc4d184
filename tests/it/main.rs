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

mod arguments;
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
mod displaced;
mod events;
mod example;
mod exclusion;
mod exhaustion;
mod export;
mod fake;
mod faults;
mod fixture;
mod forms;
mod handshakes;
mod hints;
mod kills;
mod knocking;
#[path = "../lab/mod.rs"]
mod lab;
mod limits;
mod lingering;
mod lone;
mod malformed;
mod metrics;
mod names;
mod newest;
mod once;
mod openapi;
mod outsiders;
mod overload;
mod pages;
mod pasting;
mod policy;
mod projects;
mod proxies;
mod raw;
mod readers;
mod readme;
mod remote;
mod request_log;
mod revocation;
mod secrets;
mod server;
mod sessions;
mod settings;
mod source;
mod status;
mod storms;
mod systemd;
mod tail;
mod tamper;
mod terminal;
mod tidy;
mod tls;
mod tokens;
mod transcripts;
mod typing;
mod users;
mod values;
mod verify;
mod verify_inputs;
mod ways;
