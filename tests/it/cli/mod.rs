//! The commands, run as a user or a script runs them.

mod arguments;
mod commands;
mod exec;
mod exec_jobs;
mod formats;
mod git;
mod hints;
mod import;
mod interrupted;
mod minting;
mod names;
mod once;
mod pages;
mod pasting;
mod proxies;
mod readers;
mod remote;
mod roundtrip;
mod secrets;
mod sessions;
mod settings;
mod status;
mod terminal;
mod tokens;
mod transcripts;
mod values;
