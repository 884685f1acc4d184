//! The local socket of `unlock`, `lock`, `rescue`, `audit verify` and `audit archive`: next to the file, mode 0600, never over HTTP.
//!
//! One request for each connection: one line of JSON, `{"command":"unlock","secret":"…"}`, `{"command":"lock"}`,
//! `{"command":"log"}`, `{"command":"rescue"}` or `{"command":"archive",…}`, and one line back, `{"ok":true}` or `{"error":…,"hint":…}`. The log
//! comes as `{"checkpoint":…,"key":…}` and the records that this checkpoint signs, one in each line, as in an export; a
//! line `{"error":…,"hint":…}` ends it early. A rescued file comes as `{"bytes":…}` and that many bytes.

mod client;
mod protocol;
mod server;
mod transfer;

pub(super) use self::{
    client::{archive, lock, log, rescue, unlock},
    protocol::{ENDED_EARLY, RescueHead, ended_early},
    server::{bind, serve},
};
