//! The sandbox: takes from the process, before the first connection, every right that a server does not need.
//!
//! ```text
//! rights    not dumpable · no core files · no capabilities, in any set · no new privileges
//! landlock  write: the folders of the vault, its checkpoints, backups and archives · read: configuration, certificate,
//!           key, passphrase and what the system says of memory, locks and users · TCP: neither bind nor connect
//! seccomp   a list of allowed system calls; every other one fails with ENOSYS
//! ```
//!
//! The listeners are bound and the vault file is open by then. Landlock holds for the thread that asks for it and for
//! those that it starts, so nothing may start one earlier. A kernel that lacks a part gets the others, and the log says
//! which.

mod enter;
#[cfg(target_os = "linux")]
mod landlock;
#[cfg(target_os = "linux")]
mod rights;
mod rules;
#[cfg(target_os = "linux")]
mod seccomp;
mod self_check;

pub(in crate::cli) use self::self_check::{SANDBOX_CHECK, check_sandbox};
pub(super) use self::{
    enter::Sandbox,
    rules::{Access, Outgoing, Rules},
};
