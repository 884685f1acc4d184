//! Servers, clients, disks and terminals that the tests share.

pub mod binary;
pub mod failing_disk;
pub mod fake;
pub mod foreign_log;
pub mod github;
pub mod hooks;
pub mod key_hunt;
pub mod log;
pub mod memory_disk;
pub mod openapi;
pub mod otp;
pub mod patterns;
pub mod ports;
pub mod pty;
pub mod raw;
pub mod server;
pub mod share;
pub mod source;
pub mod tls;
