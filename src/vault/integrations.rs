//! Integrations: create, list, update, rotate, roll back and delete.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    access::Admitted,
    error::Error,
    github_app::{check_app, is_app},
    projects::check_registered,
    shadow,
    state::Vault,
    work::{Context, Request},
};
use crate::{
    api::requests::{Change, CreateIntegration, RotateCredentials, UpdateIntegration, check_fields},
    auth::policy::Verb,
    crypto::random,
    domain::{
        Detail, DetailKey, Event, Integration, IntegrationId, Json, KeptRevision, Name, ProjectId, Provider,
        Revision, Scope, Secret, Timestamp,
    },
    outgoing::AppConfig,
    storage::{Changes, Decision, LastAccess, View},
};

/// An integration with its last access, as lists show it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its metadata.
    pub integration: Arc<Integration>,
    /// Time and actor of the last read of its credential.
    pub last_access: Option<LastAccess>,
}

impl Vault {
    /// Stores a credential; returns the ids of the integrations that share its provider and scope.
    ///
    /// # Errors
    /// The policy, an unregistered project or a past expiry forbids it.
    pub async fn create_integration(
        &self,
        context: &Context,
        caller: &Admitted,
        request: CreateIntegration,
    ) -> Result<(Integration, Vec<IntegrationId>), Error> {
        let id = IntegrationId::new(context.now, random::bytes()?);
        // In the request's task: reading a key takes longer than a commit should.
        if is_app(request.provider, request.auth_type) {
            check_app(&request.credentials, request.config.as_ref())?;
        }
        let may_shadow = self.settings().members_may_shadow;
        let work = move |work: Request<'_>| {
            let CreateIntegration {
                provider,
                auth_type,
                credentials,
                scope,
                config,
                name,
                expires_at,
                allow_expired,
                is_canary,
            } = request;
            if is_canary {
                work.permit.owner()?;
            }
            work.permit.scope(&scope)?;
            work.permit.provider(provider)?;
            check_registered(work.view, scope.projects())?;
            let now = work.context.now;
            check_expiry(&work, expires_at, allow_expired)?;
            let kept = vec![KeptRevision { revision: Revision::FIRST, expires_at, stored_at: None }];
            let (created_by, creator) = (work.caller().actor(), work.caller().user());
            let integration = Integration {
                id,
                provider,
                auth_type,
                name,
                scope,
                config,
                kept,
                created_at: now,
                created_by,
                creator,
                updated_at: now,
                is_canary,
                version: 0,
            };
            let shadows = shadows(work.view, &integration)?;
            let about = event_about(work.event.clone(), &integration);
            let shadow = shadow::event(work.view, work.permit, &integration, about, may_shadow)?;
            let mut changes = Changes::none();
            changes.credential(&integration, Revision::FIRST, credentials);
            changes.integration(None, integration.clone());
            let detail = made_detail(&integration);
            let event = Event { detail, ..event_about(work.event, &integration) };
            Ok(Decision::changing((integration, shadows), changes, event).also(shadow))
        };
        Ok(self.act(context, caller, Verb::CreateIntegration, work).await?.value)
    }

    /// Lists metadata, newest first: all of it, or with [`Verb::ListOwnIntegrations`] what the caller created. If there
    /// is more than `limit`, also returns a cursor.
    pub async fn list_integrations(
        &self,
        context: &Context,
        caller: &Admitted,
        verb: Verb,
        provider: Option<Provider>,
        name: Option<Name>,
        page: (Option<usize>, Option<IntegrationId>),
    ) -> Result<(Vec<Listed>, Option<IntegrationId>), Error> {
        let work = move |work: Request<'_>| {
            let (limit, cursor) = page;
            let wanted = |one: &Integration| {
                work.permit.lists(one).is_ok()
                    && provider.is_none_or(|provider| one.provider.service() == provider.service())
                    && name.as_ref().is_none_or(|name| one.name.as_ref() == Some(name))
                    && cursor.is_none_or(|cursor| one.id < cursor)
            };
            let all = work.view.integrations()?;
            let mut found: Vec<Arc<Integration>> =
                all.iter().rev().filter(|one| wanted(one)).cloned().collect();
            let more = limit.is_some_and(|limit| found.len() > limit);
            found.truncate(limit.unwrap_or(usize::MAX));
            let next = found.last().filter(|_| more).map(|integration| integration.id);
            let listed = found
                .into_iter()
                .map(|one| with_last_access(work.view, one))
                .collect::<Result<Vec<_>, _>>()?;
            let detail = Detail::NONE.number(DetailKey::Count, listed.len() as u64);
            let event = Event { provider, detail, ..work.event };
            Ok(Decision::recording((listed, next), vec![event]))
        };
        Ok(self.act(context, caller, verb, work).await?.value)
    }

    /// Returns one integration's metadata.
    ///
    /// # Errors
    /// The policy forbids it, or the integration does not exist.
    pub async fn show_integration(
        &self,
        context: &Context,
        caller: &Admitted,
        id: IntegrationId,
    ) -> Result<Listed, Error> {
        let work = move |work: Request<'_>| {
            let integration = work.view.integration(id)?.ok_or(Error::IntegrationNotFound)?;
            let event = event_about(work.event, &integration);
            Ok(Decision::recording(with_last_access(work.view, integration)?, vec![event]))
        };
        Ok(self.act(context, caller, Verb::ShowIntegration, work).await?.value)
    }

    /// Changes metadata; the credential and its revision stay as they are. A member changes what it created: its name,
    /// its expiry and the names of its variables.
    ///
    /// # Errors
    /// The policy forbids it, the integration does not exist, or the change breaks a rule.
    pub async fn update_integration(
        &self,
        context: &Context,
        caller: &Admitted,
        id: IntegrationId,
        request: UpdateIntegration,
    ) -> Result<Listed, Error> {
        let may_shadow = self.settings().members_may_shadow;
        let work = move |work: Request<'_>| {
            let before = owned(&work, id)?;
            let now = work.context.now;
            let mut after = Integration::clone(&before);
            after.name = request.name.apply(after.name);
            after.config = request.config.apply(after.config);
            if request.scope.is_some() || differ_beyond_names(before.config.as_ref(), after.config.as_ref()) {
                work.permit.owner()?;
            }
            if is_app(after.provider, after.auth_type) {
                AppConfig::read(after.config.as_ref()).map_err(|bad| Error::BadRequest(bad.into()))?;
            }
            if let Change::Set(end) = &request.expires_at
                && *end <= now
            {
                return Err(Error::ExpiryPast);
            }
            after.kept[0].expires_at = request.expires_at.apply(after.kept[0].expires_at);
            after.keep_rotation();
            let rescoped = request.scope.is_some();
            if let Some(scope) = request.scope {
                check_registered(work.view, scope.projects())?;
                after.scope = scope;
            }
            if after.provider == Provider::Custom && after.name.is_none() {
                return Err(Error::NameNeeded);
            }
            after.updated_at = now;
            // A new name may hide an owner's integration as a new integration may.
            let about = event_about(work.event.clone(), &after);
            let is_renamed = before.group() != after.group();
            let shadow = is_renamed.then(|| shadow::event(work.view, work.permit, &after, about, may_shadow));
            let mut changes = Changes::none();
            changes.integration(Some(&before), after.clone());
            let event = Event { detail: scope_detail(&after), ..event_about(work.event, &after) };
            // A narrower scope revokes access. Treat every change of scope so: an error in telling narrower from wider
            // would leak.
            let decision = Decision::changing(with_last_access(work.view, Arc::new(after))?, changes, event)
                .also(shadow.transpose()?.flatten());
            Ok(if rescoped { decision.revoking() } else { decision })
        };
        Ok(self.act(context, caller, Verb::UpdateIntegration, work).await?.value)
    }

    /// Replaces the credential under the same id; `expected` is the revision that must be current.
    ///
    /// # Errors
    /// The policy forbids it, another revision is current, or a documented field is missing.
    pub async fn rotate_credentials(
        &self,
        context: &Context,
        caller: &Admitted,
        id: IntegrationId,
        expected: Option<Revision>,
        request: RotateCredentials,
    ) -> Result<Listed, Error> {
        // In the request's task, before the stored row says whether it is an App's: reading a key takes longer than a
        // commit should.
        let as_app = check_app(&request.credentials, None);
        let work = move |work: Request<'_>| {
            let before = owned(&work, id)?;
            check_expected(&before, expected)?;
            check_fields(before.provider, before.auth_type, &request.credentials)
                .map_err(Error::BadRequest)?;
            if is_app(before.provider, before.auth_type) {
                as_app?;
            }
            check_expiry(&work, request.expires_at, request.allow_expired)?;
            let stored_at = work.context.now;
            renew(work, &before, request.credentials, (request.expires_at, stored_at), Detail::NONE)
        };
        Ok(self.act(context, caller, Verb::RotateCredentials, work).await?.value)
    }

    /// Makes an older kept credential current again, as a new revision.
    ///
    /// # Errors
    /// The policy forbids it, or the revision is not kept.
    pub async fn rollback_credentials(
        &self,
        context: &Context,
        caller: &Admitted,
        id: IntegrationId,
        revision: Revision,
    ) -> Result<Listed, Error> {
        let work = move |work: Request<'_>| {
            let before = owned(&work, id)?;
            let kept = before.kept(revision).ok_or(Error::RevisionNotFound)?;
            let secret = work.view.open_kept(&work.permit.restore(&before)?, revision)?;
            let detail = Detail::NONE.number(DetailKey::FromRevision, revision.number());
            // Of a value that an earlier version stored only this is certain: it is no older than the integration.
            let stored_at = before.stored_at(kept).unwrap_or(before.created_at);
            renew(work, &before, secret, (kept.expires_at, stored_at), detail)
        };
        Ok(self.act(context, caller, Verb::RollbackCredentials, work).await?.value)
    }

    /// Deletes an integration with every revision of its credential.
    ///
    /// # Errors
    /// The policy forbids it, or the integration does not exist.
    pub async fn delete_integration(
        &self,
        context: &Context,
        caller: &Admitted,
        id: IntegrationId,
    ) -> Result<(), Error> {
        let work = move |work: Request<'_>| {
            let integration = work.view.integration(id)?.ok_or(Error::IntegrationNotFound)?;
            let mut changes = Changes::none();
            changes.remove_integration(&integration);
            // No row keeps the label, and the provider may still honour the credential.
            let named = |name: &Name| Detail::NONE.text(DetailKey::Name, name);
            let detail = integration.name.as_ref().map_or(Detail::NONE, named);
            let event = Event { detail, ..event_about(work.event, &integration) };
            Ok(Decision::changing((), changes, event).revoking())
        };
        self.act(context, caller, Verb::DeleteIntegration, work).await.map(drop)
    }
}

