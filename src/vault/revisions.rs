//! The kept revisions of a credential: everything that a rollback could bring back, for an export.

use super::{
    access::Admitted,
    budgets::AnswerBytes,
    canary,
    error::Error,
    integrations::{Listed, with_last_access},
    state::Vault,
    work::{Context, Request},
};
use crate::{
    auth::policy::Verb,
    domain::{IntegrationId, KeptRevision, Secret},
    storage::{Decision, InFlightGuard, Receipt},
};

/// Disclosed revisions; hold `disclosed` until the bytes are with the connection.
pub struct DisclosedRevisions {
    /// The integration's metadata, of the same state.
    pub listed: Listed,
    /// Each revision with its credential, the current one first.
    pub revisions: Vec<(KeptRevision, Secret)>,
    /// The events' receipts, in the revisions' order.
    pub receipts: Vec<Receipt>,
    /// The guard of the disclosure.
    pub disclosed: Option<InFlightGuard>,
    /// The bytes that the answer holds.
    pub held: AnswerBytes,
}

impl Vault {
    /// Opens the kept revisions of one credential, at most `limit` of the newest; each is an event of its own.
    ///
    /// # Errors
    /// The policy forbids it, the integration does not exist, or the events cannot be written.
    pub async fn read_revisions(
        &self,
        context: &Context,
        caller: &Admitted,
        id: IntegrationId,
        limit: Option<usize>,
    ) -> Result<DisclosedRevisions, Error> {
        let measure = self.measure();
        let work = move |work: Request<'_>| {
            let integration = work.view.integration(id)?.ok_or(Error::IntegrationNotFound)?;
            let proof = work.permit.disclose_kept(&integration)?;
            let open = |kept: &KeptRevision| -> Result<_, Error> {
                Ok((*kept, work.view.disclose_kept(&proof, kept.revision)?))
            };
            let newest = integration.kept.iter().take(limit.unwrap_or(usize::MAX));
            let revisions = newest.map(open).collect::<Result<Vec<_>, _>>()?;
            let mut held = measure.answer(work.caller().actor());
            for (_, secret) in &revisions {
                measure.hold(&mut held, secret)?;
            }
            measure.disclose(&work.caller().actor(), revisions.len(), work.context.now)?;
            let event = |(kept, _): &(KeptRevision, Secret)| {
                canary::disclosure(work.event.clone(), &integration, kept.revision)
            };
            let events = revisions.iter().map(event).collect();
            let listed = with_last_access(work.view, integration)?;
            Ok(Decision::disclosing((listed, revisions, held), events))
        };
        let committed = self.act(context, caller, Verb::ReadRevisions, work).await;
        let committed = committed.inspect_err(|error| self.count_over_budget(caller, error))?;
        let (listed, revisions, held) = committed.value;
        Ok(DisclosedRevisions {
            listed,
            revisions,
            receipts: committed.receipts,
            disclosed: committed.disclosed,
            held,
        })
    }
}
