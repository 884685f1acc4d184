//! The access scope of tokens and members.

use super::{IntegrationId, ProjectId, Provider};

/// The projects, providers and integrations that a caller may reach; `None` allows all, an empty list none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessScope {
    /// The only projects it may name.
    pub projects: Option<Vec<ProjectId>>,
    /// The only providers it may read.
    pub providers: Option<Vec<Provider>>,
    /// The only integrations whose credentials it may read.
    pub integrations: Option<Vec<IntegrationId>>,
}

impl AccessScope {
    /// Takes a project out of those that it names; returns whether it named it.
    pub fn lose_project(&mut self, project: &ProjectId) -> bool {
        let Some(projects) = &mut self.projects else { return false };
        let before = projects.len();
        projects.retain(|held| held != project);
        projects.len() < before
    }

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

    /// Returns whether the caller may read this integration's credential, as far as its id decides.
    pub fn admits_integration(&self, id: IntegrationId) -> bool {
        self.integrations.as_ref().is_none_or(|integrations| integrations.contains(&id))
    }
}
