//! The hand-written part of each operation: an exhaustive `match`, and a file for each subject.

mod audit;
mod due;
mod health;
mod integrations;
mod otp;
mod projects;
mod sessions;
mod tokens;
mod users;
mod witness;

use super::operation::Operation;
use crate::http::routes::Endpoint as E;

/// The subjects, in the order of the contract.
pub(super) const TAGS: &[(&str, &str)] = &[
    (integrations::TAG, "Credentials for external services, with scope and metadata."),
    (projects::TAG, "Repositories that credentials are scoped to."),
    (tokens::TAG, "Tokens for pipelines and services."),
    (users::TAG, "User accounts."),
    (sessions::TAG, "User sessions: login, refresh, logout."),
    (due::TAG, "What has to be rotated, renewed or retired."),
    (audit::TAG, "Tamper-evident audit log."),
    (witness::TAG, "Cosignatures for the audit logs of other vaults (C2SP `tlog-witness`)."),
    (health::TAG, "Health, metrics, and this document."),
];

/// Returns the description of an endpoint.
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
        E::BeginOtp => otp::begin(),
        E::ConfirmOtp => otp::confirm(),
        E::RenewOtpCodes => otp::renew_codes(),
        E::RemoveOwnOtp => otp::remove_own(),
        E::RemoveOtp => otp::remove(),
        E::ListIntegrations => integrations::list(),
        E::ListOwnIntegrations => integrations::list_own(),
        E::CreateIntegration => integrations::create(),
        E::ReadCredentials => integrations::read_credentials(),
        E::ShowIntegration => integrations::show(),
        E::UpdateIntegration => integrations::update(),
        E::DeleteIntegration => integrations::delete(),
        E::RotateCredentials => integrations::rotate(),
        E::RollbackCredentials => integrations::rollback(),
        E::ReadRevisions => integrations::revisions(),
        E::RepositoryToken => integrations::repository_token(),
        E::ListProjects => projects::list(),
        E::CreateProject => projects::create(),
        E::ReadProject => projects::read(),
        E::DeleteProject => projects::delete(),
        E::ListTokens => tokens::list(),
        E::CreateToken => tokens::create(),
        E::RevokeToken => tokens::revoke(),
        E::RollToken => tokens::roll(),
        E::ListDue => due::list(),
        E::LeaveUser => users::leave(),
        E::ReadEvents => audit::events(),
        E::ReadProof => audit::proof(),
        E::ExportAudit => audit::export(),
        E::ReadCheckpoint => audit::checkpoint(),
        E::ReadVerifierKey => audit::verifier_key(),
        E::ReadExposure => audit::exposure(),
        E::CreateBackup => audit::backup(),
        E::AddCheckpoint => witness::add_checkpoint(),
        E::WitnessedCheckpoint => witness::checkpoint(),
        E::WitnessKey => witness::key(),
    }
}
