//! Projects.

use std::sync::Arc;

use super::{
    access::Admitted,
    error::Error,
    narrowing::{take_from_members, take_from_tokens},
    state::Vault,
    work::{Context, Request},
};
use crate::{
    api::requests::CreateProject,
    auth::policy::{Permit, Verb},
    domain::{Event, Integration, Project, ProjectId, Role},
    storage::{Changes, Decision, View},
};

/// A project with the integrations that are scoped to it; empty for callers other than owners.
type Shown = (Project, Vec<Arc<Integration>>);

impl Vault {
    /// Registers a project.
    ///
    /// # Errors
    /// The policy forbids it, or the project already exists.
    pub async fn create_project(
        &self,
        context: &Context,
        caller: &Admitted,
        request: CreateProject,
    ) -> Result<Project, Error> {
        let work = move |work: Request<'_>| {
            let CreateProject { identifier, remote_url, platform, configuration } = request;
            if work.view.project(&identifier)?.is_some() {
                return Err(Error::ProjectExists);
            }
            let now = work.context.now;
            let project = Project {
                identifier,
                remote_url,
                platform,
                configuration,
                created_at: now,
                updated_at: now,
                version: 0,
            };
            let mut changes = Changes::none();
            changes.project(project.clone());
            let mut taken = take_from_members(work.view, &project.identifier, &mut changes, &work.event)?;
            taken.extend(take_from_tokens(work.view, &project.identifier, &mut changes, &work.event)?);
            let event = Event { project: Some(project.identifier.clone()), ..work.event };
            // The answer shows the version that the write assigns.
            Ok(Decision::changing(Project { version: 1, ..project }, changes, event).also(taken))
        };
        Ok(self.act(context, caller, Verb::CreateProject, work).await?.value)
    }

    /// Returns the projects that the caller may name; not audited.
    pub async fn list_projects(&self, context: &Context, caller: &Admitted) -> Result<Vec<Shown>, Error> {
        let permit = self.permit(context, caller, Verb::ListProjects).await?;
        let open = self.opened()?;
        let listed = visible_projects(&open.writer.fresh_view(), &permit);
        self.noted(context, caller.caller().actor(), Verb::ListProjects.action(), listed).await
    }

    /// Returns one project; not audited.
    ///
    /// # Errors
    /// The policy forbids it, or the project does not exist.
    pub async fn read_project(
        &self,
        context: &Context,
        caller: &Admitted,
        identifier: ProjectId,
    ) -> Result<Shown, Error> {
        let permit = self.permit(context, caller, Verb::ReadProject).await?;
        if let Err(denied) = permit.project(&identifier) {
            return Err(self.refuse(context, caller.bearer(), Verb::ReadProject, denied.into()).await);
        }
        let open = self.opened()?;
        let found = visible_project(&open.writer.fresh_view(), &permit, identifier);
        self.noted(context, caller.caller().actor(), Verb::ReadProject.action(), found).await
    }

    /// Deletes a project without integrations.
    ///
    /// # Errors
    /// The policy forbids it, the project does not exist, or integrations are scoped to it.
    pub async fn delete_project(
        &self,
        context: &Context,
        caller: &Admitted,
        identifier: ProjectId,
    ) -> Result<(), Error> {
        let work = move |work: Request<'_>| {
            if work.view.project(&identifier)?.is_none() {
                return Err(Error::ProjectNotFound(identifier));
            }
            let integrations = work.view.scoped_count(&identifier)?;
            if integrations > 0 {
                return Err(Error::ProjectInUse { integrations });
            }
            let mut changes = Changes::none();
            changes.remove_project(&identifier);
            let event = Event { project: Some(identifier), ..work.event };
            Ok(Decision::changing((), changes, event).revoking())
        };
        self.act(context, caller, Verb::DeleteProject, work).await.map(drop)
    }
}

/// Checks that every project is registered.
pub(super) fn check_registered<'a>(
    view: &View<'_>,
    projects: impl IntoIterator<Item = &'a ProjectId>,
) -> Result<(), Error> {
    for project in projects {
        if view.project(project)?.is_none() {
            return Err(Error::ProjectNotRegistered(project.clone()));
        }
    }
    Ok(())
}

fn visible_projects(view: &View<'_>, permit: &Permit) -> Result<Vec<Shown>, Error> {
    let projects = view.projects()?.into_iter();
    projects
        .filter(|project| permit.access_scope().admits_project(&project.identifier))
        .map(|project| with_integrations(view, permit, project))
        .collect()
}

fn visible_project(view: &View<'_>, permit: &Permit, identifier: ProjectId) -> Result<Shown, Error> {
    let project = view.project(&identifier)?.ok_or(Error::ProjectNotFound(identifier))?;
    with_integrations(view, permit, Project::clone(&project))
}

fn with_integrations(view: &View<'_>, permit: &Permit, project: Project) -> Result<Shown, Error> {
    let integrations = match permit.role() {
        Role::Owner => view.scoped(Some(&project.identifier), None)?,
        Role::Member | Role::Application | Role::Auditor | Role::Operator => Vec::new(),
    };
    Ok((project, integrations))
}
