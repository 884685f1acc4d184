//! The errors of storage.

use std::{fmt::Write, io};

/// An error while the file is opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such file.
    #[error("there is no vault file")]
    Missing,
    /// The path leads to something else, or to an empty file.
    #[error("this is not a sealroom vault")]
    Foreign,
    /// The pages are inconsistent.
    #[error("the file is damaged")]
    Damaged(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// The file is shorter than its own header states.
    #[error("the file is truncated: it has {bytes} of at least {whole} bytes")]
    Truncated {
        /// Its length.
        bytes: u64,
        /// The length that it had.
        whole: u64,
    },
    /// A newer sealroom wrote the file.
    #[error("the file has format {found}{}, this program knows formats up to {known}", written_by(program))]
    Newer {
        /// The format in the file.
        found: u32,
        /// The newest format that this program supports.
        known: u32,
        /// The version of the program that migrated the file; empty if the file does not say.
        program: String,
    },
    /// The file holds rows of a newer version.
    #[error(
        "the file holds rows of version {found}, first written by sealroom {program}; \
         this program reads versions up to {known}"
    )]
    NewerRows {
        /// The newest row version in the file.
        found: u32,
        /// The newest row version that this program reads.
        known: u32,
        /// The version of the program that first wrote such a row.
        program: String,
    },
    /// The file or its directory refuses access.
    #[error("the file cannot be used")]
    Io(#[source] io::Error),
}

/// An error while a row or record is read.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The engine or the disk refuses; the data itself may be intact.
    #[error("the file cannot be read")]
    Engine(#[source] Box<redb::Error>),
    /// A row does not open, does not decode or contradicts another: it was damaged or tampered with.
    #[error("{table} {key} does not open: damaged or tampered with")]
    Tampered {
        /// Its table.
        table: &'static str,
        /// Its key, readable.
        key: String,
    },
    /// The record was moved to an archive, and no stored hash stands for it.
    #[error("the records 0 to {last} are archived")]
    Archived {
        /// The last of the archived records.
        last: u64,
    },
    /// A newer program wrote the row.
    #[error("{table} {key} has row version {found}; this program reads versions up to {known}")]
    Newer {
        /// Its table.
        table: &'static str,
        /// Its key, readable.
        key: String,
        /// Its version.
        found: u8,
        /// The newest version that this program reads in that table.
        known: u8,
    },
    /// The file has an older format, and only its unlock by a server migrates it.
    #[error(
        "the file has format {found}: start the server with it once, which keeps a copy and migrates it to \
         format {newest}"
    )]
    Older {
        /// The format in the file.
        found: u32,
        /// The newest format.
        newest: u32,
    },
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    Random,
}

/// Returns the part of a message that names a program's version.
fn written_by(program: &str) -> String {
    if program.is_empty() { String::new() } else { format!(", written by sealroom {program}") }
}

/// An error of a commit.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The engine or the disk refuses; the batch may or may not be on disk.
    #[error("the commit failed")]
    Engine(#[source] Box<redb::Error>),
    /// The file does not hold the head that the batch builds on: another process wrote to it.
    #[error("the file was changed by somebody else")]
    HeadMoved,
}

impl StorageError {
    /// Names a value that was damaged or tampered with.
    pub(super) fn tampered(table: &'static str, key: impl Into<String>) -> Self {
        Self::Tampered { table, key: key.into() }
    }

    /// Names a row of a newer version.
    pub(super) fn newer_row(table: &'static str, key: &[u8], found: u8, known: u8) -> Self {
        Self::Newer { table, key: key_for_display(key), found, known }
    }

    /// Names a row that was damaged or tampered with.
    pub(super) fn tampered_row(table: &'static str, key: &[u8]) -> Self {
        Self::tampered(table, key_for_display(key))
    }
}

/// Returns a key as text if it is printable, and in hexadecimal if not.
pub(super) fn key_for_display(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) => text.to_owned(),
        _ => key.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
            hex
        }),
    }
}

/// Converts any of redb's errors into [`StorageError::Engine`].
pub(super) fn engine(error: impl Into<redb::Error>) -> StorageError {
    StorageError::Engine(Box::new(error.into()))
}

impl From<redb::Error> for CommitError {
    fn from(error: redb::Error) -> Self {
        Self::Engine(Box::new(error))
    }
}
