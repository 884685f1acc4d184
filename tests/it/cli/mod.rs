//! The commands, run as a user or a script runs them.

mod arguments;
mod commands;
mod exec;
mod exec_jobs;
mod formats;
mod git;
mod hints;
mod lfs;
mod mine;
mod names;
mod once;
mod pages;
mod pasting;
mod proxies;
mod readers;
mod recipes;
mod remote;
mod secrets;
mod sessions;
mod settings;
mod status;
mod terminal;
mod tokens;
mod transcripts;
mod values;
