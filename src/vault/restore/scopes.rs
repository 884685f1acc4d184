//! The scopes that integrations got after the backup, as far as the backup has their projects.
//!
//! An integration is never scoped to a project without a row: whoever registered that name later would inherit its
//! credential unseen.

use std::collections::BTreeMap;

use crate::{
    audit::taken_away::Projects,
    domain::{IntegrationId, ProjectId, Scope},
    storage::{StorageError, View},
};

/// A later scope.
pub(super) enum LaterScope {
    /// The log knows it only by a hash.
    Unknown,
    /// Its projects with a row in the backup, and those without.
    Listed { known: Vec<ProjectId>, lost: Vec<ProjectId> },
}

/// The outcome for a scope.
pub(super) struct Rescoped {
    /// The projects that it is narrowed to; `None` if the scope of the backup holds.
    pub(super) to: Option<Vec<ProjectId>>,
    /// The text of what an operator examines by hand, to follow the integration's name.
    pub(super) told: Option<String>,
}

/// Returns the later scopes that may take projects away.
///
/// # Errors
/// The backup cannot be read.
pub(super) fn later_scopes(
    view: &View<'_>,
    scopes: &BTreeMap<IntegrationId, Projects>,
) -> Result<BTreeMap<IntegrationId, LaterScope>, StorageError> {
    let mut later = BTreeMap::new();
    for (id, projects) in scopes {
        let scope = match projects {
            Projects::All => continue,
            Projects::Unknown => LaterScope::Unknown,
            Projects::Only(projects) => {
                let (mut known, mut lost) = (Vec::new(), Vec::new());
                for project in projects {
                    let there = if view.project(project)?.is_some() { &mut known } else { &mut lost };
                    there.push(project.clone());
                }
                LaterScope::Listed { known, lost }
            }
        };
        later.insert(*id, scope);
    }
    Ok(later)
}

impl LaterScope {
    /// Judges the scope that the backup has.
    pub(super) fn judge(&self, before: &Scope) -> Rescoped {
        let Self::Listed { known, lost } = self else {
            let told = "was scoped to a list of projects that the log knows only by a hash";
            return Rescoped { to: None, told: Some(told.to_owned()) };
        };
        let takes_away = match before {
            Scope::Global => true,
            Scope::Projects(before) => before.iter().any(|project| !known.contains(project)),
        };
        let lost: Vec<&str> = lost.iter().map(ProjectId::as_str).collect();
        let lost = lost.join(", ");
        let told = match (known.is_empty(), lost.is_empty()) {
            (_, true) => None,
            (false, false) => Some(format!("was scoped to {lost} too, which the backup does not have")),
            (true, false) => Some(format!(
                "was scoped to {lost} alone, which the backup does not have: it has its earlier scope again"
            )),
        };
        Rescoped { to: (takes_away && !known.is_empty()).then(|| known.clone()), told }
    }
}

/// Returns a number of projects in words.
pub(super) fn counted(number: usize) -> String {
    format!("{number} project{}", if number == 1 { "" } else { "s" })
}
