//! The integration that a command line names, by its id or its name.

use super::{
    integration_text::{kind, scope_text},
    near,
    remote::Remote,
};
use crate::{cli::error::CliError, client::Integration, domain::IntegrationId};

/// Returns the integration with that id, or the only one with that name: for a member, among those that it created.
pub(super) async fn find(text: &str, remote: &Remote) -> Result<Integration, CliError> {
    if remote.is_member().await {
        return find_own(text, remote).await;
    }
    if let Ok(id) = text.parse() {
        return Ok(remote.client.integration(id).await?);
    }
    let named = remote.client.integrations(None, Some(text)).await?;
    if let Some(one) = near::only(named, "integration", text, description)? {
        return Ok(one);
    }
    let all = remote.client.integrations(None, None).await?;
    let known = all.iter().filter_map(|one| one.name.as_deref());
    Err(near::unknown("integration", text, known, "what is stored: sealroom integration list"))
}

async fn find_own(text: &str, remote: &Remote) -> Result<Integration, CliError> {
    let id = text.parse::<IntegrationId>().ok();
    let is_named = |one: &Integration| Some(one.id) == id || one.name.as_deref() == Some(text);
    let all = remote.client.own_integrations(None, None).await?;
    let (named, others): (Vec<_>, Vec<_>) = all.into_iter().partition(is_named);
    near::only(named, "integration", text, description)?.ok_or_else(|| {
        let known = others.iter().filter_map(|one| one.name.as_deref());
        near::unknown("integration", text, known, "what you created: sealroom integration list --mine")
    })
}

/// Describes one of several that have the same name.
fn description(one: &Integration) -> String {
    format!("{} ({}, {})", one.id, kind(one), scope_text(one))
}

/// Like [`find`], without a look-up if an id is given.
pub(super) async fn id_of(text: &str, remote: &Remote) -> Result<IntegrationId, CliError> {
    match text.parse() {
        Ok(id) => Ok(id),
        Err(_) => find(text, remote).await.map(|one| one.id),
    }
}
