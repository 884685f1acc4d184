//! Copies of the file: complete, compacted, of one consistent moment, and verified.
//!
//! No snapshot is held for long, since redb cannot reuse the pages of a live one and the file would grow:
//!
//! 1. The [`tap`] collects the rows of every commit from now on.
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
pub(super) mod ending;
mod error;
mod reseal;
mod steps;
mod tap;
mod target;
#[cfg(test)]
mod tests;
mod verify;

pub(super) use self::tap::Tap;
pub use self::{
    copier::{Blank, Copied, Copying, Moment, Unsealed},
    error::CopyError,
    reseal::Rekeying,
    steps::{Step, Supervisor},
    tap::Ticket,
};
