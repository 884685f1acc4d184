//! Narrowing to projects, when a project is deleted and another one is registered under its identifier.
//!
//! A narrowing names projects by identifier, and means the project that had it at that time: it loses the identifier
//! once another project is registered under it. A member's can be set anew at any time, a token's cannot.

use super::error::Error;
use crate::{
    domain::{AccessScope, Action, ApplicationToken, Detail, DetailKey, Event, ProjectId, Timestamp, User},
    storage::{Changes, View},
};

/// Returns a token's narrowing without the projects that were registered after it. In an older file, registering a
/// project took nothing from the tokens that named the one before: there only the times tell.
///
/// # Errors
/// A project's row cannot be read.
pub(super) fn of_token(
    view: &View<'_>,
    token: &ApplicationToken,
    now: Timestamp,
) -> Result<AccessScope, Error> {
    let mut narrowing = token.scope.clone();
    let Some(projects) = narrowing.projects.take() else { return Ok(narrowing) };
    let mut kept = Vec::with_capacity(projects.len());
    for project in projects {
        // The time of a clock that was ahead proves nothing until it has come.
        let is_another = view
            .project(&project)?
            .is_some_and(|row| row.created_at > token.created_at && row.created_at <= now);
        if !is_another {
            kept.push(project);
        }
    }
    narrowing.projects = Some(kept);
    Ok(narrowing)
}

/// Takes a newly registered project from the members that are narrowed to an earlier one of that identifier. Returns
/// the event of each.
///
/// # Errors
/// The users cannot be read.
pub(super) fn take_from_members(
    view: &View<'_>,
    project: &ProjectId,
    changes: &mut Changes,
    event: &Event,
) -> Result<Vec<Event>, Error> {
    let mut events = Vec::new();
    for mut user in view.users()? {
        if !user.scope.lose_project(project) {
            continue;
        }
        let detail = user_detail(&user);
        events.push(Event { action: Action::UserUpdate, project: None, detail, ..event.clone() });
        changes.user(user);
    }
    Ok(events)
}

/// Takes a newly registered project from the tokens that are narrowed to an earlier one of that identifier. Returns the
/// event of each. No time decides: a clock may be set back.
///
/// # Errors
/// The tokens cannot be read.
pub(super) fn take_from_tokens(
    view: &View<'_>,
    project: &ProjectId,
    changes: &mut Changes,
    event: &Event,
) -> Result<Vec<Event>, Error> {
    let mut events = Vec::new();
    // A revoked one stays so. An expired one is valid again for a clock that is set back.
    for mut token in view.tokens()?.into_iter().filter(|token| token.revoked_at.is_none()) {
        if !token.scope.lose_project(project) {
            continue;
        }
        let detail = token_detail(&token);
        events.push(Event { action: Action::TokenUpdate, project: None, detail, ..event.clone() });
        changes.token(token);
    }
    Ok(events)
}

/// Returns the state of a user, as each record about one has it.
pub(super) fn user_detail(user: &User) -> Detail {
    let detail = Detail::NONE.text(DetailKey::Email, &user.email).text(DetailKey::Role, user.role);
    let detail = if user.disabled { detail.truth(DetailKey::Disabled, true) } else { detail };
    let detail = if user.factor.is_some() { detail.truth(DetailKey::Otp, true) } else { detail };
    match user.projects() {
        Some(projects) => detail.list(DetailKey::Projects, projects),
        None => detail,
    }
}

/// Returns the state of a token, as each record about one has it.
pub(super) fn token_detail(token: &ApplicationToken) -> Detail {
    let detail = Detail::NONE
        .text(DetailKey::Id, token.id)
        .text(DetailKey::Name, &token.name)
        .text(DetailKey::Role, token.role);
    let detail = match &token.scope.projects {
        Some(projects) => detail.list(DetailKey::Projects, projects),
        None => detail,
    };
    let detail = match &token.scope.providers {
        Some(providers) => detail.list(DetailKey::Providers, providers),
        None => detail,
    };
    match &token.scope.integrations {
        Some(integrations) => detail.list(DetailKey::Integrations, integrations),
        None => detail,
    }
}
