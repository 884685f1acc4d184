//! The commands, run as a user or a script runs them.

pub mod arguments;
pub mod commands;
pub mod hints;
pub mod names;
pub mod once;
pub mod pages;
pub mod pasting;
pub mod proxies;
pub mod readers;
pub mod remote;
pub mod secrets;
pub mod sessions;
pub mod settings;
pub mod status;
pub mod terminal;
pub mod tokens;
pub mod transcripts;
pub mod values;
