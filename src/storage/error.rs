//! What can go wrong below the vault.

use std::{fmt::Write, io};

/// Why the file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such file.
    #[error("there is no vault file")]
    Missing,
    /// Something else is at that path, or an empty file.
    #[error("this is no sealroom vault")]
    Foreign,
    /// The pages do not hold together.
    #[error("the file is damaged")]
    Damaged(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// A newer sealroom made it.
    #[error("the file has format {found}, this program knows formats up to {known}")]
    Newer {
        /// What the file says.
        found: u32,
        /// What this program knows.
        known: u32,
    },
    /// The file or its folder refuses.
    #[error("the file cannot be used")]
    Io(#[source] io::Error),
}

/// Why a row or record could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The engine or the disk refuses; no statement about the data.
    #[error("the file cannot be read")]
    Engine(#[source] Box<redb::Error>),
    /// A row that does not open, decode or agree with another: it was damaged or tampered with.
    #[error("{table} {key} does not open: damaged or tampered with")]
    Tampered {
        /// Its table.
        table: &'static str,
        /// Its key, readable.
        key: String,
    },
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    Random,
}

/// Why a commit failed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The engine or the disk refuses: whether the batch is on disk is in doubt.
    #[error("the commit failed")]
    Engine(#[source] Box<redb::Error>),
    /// The head on disk is not the one the batch builds on: somebody else wrote to the file.
    #[error("the file was changed by somebody else")]
    HeadMoved,
}

impl StorageError {
    /// Names a value that was damaged or tampered with.
    pub(super) fn tampered(table: &'static str, key: impl Into<String>) -> Self {
        Self::Tampered { table, key: key.into() }
    }

    /// Names a row that was damaged or tampered with.
    pub(super) fn tampered_row(table: &'static str, key: &[u8]) -> Self {
        Self::tampered(table, key_for_display(key))
    }
}

/// Returns a key as text if it is printable, and in hexadecimal if not.
fn key_for_display(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) => text.to_owned(),
        _ => key.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
            hex
        }),
    }
}

/// Turns any of redb's errors into ours.
pub(super) fn engine(error: impl Into<redb::Error>) -> StorageError {
    StorageError::Engine(Box::new(error.into()))
}

impl From<redb::Error> for CommitError {
    fn from(error: redb::Error) -> Self {
        Self::Engine(Box::new(error))
    }
}
