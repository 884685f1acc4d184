//! Checks of a GitHub App's credential on its way in.

use super::error::Error;
use crate::{
    domain::{AuthType, Json, Provider, Secret},
    outgoing::App,
};

/// Returns whether the vault itself works with the credential: it mints tokens of GitHub Apps.
pub(super) fn is_app(provider: Provider, auth_type: AuthType) -> bool {
    provider == Provider::Github && auth_type == AuthType::App
}

/// Refuses a GitHub App that could not mint a token.
pub(super) fn check_app(credentials: &Secret, config: Option<&Json>) -> Result<(), Error> {
    App::read(credentials, config).map(drop).map_err(|bad| Error::BadRequest(bad.into()))
}
