//! Short texts about an integration.

use crate::{
    cli::terminal::table::{ALL_PROJECTS, list},
    client::Integration,
};

/// Returns provider and type, such as `github/pat`.
pub(super) fn kind(one: &Integration) -> String {
    format!("{}/{}", one.provider, one.auth_type)
}

/// Returns the projects that may read it.
pub(super) fn scope_text(one: &Integration) -> String {
    if one.is_global { ALL_PROJECTS.to_owned() } else { list(&one.projects) }
}
