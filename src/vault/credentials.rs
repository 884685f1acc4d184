//! Reading credentials: the only use case that discloses.

use std::{collections::HashSet, sync::Arc};

use super::{
    access::Admitted,
    budgets::{AnswerBytes, Budgets, CallerLimits},
    canary,
    error::Error,
    refusal_counts::Tally,
    state::Vault,
    work::{Context, Request},
};
use crate::{
    auth::policy::{Permit, Verb},
    domain::{Actor, Event, Integration, IntegrationId, Name, ProjectId, Provider, Secret, Timestamp},
    storage::{self, Decision, Receipt, View},
};

/// The most credentials in one answer.
const MATCHES_MAX: usize = 1_000;

/// Filters of a read.
#[derive(Debug, Clone, Default)]
pub struct CredentialQuery {
    /// Only this service.
    pub provider: Option<Provider>,
    /// For this project.
    pub project: Option<ProjectId>,
    /// Only of this name.
    pub name: Option<Name>,
    /// The most credentials to return, with a cursor for the rest.
    pub limit: Option<usize>,
    /// Only credentials older than this one.
    pub cursor: Option<IntegrationId>,
}

/// Disclosed credentials; hold `disclosed` until the bytes are with the connection.
pub struct Disclosed {
    /// Metadata and credential, newest first.
    pub items: Vec<(Arc<Integration>, Secret)>,
    /// The events' receipts, in the items' order.
    pub receipts: Vec<Receipt>,
    /// The cursor of the next page.
    pub next: Option<IntegrationId>,
    /// The guard of the disclosure.
    pub disclosed: Option<storage::InFlightGuard>,
    /// The bytes that the answer holds.
    pub held: AnswerBytes,
}

impl CredentialQuery {
    /// Returns the error of a read that finds nothing.
    pub(super) fn nothing(&self) -> Error {
        Error::NothingMatches { provider: self.provider, project: self.project.clone() }
    }
}

struct Selection {
    items: Vec<(Arc<Integration>, Secret)>,
    next: Option<IntegrationId>,
    held: AnswerBytes,
}

/// The budgets of a request.
#[derive(Clone)]
pub(super) struct Measure {
    budgets: Arc<Budgets>,
    limits: CallerLimits,
    is_disk_scarce: bool,
}

impl Measure {
    /// Takes that many disclosures out of the caller's minute.
    ///
    /// # Errors
    /// The minute is used up.
    pub(super) fn disclose(&self, actor: &Actor, count: usize, now: Timestamp) -> Result<(), Error> {
        self.budgets.disclose(actor, count as u64, &self.limits, self.is_disk_scarce, now)
    }

    /// Takes what a decision writes out of the caller's minute. What takes access away, and what has a budget of its
    /// own, is free.
    ///
    /// # Errors
    /// The minute is used up, which is counted.
    pub(super) fn write<T>(
        &self,
        actor: &Actor,
        decision: &Decision<T>,
        now: Timestamp,
        tally: &Tally,
    ) -> Result<(), Error> {
        if decision.revokes() || decision.discloses() {
            return Ok(());
        }
        let taken = self.budgets.write(actor, decision.writes(), &self.limits, self.is_disk_scarce, now);
        taken.inspect_err(|error| tally.count_limited(actor, error))
    }

    /// Takes a login or a refresh out of the user's minute.
    ///
    /// # Errors
    /// The minute is used up, which is counted.
    pub(super) fn session(&self, user: &Actor, now: Timestamp, tally: &Tally) -> Result<(), Error> {
        let taken = self.budgets.session(user, &self.limits, self.is_disk_scarce, now);
        taken.inspect_err(|error| tally.count_limited(user, error))
    }

    /// Takes the memory of one more credential in an answer.
    ///
    /// # Errors
    /// The answers in flight take all there is.
    pub(super) fn hold(&self, held: &mut AnswerBytes, secret: &Secret) -> Result<(), Error> {
        held.grow(secret.expose().len() + ITEM_BYTES, &self.limits)
    }

    /// Begins an answer.
    pub(super) fn answer(&self, actor: Actor) -> AnswerBytes {
        self.budgets.answer(actor)
    }
}

/// The bytes of an answer's item beside its credential: ids, names and JSON.
const ITEM_BYTES: usize = 256;

