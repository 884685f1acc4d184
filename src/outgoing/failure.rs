//! Reasons why a call gave no token, in words that hold nothing of the answer.

use std::{io, time::Duration};

use crate::{crypto::random::RandomError, outgoing::BadApp};

/// The failure of a call to a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Its name has no address.
    #[error("its name could not be resolved")]
    Unresolved,
    /// Its name leads only to addresses that are never called.
    #[error("its name leads to an address that is never called")]
    ForbiddenAddress,
    /// No connection could be made.
    #[error("it could not be connected to")]
    Unreachable,
    /// Its certificate is not valid, or not issued by a trusted authority.
    #[error("its certificate is not trusted")]
    Certificate,
    /// The TLS handshake failed otherwise.
    #[error("the TLS handshake failed")]
    Handshake,
    /// It took too long.
    #[error("it did not answer in time")]
    TimedOut,
    /// The connection ended without an answer, or the answer was not HTTP.
    #[error("it ended the connection")]
    Broken,
    /// It answered with another status than a token comes with.
    #[error("it answered {0}")]
    Status(u16),
    /// Its answer was too long.
    #[error("its answer was too long")]
    TooLong,
    /// Its answer had no token, or one that cannot be used.
    #[error("its answer could not be read")]
    Unreadable,
    /// Its token was for other repositories too.
    #[error("its token was not for the one repository that was asked for")]
    TooWide,
}

impl Failure {
    /// Returns the code that names the reason in the audit log.
    pub fn reason(self) -> String {
        match self {
            Self::Unresolved => "unresolved".to_owned(),
            Self::ForbiddenAddress => "forbidden_address".to_owned(),
            Self::Unreachable => "unreachable".to_owned(),
            Self::Certificate => "certificate".to_owned(),
            Self::Handshake => "handshake".to_owned(),
            Self::TimedOut => "timed_out".to_owned(),
            Self::Broken => "broken".to_owned(),
            Self::Status(status) => format!("status_{status}"),
            Self::TooLong => "too_long".to_owned(),
            Self::Unreadable => "unreadable".to_owned(),
            Self::TooWide => "too_wide".to_owned(),
        }
    }

    pub(super) fn of_tls(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(_)) => Self::Certificate,
            Some(_) | None => Self::Handshake,
        }
    }
}

/// The reason why nothing is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Disabled {
    /// The settings do not enable calls.
    #[error(
        "Outgoing calls are off: an operator enables them with [outgoing] enabled = true in the config file"
    )]
    Off,
    /// The settings do not list the host.
    #[error("The host of this GitHub App's API is not in [outgoing] hosts of the config file")]
    HostNotListed,
}

/// An error while a token is minted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// Nothing may be called.
    #[error(transparent)]
    Disabled(#[from] Disabled),
    /// The App is not installed for that repository.
    #[error("the App is not installed there")]
    NotInstalled,
    /// The call failed.
    #[error("{failure}")]
    Failed {
        /// The cause.
        failure: Failure,
        /// The time for which the provider wants no further call.
        retry_after: Option<Duration>,
    },
    /// The stored App cannot be used.
    #[error(transparent)]
    BadApp(#[from] BadApp),
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    Random,
}

impl From<Failure> for MintError {
    fn from(failure: Failure) -> Self {
        Self::Failed { failure, retry_after: None }
    }
}

impl From<RandomError> for MintError {
    fn from(_: RandomError) -> Self {
        Self::Random
    }
}
