//! The local socket of `unlock`, `lock`, `slot`, `rescue` and `audit verify`: next to the file, mode 0600, never over HTTP.
//!
//! One request for each connection: one line of JSON, `{"command":"unlock","secret":"…"}`, `{"command":"lock"}`,
//! `{"command":"log"}` or `{"command":"rescue"}`, and one line back, `{"ok":true}` or `{"error":…,"hint":…}`. The log
//! comes as `{"checkpoint":…,"key":…}` and the records that this checkpoint signs, one in each line, as in an export; a
//! line `{"error":…,"hint":…}` ends it early. `{"command":"slots"}` lists the key slots, and `{"command":"slot",…}`
//! changes them with the secret of one. A rescued file comes as `{"bytes":…}` and that many bytes.

mod client;
mod protocol;
mod server;
pub(super) mod slots;
mod transfer;

pub(super) use self::{
    client::{change_slot, lock, log, rescue, slots as listed_slots, unlock},
    protocol::{ENDED_EARLY, NewSlot, RescueHead, SlotAnswer, SlotRequest, SlotRow, SlotVerb, ended_early},
    server::{bind, serve},
};
