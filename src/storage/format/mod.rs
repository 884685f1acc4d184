//! The bytes of the file: tables, keys, rows, the head and the tail of the log.
//!
//! Frozen as format 1: a change here needs a new fixture. Knows no key, and of the engine only redb's table types.

pub(super) mod codec;
pub(super) mod head;
pub(super) mod last_access;
pub mod tables;
pub(super) mod tail;
