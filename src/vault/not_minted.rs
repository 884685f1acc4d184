//! Reasons why a repository has no token.

use std::time::Duration;

use crate::{
    domain::{Action, Detail, DetailKey, Event, IntegrationId, ProjectId, Provider, Revision},
    outgoing::{Failure, MintError},
};

/// The part of a repository's token that is missing; its answer is the same for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MissingRepository {
    /// The project is not registered.
    #[error("the project is not registered")]
    Project,
    /// No stored credential is for it.
    #[error("no integration is for it")]
    Integration,
    /// The GitHub App is not installed there.
    #[error("the App is not installed there")]
    Installation,
}

/// A GitHub App's token that could not be minted.
#[derive(Debug)]
pub struct NotMinted {
    /// The App.
    pub integration: IntegrationId,
    /// The revision of its key.
    pub revision: Revision,
    /// The project asked for.
    pub project: ProjectId,
    /// The cause.
    pub error: MintError,
    /// The time until the provider is called again, if it asked for one.
    pub wait: Duration,
}

impl NotMinted {
    /// Completes the event of the refusal.
    pub(super) fn event(&self, event: Event) -> Event {
        let reason = match self.error {
            MintError::Disabled(_) => "outgoing_disabled".to_owned(),
            MintError::NotInstalled => "not_installed".to_owned(),
            MintError::Failed { failure, .. } => failure.reason(),
            MintError::BadApp(_) => "unusable_app".to_owned(),
            MintError::Random => "internal".to_owned(),
        };
        Event {
            action: Action::CredentialsMint,
            integration: Some(self.integration),
            revision: Some(self.revision),
            provider: Some(Provider::Github),
            project: Some(self.project.clone()),
            detail: Detail::NONE.text(DetailKey::Reason, reason),
            ..event
        }
    }

    /// Returns the sentence for the client.
    pub fn message(&self) -> String {
        let advice = match self.error {
            MintError::Failed { failure: Failure::Status(401), .. } => {
                "; check the App's id and private key, and the clock of this server"
            }
            MintError::Failed { failure: Failure::Status(403 | 422), .. } => {
                "; check the App's permissions, and whether its installation is suspended"
            }
            MintError::Failed { failure: Failure::Status(429), .. } => "; try again later",
            _ => "",
        };
        format!("The provider gave no token: {}{advice}", self.error)
    }
}
