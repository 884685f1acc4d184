//! Errors of the use cases.
//!
//! A variant with a source is a failure of this process or of its file: the log gets the cause, the client never does.

use crate::{
    api::BadRequest,
    audit::record::BadRecord,
    auth::{password::PasswordError, policy::Denied},
    crypto::random::RandomError,
    domain::{ProjectId, Provider, Revision, Timestamp},
    storage::{JobError, OpenError, StorageError},
};

/// An error of a use case; a variant for each decision that a caller can take.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The vault is locked.
    #[error("the vault is locked")]
    Locked,
    /// Too many requests wait.
    #[error("too many requests wait")]
    Overloaded,
    /// The audit log cannot be written; whether a write took place is unknown.
    #[error("the audit log cannot be written")]
    AuditUnavailable,
    /// The disk has too little left to add or disclose anything.
    #[error("the disk is almost full")]
    DiskLow,
    /// The file cannot be read, so that nothing can be disclosed or recorded; it may pass.
    #[error("the vault file cannot be read")]
    Unreadable(#[source] StorageError),
    /// A row fails its authentication.
    #[error("a row failed authentication")]
    Tampered(#[source] StorageError),
    /// A failure of this process.
    #[error("an internal error")]
    Internal(#[from] InternalError),
    /// No valid token.
    #[error("no valid token")]
    Unauthenticated,
    /// A genuine token past its end.
    #[error("the token expired")]
    TokenExpired {
        /// The end of its life.
        since: Timestamp,
    },
    /// The policy forbids it.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Wrong e-mail or password; the answer does not say which.
    #[error("wrong e-mail or password")]
    BadLogin,
    /// One's own password, given to change it, is wrong.
    #[error("wrong password")]
    WrongPassword,
    /// Too many tries.
    #[error("too many tries")]
    TooManyTries {
        /// Seconds until the next try is allowed.
        retry_after_secs: u64,
    },
    /// The request breaks a rule that only the stored data can tell.
    #[error("the request cannot be carried out")]
    BadRequest(BadRequest),
    /// A project that a request names is not registered.
    #[error("a project is not registered")]
    ProjectNotRegistered(ProjectId),
    /// An end that lies in the past.
    #[error("expiresAt lies in the past")]
    ExpiryPast,
    /// A `custom` integration needs its name.
    #[error("a custom integration needs a name")]
    NameNeeded,
    /// Nothing matches a read.
    #[error("no integration found")]
    NothingMatches {
        /// The provider asked for.
        provider: Option<Provider>,
        /// The project asked for.
        project: Option<ProjectId>,
    },
    /// More matches than one answer may hold.
    #[error("too many matches")]
    TooManyMatches,
    /// No such integration.
    #[error("no such integration")]
    IntegrationNotFound,
    /// That revision is not kept.
    #[error("no such revision")]
    RevisionNotFound,
    /// Another revision is current.
    #[error("another revision is current")]
    RevisionConflict {
        /// The current revision.
        current: Revision,
    },
    /// No such project.
    #[error("no such project")]
    ProjectNotFound(ProjectId),
    /// The project exists.
    #[error("the project exists already")]
    ProjectExists,
    /// Integrations are scoped to the project.
    #[error("the project is in use")]
    ProjectInUse {
        /// The number of these integrations.
        integrations: usize,
    },
    /// No such token.
    #[error("no such token")]
    TokenNotFound,
    /// A sequence or size that the log does not have.
    #[error("out of range")]
    OutOfRange,
    /// Records that were moved to an archive.
    #[error("archived")]
    Archived {
        /// The last of them.
        last: u64,
    },
    /// The e-mail is taken.
    #[error("the user exists already")]
    UserExists,
    /// No such user.
    #[error("no such user")]
    UserNotFound,
    /// The last enabled owner stays.
    #[error("the last owner stays")]
    LastOwner,
}

impl From<JobError<Self>> for Error {
    fn from(error: JobError<Self>) -> Self {
        match error {
            JobError::Refused(error) => error,
            JobError::Overloaded => Self::Overloaded,
            JobError::Unavailable => Self::AuditUnavailable,
            JobError::Storage(error) => error.into(),
            JobError::Panicked => InternalError::DecisionPanicked.into(),
            JobError::Stopped => Self::Locked,
        }
    }
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Engine(_) => Self::Unreadable(error),
            StorageError::Tampered { .. } => Self::Tampered(error),
            StorageError::Random => RandomError.into(),
        }
    }
}

impl From<RandomError> for Error {
    fn from(error: RandomError) -> Self {
        InternalError::from(error).into()
    }
}

impl From<PasswordError> for Error {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Invalid(invalid) => Self::BadRequest(invalid.into()),
            PasswordError::Random(error) => error.into(),
            // No memory for the hash: it may pass.
            PasswordError::Kdf(_) => Self::Overloaded,
        }
    }
}

/// The cause of an internal error.
#[derive(Debug, thiserror::Error)]
pub enum InternalError {
    /// The operating system gives no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// A background task panicked. The text of a panic may hold anything; the log has its place.
    #[error("a background task panicked")]
    TaskPanicked,
    /// A decision panicked on the commit thread; nothing of it was written.
    #[error("a decision panicked on the commit thread")]
    DecisionPanicked,
    /// A record that fits its hash does not decode.
    #[error("an audit record does not decode")]
    Record(#[from] BadRecord),
}

/// An error of [`super::Vault::unlock`].
#[derive(Debug, thiserror::Error)]
pub enum UnlockError {
    /// No slot opens with that secret.
    #[error("wrong passphrase")]
    WrongPassphrase,
    /// No slot opens, and the secret is not even text.
    #[error("wrong passphrase: it is not UTF-8 text")]
    WrongEncoding,
    /// No memory for the key derivation.
    #[error("there is not enough memory for the key derivation")]
    Kdf,
    /// A failure of this process.
    #[error(transparent)]
    Internal(#[from] InternalError),
    /// The file disagrees with itself, or cannot be read.
    #[error(transparent)]
    Storage(StorageError),
    /// The file does not open any more.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The unlocking could not be recorded.
    #[error("the audit log cannot be written")]
    AuditUnavailable,
}

impl From<StorageError> for UnlockError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Random => InternalError::Random(RandomError).into(),
            StorageError::Engine(_) | StorageError::Tampered { .. } => Self::Storage(error),
        }
    }
}
