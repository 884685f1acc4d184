//! The local socket of the host's commands: next to the file, mode 0600, never over HTTP.
//!
//! One request for each connection: one line of JSON, such as `{"command":"unlock","secret":"…"}`,
//! `{"command":"log"}` or `{"command":"examine"}`, and one line back, `{"ok":true}` or `{"error":…,"hint":…}`. The log
//! comes as `{"checkpoint":…,"key":…}` and the records that this checkpoint signs, one in each line, as in an export; a
//! line `{"error":…,"hint":…}` ends it early. `{"command":"slots"}` lists the key slots, and `{"command":"slot",…}`
//! changes them with the secret of one. An archive sends `{"done":…,"total":…}` now and
//! then. A rescued file comes as `{"bytes":…}` and that many bytes. An examination sends
//! `{"read":…}` now and then, and `{"checks":[…]}` at its end.

mod client;
mod examination;
mod protocol;
mod server;
pub(super) mod slots;
mod transfer;

pub(super) use self::{
    client::{archive, change_slot, lock, log, rescue, slots as listed_slots, unlock},
    examination::examine,
    protocol::{ENDED_EARLY, NewSlot, RescueHead, SlotAnswer, SlotRequest, SlotRow, SlotVerb, ended_early},
    server::{bind, serve},
};
