//! Servers, clients, disks and terminals that the tests share.

pub mod binary;
pub mod fake;
pub mod pty;
pub mod raw;
pub mod server;
pub mod source;
