//! Errors of the use cases.
//!
//! A variant with a source is a failure of this process or of its file: the log gets the cause, the client never does.

use std::error::Error as _;

use super::not_minted::{MissingRepository, NotMinted};
use crate::{
    api::BadRequest,
    audit::record::BadRecord,
    auth::{password::PasswordError, policy::Denied},
    crypto::random::RandomError,
    domain::{ProjectId, Provider, RequestId, Revision, Timestamp},
    outgoing::Disabled,
    storage::{CopyError, JobError, MigrationError, OpenError, StorageError},
};

/// An error of a use case, with a variant for each case that a caller can act on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The vault is locked.
    #[error("the vault is locked")]
    Locked,
    /// Too many requests wait for the writer.
    #[error("too many requests wait")]
    Overloaded,
    /// The audit log cannot be written; whether a write took place is unknown.
    #[error("the audit log cannot be written")]
    AuditUnavailable,
    /// The disk has too little free space to add or disclose anything.
    #[error("the disk is almost full")]
    DiskLow,
    /// The file cannot be read, so nothing can be disclosed or recorded; the failure may be transient.
    #[error("the vault file cannot be read")]
    Unreadable(#[source] StorageError),
    /// A row fails its authentication.
    #[error("a row failed authentication")]
    Tampered(#[source] StorageError),
    /// A failure of this process.
    #[error("an internal error")]
    Internal(#[from] InternalError),
    /// One of the three above, after the log has its cause.
    #[error(transparent)]
    Logged(Box<Self>),
    /// The request has no valid token.
    #[error("no valid token")]
    Unauthenticated,
    /// An authentic token has expired.
    #[error("the token expired")]
    TokenExpired {
        /// The end of its lifetime.
        since: Timestamp,
    },
    /// The policy forbids it.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Wrong e-mail or password; the answer does not say which.
    #[error("wrong e-mail or password")]
    BadLogin,
    /// The password of a login is right, and the code of the second factor is wrong.
    #[error("wrong code of the second factor")]
    WrongLoginCode,
    /// The caller's own password, required to change it, is wrong.
    #[error("wrong password")]
    WrongPassword,
    /// The password is right, and a code of the second factor is needed too.
    #[error("a code of the second factor is needed")]
    OtpRequired,
    /// The caller's own code is wrong, or was used before.
    #[error("wrong code")]
    WrongOtp,
    /// The user has a second factor already.
    #[error("a second factor is set")]
    OtpSet,
    /// The user has no second factor.
    #[error("no second factor is set")]
    OtpNotSet,
    /// The user has not begun to set a second factor, or too long ago.
    #[error("no second factor was begun")]
    OtpNotBegun,
    /// The client made too many attempts.
    #[error("too many tries")]
    TooManyTries {
        /// Seconds until the next attempt is allowed.
        retry_after_secs: u64,
    },
    /// The caller read too many credentials in this minute.
    #[error("too many disclosures")]
    TooManyDisclosures {
        /// Seconds until the next minute begins.
        retry_after_secs: u64,
    },
    /// The caller wrote too much in this minute.
    #[error("too many writes")]
    TooManyWrites {
        /// Seconds until the next minute begins.
        retry_after_secs: u64,
    },
    /// The request breaks a rule that depends on stored data.
    #[error("the request cannot be carried out")]
    BadRequest(BadRequest),
    /// A project that a request names is not registered.
    #[error("a project is not registered")]
    ProjectNotRegistered(ProjectId),
    /// The given expiry lies in the past.
    #[error("expiresAt lies in the past")]
    ExpiryPast,
    /// A `custom` integration has no name.
    #[error("a custom integration needs a name")]
    NameNeeded,
    /// No integration matches a read.
    #[error("no integration found")]
    NothingMatches {
        /// The provider asked for.
        provider: Option<Provider>,
        /// The project asked for.
        project: Option<ProjectId>,
    },
    /// There is no token for a repository.
    #[error(transparent)]
    RepositoryNotFound(#[from] MissingRepository),
    /// Nothing may be called, or not that host.
    #[error(transparent)]
    OutgoingDisabled(#[from] Disabled),
    /// A GitHub App's token could not be minted.
    #[error("no token was minted")]
    NotMinted(Box<NotMinted>),
    /// More integrations match than one answer may hold.
    #[error("too many matches")]
    TooManyMatches,
    /// The integration does not exist.
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
    /// The project does not exist.
    #[error("no such project")]
    ProjectNotFound(ProjectId),
    /// The project already exists.
    #[error("the project already exists")]
    ProjectExists,
    /// Integrations are scoped to the project.
    #[error("the project is in use")]
    ProjectInUse {
        /// The number of these integrations.
        integrations: usize,
    },
    /// A member's integration would hide owners' ones.
    #[error("it would hide another's integration")]
    WouldShadow {
        /// The number of these integrations.
        integrations: usize,
    },
    /// The token does not exist.
    #[error("no such token")]
    TokenNotFound,
    /// The token has ended or was revoked.
    #[error("the token has ended")]
    TokenEnded,
    /// The token has a successor that is active.
    #[error("the token was rolled")]
    TokenRolled,
    /// The log does not have that sequence or size.
    #[error("out of range")]
    OutOfRange,
    /// The records were moved to an archive.
    #[error("archived")]
    Archived {
        /// The last of them.
        last: u64,
    },
    /// The e-mail is taken.
    #[error("the user already exists")]
    UserExists,
    /// The user does not exist.
    #[error("no such user")]
    UserNotFound,
    /// The change would remove the last enabled owner.
    #[error("the last owner stays")]
    LastOwner,
    /// An owner cannot take its own access away by leaving.
    #[error("another owner has to do it")]
    OwnLeave,
}

impl Error {
    /// Logs the causes of a failure of this process or of its file under the request's id, unless the log has them.
    ///
    /// To be called as soon as a decision fails: the request's own task ends without an answer if its client hangs up.
    #[must_use]
    pub fn into_logged(self, request: Option<RequestId>) -> Self {
        let mut causes = Vec::new();
        let mut next = self.source();
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        if causes.is_empty() || matches!(self, Self::Logged(_)) {
            return self;
        }
        let (request, cause) = (request.map(tracing::field::display), causes.join(": "));
        tracing::error!(request, cause, error = %self, "request failed");
        Self::Logged(Box::new(self))
    }

    pub(super) fn is_tampered(&self) -> bool {
        match self {
            Self::Logged(error) => error.is_tampered(),
            error => matches!(error, Self::Tampered(_)),
        }
    }
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
            StorageError::Archived { last } => Self::Archived { last },
            StorageError::Newer { .. } | StorageError::Older { .. } => InternalError::Newer(error).into(),
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
            // There is no memory for the hash: the failure may be transient.
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
    /// A newer program wrote a row, or the file has an older format.
    #[error(transparent)]
    Newer(StorageError),
    /// A background task panicked. Only the log gets the text of a panic, which may hold anything.
    #[error("a background task panicked")]
    TaskPanicked,
    /// A decision panicked on the commit thread; nothing of it was written.
    #[error("a decision panicked on the commit thread")]
    DecisionPanicked,
    /// A copy of the vault could not be written, or did not read back.
    #[error(transparent)]
    Copy(CopyError),
    /// There is no file or no thread for a copy of the vault.
    #[error("no temporary file or thread for the copy: {0}")]
    Scratch(std::io::Error),
    /// A record that matches its hash does not decode.
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
    /// The text has the form of a recovery key, and its checksum does not fit.
    #[error("wrong recovery key: its checksum does not fit{}", group.map_or_else(String::new, |group| format!("; look at group {group}")))]
    Mistyped {
        /// The only group in which one other digit makes the checksum fit, counted from 1.
        group: Option<usize>,
    },
    /// A recovery key without a typing mistake opens no slot.
    #[error("wrong passphrase: no slot has this recovery key")]
    WrongRecoveryKey,
    /// The machine key opens no slot.
    #[error("this machine key opens no slot of this vault")]
    WrongMachineKey,
    /// There is no memory for the key derivation.
    #[error("there is not enough memory for the key derivation")]
    Kdf,
    /// A failure of this process.
    #[error(transparent)]
    Internal(#[from] InternalError),
    /// The file disagrees with its head, or cannot be read.
    #[error(transparent)]
    Storage(StorageError),
    /// The file no longer opens.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The file has an older format, and was not migrated.
    #[error(transparent)]
    Migration(MigrationError),
    /// The unlock could not be recorded.
    #[error("the audit log cannot be written")]
    AuditUnavailable,
    /// A checkpoint gives the file away as an older copy.
    #[error(
        "the file is an older copy: a checkpoint of this log knows {known} records, the file holds {held}, or different ones"
    )]
    RolledBack {
        /// The number of records that the checkpoint knows.
        known: u64,
        /// The number of records in the file.
        held: u64,
    },
}

impl From<MigrationError> for UnlockError {
    fn from(error: MigrationError) -> Self {
        match error {
            MigrationError::Storage(error) => error.into(),
            MigrationError::NotKept(_) | MigrationError::Commit(_) => Self::Migration(error),
        }
    }
}

impl From<StorageError> for UnlockError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Random => InternalError::Random(RandomError).into(),
            StorageError::Engine(_)
            | StorageError::Tampered { .. }
            | StorageError::Archived { .. }
            | StorageError::Newer { .. }
            | StorageError::Older { .. } => Self::Storage(error),
        }
    }
}
