//! Integrations that a new one takes precedence over, named by label and scope to callers that may know them.

use super::{
    integration_text::{kind, scope_text},
    remote::Remote,
};
use crate::client::Integration;

/// Maximum number of integrations looked up and named; each look-up is an event in the audit log.
const NAMED_MAX: usize = 5;

/// Warns if the new integration hides others.
pub(super) async fn warn(made: &Integration, remote: &Remote) {
    if made.shadows.is_empty() {
        return;
    }
    let may_know = remote.is_owner().await;
    let mut older = Vec::new();
    for id in made.shadows.iter().take(NAMED_MAX) {
        older.push(if may_know { describe(id, remote).await } else { id.clone() });
    }
    let more = made.shadows.len() - older.len();
    if more > 0 {
        older.push(format!("{more} more"));
    }
    remote.output.warning(&format!("where both apply, it is now read before {}", older.join(", ")));
}

/// Describes an integration, or returns its id if the look-up fails: the new one is stored in any case.
async fn describe(id: &str, remote: &Remote) -> String {
    let Ok(known) = id.parse() else { return id.to_owned() };
    match remote.client.integration(known).await {
        Ok(one) => {
            let label = one.name.as_ref().map_or(String::new(), |name| format!(" '{name}'"));
            format!("{}{label} for {} ({id})", kind(&one), scope_text(&one))
        }
        Err(_) => id.to_owned(),
    }
}
