//! Exposure: the values that actors received or stored, and that nobody has rotated since, by the log's records alone.
//!
//! A *value* is a set of revisions: a rotation begins a new one, a rollback adds a revision to an older one. A value is
//! live while the current revision is in it. [`Index`] keeps, for each actor and each value that a rollback could still
//! bring back, one [`tally::Known`]: its memory follows the pairs of actor and live value, never the log. A question
//! about a range in time needs single records, which a [`Reading`] takes from the blocks that the range touches.
//!
//! Records are taken in the order of their sequence. Their times decide nothing but whether one is in the range.

mod answer;
mod fact;
mod index;
mod lineage;
mod listing;
mod names;
mod reading;
mod tally;
mod told;

pub use answer::Answer;
pub use index::{Index, KNOWN_MAX};
pub use listing::Question;
pub use reading::{NeedsArchive, Reading};

/// The most entries of each list in an answer; further ones are counted.
pub const LISTED_MAX: usize = 10_000;
/// The number of records in a block, of which the index knows the earliest and the latest time.
pub const BLOCK: u64 = 4_096;
