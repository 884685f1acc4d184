//! What is written by hand of each operation: one exhaustive `match`, then a file for each subject.

mod audit;
mod health;
mod integrations;
mod projects;
mod sessions;
mod tokens;
mod users;

use super::operation::Operation;
use crate::http::routes::Endpoint as E;

/// The subjects, in the order of the contract.
pub(super) const TAGS: &[(&str, &str)] = &[
    (integrations::TAG, "Credentials of external services, with their scope and metadata."),
    (projects::TAG, "The repositories to which credentials are scoped."),
    (tokens::TAG, "Tokens of machines."),
    (users::TAG, "People."),
    (sessions::TAG, "Logins of people."),
    (audit::TAG, "Who did what, in a log that cannot be changed unnoticed."),
    (health::TAG, "Whether the server can answer, and this document."),
];

/// The description of what answers there.
pub(super) fn describe(endpoint: E) -> Operation {
    match endpoint {
        E::Health => health::health(),
        E::Ping => health::ping(),
        E::Metrics => health::metrics(),
        E::ApiDocs => health::api_docs(),
        E::Login => sessions::login(),
        E::Refresh => sessions::refresh(),
        E::Logout => sessions::logout(),
        E::OwnUser => users::own(),
        E::ListUsers => users::list(),
        E::CreateUser => users::create(),
        E::ReadUser => users::read(),
        E::UpdateUser => users::update(),
        E::DeleteUser => users::delete(),
        E::DeleteUserByBody => users::delete_by_body(),
        E::ListIntegrations => integrations::list(),
        E::CreateIntegration => integrations::create(),
        E::ReadCredentials => integrations::read_credentials(),
        E::ShowIntegration => integrations::show(),
        E::UpdateIntegration => integrations::update(),
        E::DeleteIntegration => integrations::delete(),
        E::RotateCredentials => integrations::rotate(),
        E::RollbackCredentials => integrations::rollback(),
        E::ListProjects => projects::list(),
        E::CreateProject => projects::create(),
        E::ReadProject => projects::read(),
        E::DeleteProject => projects::delete(),
        E::ListTokens => tokens::list(),
        E::CreateToken => tokens::create(),
        E::RevokeToken => tokens::revoke(),
        E::ReadEvents => audit::events(),
        E::ReadProof => audit::proof(),
        E::ExportAudit => audit::export(),
        E::ReadCheckpoint => audit::checkpoint(),
        E::ReadVerifierKey => audit::verifier_key(),
    }
}
