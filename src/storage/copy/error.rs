//! The errors of a copy.

use crate::storage::error::StorageError;

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
    Source(#[from] StorageError),
    /// The new file cannot be written.
    #[error("the new file cannot be written: {}", innermost(.0))]
    Target(#[source] Box<redb::Error>),
    /// The new file does not read back as it was written.
    #[error("the new file does not read back as it was written")]
    Unverified(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl CopyError {
    pub(super) fn target(error: impl Into<redb::Error>) -> Self {
        Self::Target(Box::new(error.into()))
    }

    pub(super) fn unverified(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
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
