//! The integration that a command line names, by its id or its name.

use super::{near, remote::Remote};
use crate::{cli::error::CliError, client::Integration, domain::IntegrationId};

/// Returns the integration with that id, or the only one with that name.
pub(super) async fn find(text: &str, remote: &Remote) -> Result<Integration, CliError> {
    if let Ok(id) = text.parse() {
        return Ok(remote.client.integration(id).await?);
    }
    let mut named = remote.client.integrations(None, Some(text)).await?;
    match (named.pop(), named.len()) {
        (Some(one), 0) => Ok(one),
        (None, _) => {
            let all = remote.client.integrations(None, None).await?;
            let meant = near::nearest(text, all.iter().filter_map(|one| one.name.as_deref()));
            let meant = meant.map_or_else(String::new, |meant| format!("did you mean '{meant}'? "));
            let hint = format!("{meant}see what is stored: sealroom integration list");
            Err(CliError::failed(format!("no integration has the id or name '{text}'"), hint))
        }
        (Some(last), _) => {
            let ids: Vec<String> = named.iter().chain([&last]).map(|one| one.id.to_string()).collect();
            let hint = format!("pass the id of one: {}", ids.join(", "));
            Err(CliError::failed(format!("{} integrations have the name '{text}'", ids.len()), hint))
        }
    }
}

/// Like [`find`], without a look-up if an id is given.
pub(super) async fn id_of(text: &str, remote: &Remote) -> Result<IntegrationId, CliError> {
    match text.parse() {
        Ok(id) => Ok(id),
        Err(_) => find(text, remote).await.map(|one| one.id),
    }
}
