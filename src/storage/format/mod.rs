//! The bytes of the file: tables, keys, rows, the head and the tail of the log.
//!
//! Frozen as format 1: a change here needs a new fixture. Rows gain fields by versions ([`codec`]); a change of anything
//! else is a new format. Knows no key, and of the engine only redb's table types.

pub(super) mod codec;
pub(super) mod head;
pub(super) mod last_access;
pub(super) mod needs;
#[cfg(any(test, fuzzing))]
pub(crate) mod probe;
pub(super) mod slot_times;
pub mod tables;
pub(super) mod tail;
