//! Reading credentials: the one use case that discloses.

use std::{collections::HashSet, sync::Arc};

use super::{
    access::{self, Admitted},
    audited::Known,
    error::Error,
    state::Vault,
    work::{Context, Done, Work},
};
use crate::{
    auth::policy::{self, Permit, Verb},
    domain::{Event, Integration, IntegrationId, Name, ProjectId, Provider, Secret},
    storage::{self, Changes, Effect, Receipt, View},
};

/// The most credentials of one answer.
const MATCHES_MAX: usize = 1_000;

/// What a read asks for.
#[derive(Debug, Clone, Default)]
pub struct CredentialQuery {
    /// Only this service.
    pub provider: Option<Provider>,
    /// For this project.
    pub project: Option<ProjectId>,
    /// Only of this name.
    pub name: Option<Name>,
    /// At most so many, and say where to go on.
    pub limit: Option<usize>,
    /// Those older than this one.
    pub cursor: Option<IntegrationId>,
}

/// What a read discloses; hold `disclosed` until the bytes are with the connection.
pub struct Disclosed {
    /// Metadata and credential, newest first.
    pub items: Vec<(Arc<Integration>, Secret)>,
    /// The events' places, in the items' order.
    pub receipts: Vec<Receipt>,
    /// Where to go on.
    pub next: Option<IntegrationId>,
    /// See above.
    pub disclosed: Option<storage::Disclosed>,
}

struct Selection {
    items: Vec<(Arc<Integration>, Secret)>,
    next: Option<IntegrationId>,
}

impl Vault {
    /// Opens the credentials that match, after their events are durable.
    ///
    /// # Errors
    /// The policy forbids it, nothing matches, or the events cannot be written.
    pub async fn read_credentials(
        &self,
        context: &Context,
        admitted: impl Into<Admitted>,
        query: CredentialQuery,
    ) -> Result<Disclosed, Error> {
        let admitted = admitted.into();
        let bearer = admitted.caller.bearer;
        // In the request's own task: rows and credentials of the last committed state. If that state is still the
        // newest when the commit thread decides, there is nothing left to look up.
        let prepared = self.prepare(context, admitted, &query)?;
        let (known, prepared) =
            prepared.map_or((None, None), |(known, selection)| (Some(known), Some(selection)));
        let committed = self
            .act_known(context, bearer, known, Verb::ReadCredentials, move |work| {
                let selection = match prepared {
                    Some(selection) if work.is_known => selection,
                    _ => select(work.view, work.permit, &query)?,
                };
                Ok(disclose(&work, selection, query.project.as_ref()))
            })
            .await?;
        let Selection { items, next } = committed.value;
        Ok(Disclosed { items, receipts: committed.receipts, next, disclosed: committed.disclosed })
    }

    fn prepare(
        &self,
        context: &Context,
        admitted: Admitted,
        query: &CredentialQuery,
    ) -> Result<Option<(Known, Selection)>, Error> {
        let open = self.opened()?;
        let view = open.writer.view();
        // On the very state on which it was let in a caller need not be looked for again.
        let is_known = admitted.generation.is_some() && admitted.generation == view.generation();
        let caller = if is_known {
            admitted.caller
        } else {
            match access::authenticate(&view, admitted.caller.bearer, context.now) {
                Ok(caller) => caller,
                Err(_) => return Ok(None),
            }
        };
        let selection = match policy::authorize(&caller, Verb::ReadCredentials, &self.rules()) {
            Ok(permit) => select(&view, &permit, query),
            Err(_) => return Ok(None),
        };
        let Ok(selection) = selection else { return Ok(None) };
        Ok(view.generation().map(|generation| (Known { generation, caller }, selection)))
    }
}

fn disclose(work: &Work<'_>, selection: Selection, project: Option<&ProjectId>) -> Done<Selection> {
    let event = |integration: &Integration| Event {
        integration: Some(integration.id),
        revision: Some(integration.revision()),
        provider: Some(integration.provider),
        project: project.cloned(),
        ..work.event.clone()
    };
    let events = selection.items.iter().map(|(integration, _)| event(integration)).collect();
    Done { value: selection, changes: Changes::none(), events, effect: Effect::Discloses }
}

/// What the caller may read of what the query asks for, opened.
fn select(view: &View<'_>, permit: &Permit<'_>, query: &CredentialQuery) -> Result<Selection, Error> {
    if let Some(provider) = query.provider {
        permit.provider(provider)?;
    }
    let mut found = match (&query.project, &permit.narrowing().projects) {
        (Some(project), _) => {
            permit.project(project)?;
            if view.project(project)?.is_none() {
                return Err(Error::ProjectNotFound(project.clone()));
            }
            for_project(view, project, query)?
        }
        (None, Some(projects)) => {
            let mut union = Vec::new();
            for project in projects {
                if view.project(project)?.is_some() {
                    union.extend(for_project(view, project, query)?);
                }
            }
            union
        }
        (None, None) => everything(view)?,
    };
    found.retain(|integration| {
        matches(integration, query) && permit.narrowing().admits_provider(integration.provider)
    });
    found.sort_by_key(|integration| std::cmp::Reverse(integration.id));
    found.dedup_by_key(|integration| integration.id);
    found.retain(|integration| query.cursor.is_none_or(|cursor| integration.id < cursor));
    if found.is_empty() && query.cursor.is_none() {
        return Err(Error::NothingMatches { provider: query.provider, project: query.project.clone() });
    }
    let limit = query.limit.unwrap_or(MATCHES_MAX).min(MATCHES_MAX);
    if query.limit.is_none() && found.len() > limit {
        return Err(Error::TooManyMatches);
    }
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|integration| integration.id);
    let open = |integration: Arc<Integration>| -> Result<_, Error> {
        let secret = view.open_credential(&permit.disclose(&integration)?)?;
        Ok((integration, secret))
    };
    let items = found.into_iter().map(open).collect::<Result<_, _>>()?;
    Ok(Selection { items, next })
}

/// Project first, global as the fallback, group by group: a project's own github hides the global github.
fn for_project(
    view: &View<'_>,
    project: &ProjectId,
    query: &CredentialQuery,
) -> Result<Vec<Arc<Integration>>, Error> {
    let within = |scope| match (query.provider, &query.name) {
        // Of others not even the metadata is opened.
        (Some(Provider::Custom), Some(name)) => view.group(scope, Provider::Custom, Some(name)),
        (provider, _) => view.scoped(scope, provider),
    };
    let (mut found, mut global) = (within(Some(project))?, within(None)?);
    if !found.is_empty() && !global.is_empty() {
        let own: HashSet<_> = found.iter().map(|integration| integration.group()).collect();
        global.retain(|integration| !own.contains(&integration.group()));
    }
    found.append(&mut global);
    Ok(found)
}

fn everything(view: &View<'_>) -> Result<Vec<Arc<Integration>>, Error> {
    Ok(view.integrations()?.to_vec())
}

fn matches(integration: &Integration, query: &CredentialQuery) -> bool {
    query.provider.is_none_or(|provider| integration.provider.service() == provider.service())
        && query.name.as_ref().is_none_or(|name| integration.name.as_ref() == Some(name))
}
