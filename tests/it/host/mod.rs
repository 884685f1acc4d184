//! The real binary on its host: files, clocks, sockets, TLS and limits.

mod backup;
mod clock;
mod disks;
mod displaced;
mod doctor;
mod endpoints;
mod exclusion;
mod exhaustion;
mod fixture;
mod handshakes;
mod init_and_serve;
mod knocking;
mod leftovers;
mod memory;
mod overload;
mod recover;
mod replace;
mod request_log;
mod restore;
mod sandbox;
mod slots;
mod storms;
mod systemd;
mod tls;
