//! Copies of the file: complete, compacted, of one consistent moment, and verified.
//!
//! No snapshot is held for long, since redb cannot reuse the pages of a live one and the file would grow:
//!
//! 1. The [tap](tap) collects the rows of every commit from now on.
//! 2. The rows of each table are copied in key order and the log by sequence, a chunk at a time, each from a snapshot of
//!    its own. After each chunk, what the tap collected meanwhile is written over it.
//! 3. A job in the commit thread fixes the [`Moment`]: it closes the tap and takes a snapshot of that very state. The
//!    rest of the tap, the last records, the stored subtrees and `meta` complete the copy.
//!
//! A row that no commit touched after step 1 is the same in every snapshot; one that was touched is in the tap, and its
//! newest value is written last. So the copy is exactly the state of the moment.
//!
//! All of it is one transaction of the new file, written in ascending order: redb then packs its pages, and nothing is
//! ever freed. Between chunks a copy holds no key: a vault that is locked meanwhile drops them at once, and the copy
//! ends.

mod chunk;
mod copier;
mod reseal;
mod tap;
mod target;
mod verify;

use std::ops::ControlFlow;

pub(super) use self::tap::Tap;
pub use self::{
    copier::{Copied, Copying, Moment, Unsealed},
    reseal::Rekeying,
};
use super::error::StorageError;

/// An error while a file is copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The vault was locked meanwhile.
    #[error("the vault was locked meanwhile")]
    Locked,
    /// Its supervisor stopped it.
    #[error("it was stopped")]
    Stopped,
    /// Another copy is being made.
    #[error("another copy is being made")]
    Busy,
    /// A commit failed meanwhile, or changes came faster than they could be copied.
    #[error("the vault changed faster than it could be copied, or a commit failed meanwhile")]
    Outrun,
    /// The file cannot be read, or a row of it fails authentication.
    #[error(transparent)]
    Source(StorageError),
    /// The new file cannot be written.
    #[error("the new file cannot be written: {}", innermost(.0))]
    Target(#[source] Box<redb::Error>),
    /// The new file does not read back as it was written.
    #[error("the new file does not read back as it was written")]
    Unverified(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl CopyError {
    fn target(error: impl Into<redb::Error>) -> Self {
        Self::Target(Box::new(error.into()))
    }

    fn unverified(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unverified(error.into())
    }
}

/// Returns the system's own message, if the system refused.
fn innermost(error: &redb::Error) -> String {
    match error {
        redb::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

/// How far a copy is: rows and records copied and verified, and their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Done so far.
    pub done: u64,
    /// The number at the end; approximate while the vault changes.
    pub total: u64,
}

/// Sees each step of a copy, paces it by the time that it takes, and stops it with `Break`.
pub type Supervisor<'a> = dyn FnMut(Step) -> ControlFlow<()> + Send + 'a;

/// Counts the steps.
struct Steps<'a, 'b> {
    at: &'a mut Step,
    supervisor: &'a mut Supervisor<'b>,
}

impl Steps<'_, '_> {
    fn advance(&mut self, by: usize) -> Result<(), CopyError> {
        self.at.done += by as u64;
        self.at.total = self.at.total.max(self.at.done);
        match (self.supervisor)(*self.at) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(CopyError::Stopped),
        }
    }
}
