//! The narrowing that tokens and members share.

use super::{ProjectId, Provider};

/// To which projects and providers a caller is narrowed; `None` does not narrow, an empty list allows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessScope {
    /// The only projects it may name.
    pub projects: Option<Vec<ProjectId>>,
    /// The only providers it may read.
    pub providers: Option<Vec<Provider>>,
}

impl AccessScope {
    /// Returns whether the caller may name this project.
    pub fn admits_project(&self, project: &ProjectId) -> bool {
        self.projects.as_ref().is_none_or(|projects| projects.contains(project))
    }

    /// Returns whether the caller may read this provider, in either of its spellings.
    pub fn admits_provider(&self, provider: Provider) -> bool {
        self.providers
            .as_ref()
            .is_none_or(|providers| providers.iter().any(|one| one.service() == provider.service()))
    }
}
