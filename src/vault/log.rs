//! Reading the audit log. Each read is itself an event, committed first, so it is the newest event that the read shows.

use super::{
    access::Admitted,
    error::Error,
    state::Vault,
    work::{Context, Request},
};
use crate::{
    audit::{
        checkpoint::VerifierKey,
        record::{self, Record},
        tree::leaf_hash,
    },
    auth::policy::Verb,
    domain::{Action, Actor, Event, IntegrationId, Outcome, ProjectId, Timestamp},
    storage::{Decision, StorageError},
};

/// The number of records read from one snapshot while the log is searched: a block of the tree, which is verified as a
/// whole.
const CHUNK: usize = 256;
/// The most records that one call reads; it then returns a cursor, even if it found fewer than requested.
const LOOKED_AT_MAX: usize = 100_000;

/// Filters of a list of events.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Only events by this actor.
    pub actor: Option<Actor>,
    /// Only events of this action.
    pub action: Option<Action>,
    /// Only events about this integration.
    pub integration: Option<IntegrationId>,
    /// Only events about this project.
    pub project: Option<ProjectId>,
    /// Only events with this outcome.
    pub outcome: Option<Outcome>,
    /// Only events at or after this time.
    pub from: Option<Timestamp>,
    /// Only events before this time.
    pub to: Option<Timestamp>,
    /// The most events to return.
    pub limit: usize,
    /// Only events with a lower sequence.
    pub cursor: Option<u64>,
}

impl EventQuery {
    fn matches(&self, record: &Record) -> bool {
        fn is<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        is(self.actor.as_ref(), Some(&record.actor))
            && is(self.action.as_ref(), Some(&record.action))
            && is(self.integration.as_ref(), record.integration.as_ref())
            && is(self.project.as_ref(), record.project.as_ref())
            && is(self.outcome.as_ref(), Some(&record.outcome))
            && self.from.is_none_or(|from| record.time >= from)
            && self.to.is_none_or(|to| record.time < to)
    }
}

impl Vault {
    /// Returns matching events as JSON, newest first, and the cursor for more.
    pub async fn read_events(
        &self,
        context: &Context,
        caller: &Admitted,
        query: &EventQuery,
    ) -> Result<(Vec<String>, Option<u64>), Error> {
        self.record_read(context, caller).await?;
        let open = self.opened()?;
        let mut found = Vec::new();
        let mut end = query.cursor.unwrap_or(u64::MAX);
        let mut looked_at = 0;
        loop {
            // Yield between two chunks, and check the caller again: a caller whose access was revoked gets no more.
            tokio::task::yield_now().await;
            self.admit_again(&open.writer.view(), caller, context.now, Verb::ReadAudit)?;
            if looked_at >= LOOKED_AT_MAX {
                return Ok((found, Some(end)));
            }
            // To the start of the block that `end` is in: the next chunk is the whole block before it.
            let chunk = match end % CHUNK as u64 {
                rest if end < u64::MAX && rest > 0 => usize::try_from(rest).unwrap_or(CHUNK),
                _ => CHUNK,
            };
            looked_at += chunk;
            // One short transaction per chunk: a long-held snapshot makes the file grow. The view is dropped before any
            // await.
            let read = open.writer.fresh_view().records_before(end, chunk);
            let records = match read {
                Err(StorageError::Tampered { key, .. }) => {
                    return Err(self.damaged_record(context, caller, key).await);
                }
                other => other?,
            };
            let Some((oldest, _)) = records.last() else { return Ok((found, None)) };
            end = *oldest;
            for (sequence, bytes) in &records {
                let Ok(record) = record::decode(bytes) else {
                    return Err(self.damaged_record(context, caller, sequence.to_string()).await);
                };
                if !query.matches(&record) {
                    continue;
                }
                if found.len() == query.limit {
                    return Ok((found, Some(sequence + 1)));
                }
                found.push(record::to_api_json(bytes, &leaf_hash(bytes)));
            }
        }
    }

    /// Returns the newest signed checkpoint.
    pub async fn read_checkpoint(&self, context: &Context, caller: &Admitted) -> Result<String, Error> {
        self.record_read(context, caller).await?;
        let read = self.opened()?.writer.fresh_view().checkpoint().map_err(Error::from);
        self.noted(context, caller.caller().actor(), Verb::ReadAudit.action(), read).await
    }

    /// Returns the newest verifier key.
    pub async fn read_verifier_key(
        &self,
        context: &Context,
        caller: &Admitted,
    ) -> Result<VerifierKey, Error> {
        self.record_read(context, caller).await?;
        let read = self.verifier_key().map_err(Error::from);
        self.noted(context, caller.caller().actor(), Verb::ReadAudit.action(), read).await
    }

    /// Records an action of the host.
    ///
    /// # Errors
    /// The vault is locked, or the event cannot be written.
    pub async fn record(&self, event: Event) -> Result<(), Error> {
        self.opened()?.record(vec![event]).await
    }

    /// Records that a record cannot be read.
    pub(super) async fn damaged_record(
        &self,
        context: &Context,
        caller: &Admitted,
        sequence: String,
    ) -> Error {
        let error = Error::Tampered(StorageError::Tampered { table: "audit", key: sequence });
        self.refuse(context, caller.bearer(), Verb::ReadAudit, error).await
    }

    pub(super) async fn record_read(&self, context: &Context, caller: &Admitted) -> Result<(), Error> {
        let work = |work: Request<'_>| Ok(Decision::recording((), vec![work.event]));
        self.act(context, caller, Verb::ReadAudit, work).await.map(drop)
    }
}
