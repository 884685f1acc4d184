//! Shadows: a member's integration that pipelines read in the place of another's.

use std::collections::BTreeSet;

use super::error::Error;
use crate::{
    auth::policy::Permit,
    domain::{Action, Actor, Detail, DetailKey, Event, Integration, IntegrationId, Role, Scope, User},
    storage::{Changes, View},
};

/// Returns the event of a member's integration that hides others, if it hides any; `event` is about it.
///
/// # Errors
/// It hides some, and members may not; or a row cannot be read.
pub(super) fn event(
    view: &View<'_>,
    permit: &Permit,
    new: &Integration,
    event: Event,
    may_shadow: bool,
) -> Result<Option<Event>, Error> {
    let hidden = hidden_by_member(view, permit, new)?;
    if hidden.is_empty() {
        return Ok(None);
    }
    if !may_shadow {
        return Err(Error::WouldShadow { integrations: hidden.len() });
    }
    let detail = Detail::NONE.list(DetailKey::Integrations, &hidden);
    Ok(Some(Event { action: Action::IntegrationShadow, detail, ..event }))
}

/// Returns the integrations of owners that a member's new one hides: those of its own scope, which it is read before,
/// and for a project also the global ones, which are read only where a project has none.
///
/// # Errors
/// A row cannot be read.
fn hidden_by_member(
    view: &View<'_>,
    permit: &Permit,
    new: &Integration,
) -> Result<Vec<IntegrationId>, Error> {
    if permit.role() != Role::Member {
        return Ok(Vec::new());
    }
    let (_, name) = new.group();
    let mut found = view.group(None, new.provider, name)?;
    if let Scope::Projects(projects) = &new.scope {
        for project in projects {
            found.extend(view.group(Some(project), new.provider, name)?);
        }
    }
    let mut hidden = BTreeSet::new();
    for other in found {
        if other.creator != new.creator && !is_of_member(view, &other)? {
            hidden.insert(other.id);
        }
    }
    Ok(hidden.into_iter().collect())
}

/// Leaves what an owner stored with the owners when it becomes a member: from then on no user created it, so that the
/// demoted one may not change it, and a member who hides it hides an owner's. Returns the number of integrations.
///
/// # Errors
/// The integrations cannot be read.
pub(super) fn leave_to_owners(view: &View<'_>, demoted: &User, changes: &mut Changes) -> Result<u64, Error> {
    let all = view.integrations()?;
    let mut left = 0;
    for before in all.iter().filter(|one| one.creator == Some(demoted.id)) {
        left += 1;
        changes.integration(Some(before), Integration { creator: None, ..Integration::clone(before) });
    }
    Ok(left)
}

/// Returns whether a user stored it who was a member then and is one now. What a host, a removed user or a user that
/// was an owner stored counts as an owner's: [`leave_to_owners`].
fn is_of_member(view: &View<'_>, integration: &Integration) -> Result<bool, Error> {
    let (Some(creator), Actor::User(email)) = (integration.creator, &integration.created_by) else {
        return Ok(false);
    };
    Ok(view.user(email)?.is_some_and(|user| user.id == creator && user.role == Role::Member))
}
