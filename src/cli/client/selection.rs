//! The flags that select credentials.

use crate::client::CredentialFilter;

/// The credentials to read.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Selection {
    /// Only of this provider.
    #[arg(long)]
    provider: Option<String>,
    /// Only with this name.
    #[arg(long)]
    name: Option<String>,
    /// For this project: its own integrations, else the global ones.
    #[arg(long, conflicts_with = "all")]
    project: Option<String>,
    /// For any project; needed where nothing else selects.
    #[arg(long)]
    all: bool,
}

impl Selection {
    /// Returns whether the user chose a project, or all of them.
    pub(super) fn has_projects(&self) -> bool {
        self.project.is_some() || self.all
    }

    /// Returns whether any flag selects.
    #[cfg(unix)]
    pub(super) fn is_given(&self) -> bool {
        self.has_projects() || self.provider.is_some() || self.name.is_some()
    }

    pub(super) fn into_filter(self) -> CredentialFilter {
        CredentialFilter { provider: self.provider, project: self.project, name: self.name }
    }
}
