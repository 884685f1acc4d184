//! L3. The vault file: tables, rows, the head that authenticates them, and the commit thread, the only writer.
//!
//! Owns the meaning of every byte on disk. Knows no HTTP, no policy beyond the [`crate::auth::policy`] proofs that it
//! demands, and no clock.

mod commit;
mod copy;
mod dates;
mod engine;
mod error;
mod examine;
mod format;
mod length;
mod migrate;
mod migrations;
mod read;
mod state;
mod store;

pub use commit::{
    changes::Changes,
    in_flight::{Drain, InFlightGuard, REVOCATION_WAIT},
    job::{Committed, Decision, JobError, Receipt, Refusal, Verdict},
    writer::{Writer, Writing},
};
pub use copy::{Blank, Copied, CopyError, Copying, Moment, Rekeying, Step, Supervisor, Ticket, Unsealed};
pub use dates::Dates;
pub use engine::{Batch, Engine, FORMAT, RowWrite};
pub use error::{CommitError, OpenError, StorageError};
pub use examine::{Archived, Check, Findings, Read, Status, Surroundings};
#[cfg(any(test, fuzzing))]
pub(crate) use format::probe;
pub use format::{
    head::{Head, LogKeys, SLOTS_MAX, Slot, decode_slots, encode_slots},
    last_access::LastAccess,
    tables,
};
pub use migrate::{Keeper, MigrationError, NotKept, Upgrade};
pub use migrations::{Migrating, Migration, Migrations};
pub(crate) use read::cache::Generation;
pub use read::{
    log::StoredRecord,
    snapshot::{Snapshot, SubtreeHash},
    view::View,
};
pub use state::Stats;
pub use store::{CreateError, NewVault, Running, Store};
