//! L3. The vault file: tables, rows, the head that binds them, and the one thread that writes.
//!
//! Owns the meaning of every byte on disk. Knows no HTTP, no policy beyond the [`crate::auth::policy`] proofs that it demands, and
//! no clock.

mod commit;
mod engine;
mod error;
mod examined;
mod format;
mod proven;
mod read;
mod state;
mod store;

pub use commit::{
    changes::Changes,
    in_flight::{Disclosed, Quiet, REVOCATION_WAIT},
    job::{Committed, Decision, JobError, Receipt, Refusal, Verdict},
    writer::{Writer, Writing},
};
pub use engine::{Batch, Engine, FORMAT, RowWrite};
pub use error::{CommitError, OpenError, StorageError};
pub use examined::Examined;
pub use format::{
    head::{Head, LogKeys, Slot, decode_slots, encode_slots},
    last_access::LastAccess,
    tables,
};
pub use read::{
    cache::Generation,
    snapshot::{Snapshot, SubtreeHash},
    view::View,
};
pub use state::Stats;
pub use store::{CreateError, NewVault, Running, Store};

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
