//! The real binary on its host: files, clocks, sockets, TLS and limits.

mod backup;
mod backup_cut;
mod backup_hangs;
mod clock;
mod disks;
mod displaced;
mod doctor;
mod endpoints;
mod examples;
mod exclusion;
mod exhaustion;
mod fixture;
mod handshakes;
mod init_and_serve;
mod knocking;
mod no_network;
mod overload;
mod recover;
mod replace;
mod request_log;
mod restore;
mod slots;
mod storms;
mod systemd;
mod tls;
mod writers;
