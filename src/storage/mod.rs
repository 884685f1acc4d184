//! L3. The vault file: tables, rows, the head that binds them, and the one thread that writes.
//!
//! Owns the meaning of every byte on disk. Knows no HTTP, no policy beyond the [`crate::auth::policy`] proofs that it demands, and
//! no clock.

mod access;
mod batch;
mod cache;
mod change;
mod codec;
mod engine;
mod error;
mod examine;
mod examined;
mod fence;
mod head;
mod job;
mod log;
mod proofs;
mod proven;
mod rows;
mod snapshot;
mod source;
mod store;
pub mod tables;
mod tail;
mod view;
mod view_log;
mod watch;
mod writer;

pub use access::LastAccess;
pub use cache::Generation;
pub use change::Changes;
pub use engine::{Batch, Engine, FORMAT, RowWrite};
pub use error::{CommitError, OpenError, StorageError};
pub use examined::Examined;
pub use fence::{Disclosed, Quiet, REVOCATION_WAIT};
pub use head::{Head, LogKeys, Slot, decode_slots, encode_slots};
pub use job::{Committed, Decision, JobError, Receipt, Refusal, Verdict};
pub use snapshot::{Snapshot, SubtreeHash};
pub use source::Stats;
pub use store::{CreateError, NewVault, Running, Store};
pub use view::View;
pub use writer::{Writer, Writing};

/// A key as a report shows it: text where it is text, hexadecimal elsewhere.
fn readable(key: &[u8]) -> String {
    use std::fmt::Write;
    match std::str::from_utf8(key) {
        Ok(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) => text.to_owned(),
        _ => key.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
            hex
        }),
    }
}
