//! The real binary on its host: files, clocks, sockets, TLS and limits.

pub mod clock;
pub mod disks;
pub mod displaced;
pub mod endpoints;
pub mod exclusion;
pub mod exhaustion;
pub mod fixture;
pub mod handshakes;
pub mod init_and_serve;
pub mod knocking;
pub mod overload;
pub mod storms;
pub mod systemd;
pub mod tls;
