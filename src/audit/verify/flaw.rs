//! The flaws that a log can have.

/// The first flaw of a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A record that does not have the form of one.
    #[error("record {sequence} is damaged: it does not have the form of a record")]
    Form {
        /// Its place in the log.
        sequence: u64,
    },
    /// Another record than the next one.
    #[error("record {expected} is missing: {found} stands in its place")]
    Order {
        /// The next sequence.
        expected: u64,
        /// The sequence found in its place.
        found: u64,
    },
    /// A record that is not the one that was written.
    #[error("record {sequence} was changed: it does not fit the hash beside it")]
    Changed {
        /// Its sequence.
        sequence: u64,
    },
    /// Records that do not make the subtree that was stored over them.
    #[error("one of the records {first} to {last} was changed: together they do not make their stored hash")]
    Subtree {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// Records that do not make the root that was signed.
    #[error("one of the records {first} to {last} was changed: together they do not make the signed root")]
    Root {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// Records that a checkpoint vouches for and that are not there.
    #[error(
        "{missing} {} missing at the end: the log has {size}, the checkpoint {signed}",
        if *missing == 1 { "record is" } else { "records are" }
    )]
    Cut {
        /// The number of missing records.
        missing: u64,
        /// The number of records in the log.
        size: u64,
        /// The number of records that the checkpoint signs.
        signed: u64,
    },
    /// Records after the end that the file's own checkpoint signs.
    #[error("the records {first} to {last} were added: the file's own checkpoint ends before them")]
    Added {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// Records that are gone from the beginning without an event that says so.
    #[error("the records 0 to {last} are missing, and no audit.archive event accounts for them")]
    Unaccounted {
        /// The last of them.
        last: u64,
    },
    /// A checkpoint that ends outside the records of the file.
    #[error(
        "the checkpoint of {size} records cannot be judged here: this file holds the records {first} to {last}"
    )]
    Outside {
        /// The number of records that it signs.
        size: u64,
        /// The first record of the file.
        first: u64,
        /// The last record of the file.
        last: u64,
    },
    /// A receipt for a record that is archived.
    #[error("the receipt for record {sequence} cannot be judged here: that record is archived")]
    ArchivedReceipt {
        /// The first record's sequence.
        sequence: u64,
    },
    /// A receipt for a record that is another one in the log.
    #[error("the receipt for record {sequence} does not fit the log")]
    Receipt {
        /// The first record's sequence.
        sequence: u64,
    },
    /// A receipt for a record beyond the end of the log, which may be a copy from before the read.
    #[error("the receipt for record {sequence} is beyond the end of this log: its last record is {last}")]
    ReceiptBeyond {
        /// The receipt's last sequence.
        sequence: u64,
        /// The log's last sequence.
        last: u64,
    },
    /// A receipt for a record before the first one of an export or a truncated log.
    #[error("the receipt for record {sequence} is before the first record of this log, {first}")]
    ReceiptBefore {
        /// The receipt's first sequence.
        sequence: u64,
        /// The log's first sequence.
        first: u64,
    },
}