impl Vault {
    /// Opens the credentials that match, after their events are durable.
    ///
    /// # Errors
    /// The policy forbids it, nothing matches, or the events cannot be written.
    pub async fn read_credentials(
        &self,
        context: &Context,
        caller: &Admitted,
        query: CredentialQuery,
    ) -> Result<Disclosed, Error> {
        // Runs in the request's own task, on the last committed state. If that state is still the newest when the
        // commit thread decides, the commit thread has nothing to look up.
        let measure = self.measure();
        let prepared = self.prepare(caller, &query, &measure)?;
        let work = move |work: Request<'_>| {
            let selection = match prepared {
                Some(selection) if work.is_current => selection,
                _ => select(work.view, work.permit, &query, &measure)?,
            };
            measure.disclose(&work.caller().actor(), selection.items.len(), work.context.now)?;
            Ok(disclose(&work, selection, query.project.as_ref()))
        };
        let committed = self.act(context, caller, Verb::ReadCredentials, work).await;
        let committed = committed.inspect_err(|error| self.count_over_budget(caller, error))?;
        let Selection { items, next, held } = committed.value;
        Ok(Disclosed { items, receipts: committed.receipts, next, disclosed: committed.disclosed, held })
    }

    /// Selects and opens on the generation that authenticated the caller. Returns `None` if that is not the committed
    /// one, or if the read fails: then the commit thread decides.
    fn prepare(
        &self,
        caller: &Admitted,
        query: &CredentialQuery,
        measure: &Measure,
    ) -> Result<Option<Selection>, Error> {
        let open = self.opened()?;
        let view = open.writer.view();
        if !caller.is_current(&view) {
            return Ok(None);
        }
        let Ok(permit) = caller.permit(Verb::ReadCredentials, &self.rules()) else { return Ok(None) };
        match select(&view, &permit, query, measure) {
            Ok(selection) => Ok(Some(selection).filter(|_| caller.is_current(&view))),
            // The commit thread is not asked again for what there is no room for.
            Err(Error::Overloaded) => Err(Error::Overloaded),
            Err(_) => Ok(None),
        }
    }

    /// Takes one disclosure out of the caller's minute.
    ///
    /// # Errors
    /// The minute is used up, which is counted.
    pub(super) fn measure_one(&self, caller: &Admitted, now: Timestamp) -> Result<(), Error> {
        let taken = self.measure().disclose(&caller.caller().actor(), 1, now);
        taken.inspect_err(|error| self.count_over_budget(caller, error))
    }

    /// Takes the memory of an answer that is no disclosure, until its last byte is sent.
    ///
    /// # Errors
    /// The answers to this caller, or all answers together, hold too much.
    pub fn hold_answer(&self, caller: Actor, bytes: usize) -> Result<AnswerBytes, Error> {
        let mut held = self.budgets.answer(caller);
        held.fill(bytes, &self.settings().callers)?;
        Ok(held)
    }

    pub(super) fn count_over_budget(&self, caller: &Admitted, error: &Error) {
        self.tally.count_limited(&caller.caller().actor(), error);
    }

    pub(super) fn measure(&self) -> Measure {
        let is_disk_scarce = self.free_bytes().is_some_and(|free| free / 2 < self.settings().disk_low_bytes);
        Measure { budgets: Arc::clone(&self.budgets), limits: self.settings().callers, is_disk_scarce }
    }
}

fn disclose(work: &Request<'_>, selection: Selection, project: Option<&ProjectId>) -> Decision<Selection> {
    let event = |integration: &Integration| {
        let event = canary::disclosure(work.event.clone(), integration, integration.revision());
        Event { project: project.cloned(), ..event }
    };
    let events = selection.items.iter().map(|(integration, _)| event(integration)).collect();
    Decision::disclosing(selection, events)
}

/// Finds the matching integrations whose credentials the caller may read, newest first.
pub(super) fn find(
    view: &View<'_>,
    permit: &Permit,
    query: &CredentialQuery,
) -> Result<Vec<Arc<Integration>>, Error> {
    if let Some(provider) = query.provider {
        permit.provider(provider)?;
    }
    let mut found = match (&query.project, &permit.access_scope().projects) {
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
        matches(integration, query)
            && permit.access_scope().admits_provider(integration.provider)
            && permit.access_scope().admits_integration(integration.id)
    });
    found.sort_by_key(|integration| std::cmp::Reverse(integration.id));
    found.dedup_by_key(|integration| integration.id);
    Ok(found)
}

/// Selects a page of what matches, and opens it.
fn select(
    view: &View<'_>,
    permit: &Permit,
    query: &CredentialQuery,
    measure: &Measure,
) -> Result<Selection, Error> {
    let mut found = find(view, permit, query)?;
    found.retain(|integration| query.cursor.is_none_or(|cursor| integration.id < cursor));
    if found.is_empty() && query.cursor.is_none() {
        return Err(query.nothing());
    }
    let limit = query.limit.unwrap_or(MATCHES_MAX).min(MATCHES_MAX);
    if query.limit.is_none() && found.len() > limit {
        return Err(Error::TooManyMatches);
    }
    let mut held = measure.answer(permit.caller().actor());
    let (all, mut bytes) = (found.len(), 0);
    let mut items = Vec::with_capacity(all.min(limit));
    for integration in found.into_iter().take(limit) {
        let secret = view.open_credential(&permit.disclose(&integration)?)?;
        let size = secret.expose().len() + ITEM_BYTES;
        bytes += size;
        if bytes > measure.limits.answer_bytes && !items.is_empty() {
            if query.limit.is_none() {
                return Err(Error::TooManyMatches);
            }
            // A page by bytes: the rest comes with the cursor.
            break;
        }
        measure.hold(&mut held, &secret)?;
        items.push((integration, secret));
    }
    let next = items.last().filter(|_| items.len() < all).map(|(integration, _)| integration.id);
    Ok(Selection { items, next, held })
}

/// Selects by group: the project's own integrations first, global ones only for groups without one. A project's own
/// github hides the global github.
fn for_project(
    view: &View<'_>,
    project: &ProjectId,
    query: &CredentialQuery,
) -> Result<Vec<Arc<Integration>>, Error> {
    let within = |scope| match (query.provider, &query.name) {
        // Do not open even the metadata of other groups.
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