/// Returns an integration that the caller may change. For a member, another's integration and an unknown id give the
/// same refusal.
fn owned(work: &Request<'_>, id: IntegrationId) -> Result<Arc<Integration>, Error> {
    let found = work.view.integration(id)?;
    match found {
        Some(integration) => {
            work.permit.owns(&integration)?;
            Ok(integration)
        }
        None if work.permit.role() == crate::domain::Role::Owner => Err(Error::IntegrationNotFound),
        None => Err(crate::auth::policy::Denied::NotCreator.into()),
    }
}

/// Refuses an expiry in the past: usually a mistyped year. An import stores a credential that has ended, on purpose.
fn check_expiry(work: &Request<'_>, expires_at: Option<Timestamp>, allow_expired: bool) -> Result<(), Error> {
    if allow_expired {
        return Ok(work.permit.owner()?);
    }
    if expires_at.is_some_and(|end| end <= work.context.now) { Err(Error::ExpiryPast) } else { Ok(()) }
}

fn check_expected(integration: &Integration, expected: Option<Revision>) -> Result<(), Error> {
    let current = integration.revision();
    if expected.is_none_or(|expected| expected == current) {
        Ok(())
    } else {
        Err(Error::RevisionConflict { current })
    }
}

/// Adds a revision with a credential, its end and the time at which it was first stored, and drops all revisions older
/// than the four before it.
fn renew(
    work: Request<'_>,
    before: &Integration,
    secret: Secret,
    (expires_at, stored_at): (Option<Timestamp>, Timestamp),
    detail: Detail,
) -> Result<Decision<Listed>, Error> {
    let mut after = before.clone();
    after.keep_rotation();
    let revision = before.revision().next();
    after.kept.insert(0, KeptRevision { revision, expires_at, stored_at: Some(stored_at) });
    after.updated_at = work.context.now;
    let mut changes = Changes::none();
    for dropped in after.kept.split_off(after.kept.len().min(Integration::KEPT_MAX)) {
        changes.remove_credential(after.id, dropped.revision);
    }
    changes.credential(&after, revision, secret);
    changes.integration(Some(before), after.clone());
    let event = Event { detail, ..event_about(work.event, &after) };
    Ok(Decision::changing(with_last_access(work.view, Arc::new(after))?, changes, event))
}

