//! The real binary on its host: files, clocks, sockets, TLS and limits.

mod backup;
mod clock;
mod disks;
mod displaced;
mod doctor;
mod doctor_archive;
mod endpoints;
mod exclusion;
mod exhaustion;
mod fixture;
mod handshakes;
mod init_and_serve;
mod knocking;
mod overload;
mod recover;
mod replace;
mod request_log;
mod restore;
mod restore_since;
mod slots;
mod storms;
mod systemd;
mod tls;