pub(super) fn with_last_access(view: &View<'_>, integration: Arc<Integration>) -> Result<Listed, Error> {
    let last_access = view.last_access(integration.id.as_bytes())?;
    Ok(Listed { integration, last_access })
}

fn event_about(event: Event, integration: &Integration) -> Event {
    Event {
        integration: Some(integration.id),
        revision: Some(integration.revision()),
        provider: Some(integration.provider),
        ..event
    }
}

fn scope_detail(integration: &Integration) -> Detail {
    match &integration.scope {
        Scope::Global => Detail::NONE.truth(DetailKey::IsGlobal, true),
        Scope::Projects(projects) => Detail::NONE.list(DetailKey::Projects, projects),
    }
}

fn made_detail(integration: &Integration) -> Detail {
    let detail = scope_detail(integration);
    if integration.is_canary { detail.truth(DetailKey::Canary, true) } else { detail }
}

/// Returns the other integrations of the same scope and provider (and, for `custom`, name).
fn shadows(view: &View<'_>, new: &Integration) -> Result<Vec<IntegrationId>, Error> {
    let mut ids = Vec::new();
    let scopes: Vec<Option<&ProjectId>> = match &new.scope {
        Scope::Global => vec![None],
        Scope::Projects(projects) => projects.iter().map(Some).collect(),
    };
    for scope in scopes {
        let (_, name) = new.group();
        ids.extend(view.group(scope, new.provider, name)?.iter().map(|other| other.id));
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// Returns whether two configs differ in more than `env`: the names of variables are the creator's to choose, and every
/// other option an owner's.
fn differ_beyond_names(before: Option<&Json>, after: Option<&Json>) -> bool {
    let options = |config: Option<&Json>| {
        let options =
            config.and_then(|config| serde_json::from_str::<Map<String, Value>>(config.as_str()).ok());
        let mut options = options.unwrap_or_default();
        options.remove("env");
        options
    };
    options(before) != options(after)
}
