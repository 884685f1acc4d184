//! The archive: which records are old, what proves them, and the commits that take them from the file.
//!
//! Owns no file: the host writes and verifies the archive between [`Vault::plan_archive`] and [`Vault::archive`].

use std::ops::Range;

use super::{
    audited::silent,
    error::{Error, InternalError},
    exposures::apart,
    state::Vault,
};
use crate::{
    audit::{
        archive::{BLOCK, Header, levels},
        checkpoint::origin,
        record,
        tree::Frontier,
    },
    domain::{Action, Actor, Detail, DetailKey, Event, Timestamp},
    storage::{Changes, Decision, StorageError, StoredRecord, View},
};

/// The most records that one commit deletes: requests wait for it.
const STEP: u64 = 1 << 15;
/// The records read from one snapshot while the log is searched.
const CHUNK: usize = 4096;

impl Vault {
    /// Returns the records from the first on that are all older than `before`, in whole blocks; [`None`] if there are
    /// fewer than one.
    ///
    /// # Errors
    /// The vault is locked, or a record cannot be read.
    pub fn plan_archive(&self, before: Timestamp) -> Result<Option<Range<u64>>, Error> {
        let open = self.opened()?;
        let first = open.writer.fresh_view().first_sequence()?;
        let mut end = first;
        'log: loop {
            let records = open.writer.fresh_view().records(end, CHUNK)?;
            if records.is_empty() {
                break;
            }
            for (sequence, bytes) in records {
                let time = record::decode(&bytes).map_err(InternalError::from)?.time;
                if time >= before {
                    break 'log;
                }
                end = sequence + 1;
            }
        }
        let end = end - end % BLOCK;
        Ok((first < end).then_some(first..end))
    }

    /// Returns the header of an archive of these records.
    ///
    /// # Errors
    /// A hash or the checkpoint cannot be read.
    pub fn archive_header(&self, records: &Range<u64>) -> Result<Header, StorageError> {
        let mut of_rest = Vec::new();
        let (checkpoint, hashes) = self.store().hashes(|size| {
            of_rest = levels(records.end, size);
            let mut at = records.end;
            let range = |level: &u32| {
                let start = at;
                at += 1 << level;
                start..at
            };
            of_rest.iter().map(range).collect()
        })?;
        Ok(Header {
            origin: origin(self.store().file()),
            first: records.start,
            end: records.end,
            frontier: self.store().frontier(records.start)?,
            rest: of_rest.into_iter().zip(hashes).collect(),
            checkpoint,
            key: self.verifier_key()?,
        })
    }

    /// Returns the tree of the archived records.
    ///
    /// # Errors
    /// A stored hash is missing or cannot be read.
    pub fn archived_frontier(&self) -> Result<Frontier, StorageError> {
        self.store().frontier(self.store().first_sequence()?)
    }

    /// Deletes these records, which a verified archive holds, and records `audit.archive` in the same commit, with the
    /// newest time of all that is archived. A long range takes several commits, each with the event of its own part.
    ///
    /// # Errors
    /// The vault is locked, the file no longer begins with these records, or a commit fails: the parts before it are
    /// archived.
    pub async fn archive(&self, records: Range<u64>, actor: Actor, now: Timestamp) -> Result<(), Error> {
        let newest = self.newest_archived(&records).await?;
        let mut first = records.start;
        while first < records.end {
            let end = records.end.min(first + STEP);
            let actor = actor.clone();
            let decide = move |view: &View<'_>| {
                let held = view.first_sequence().map_err(|error| silent(error.into()))?;
                let size = view.log_size().map_err(|error| silent(error.into()))?;
                if held != first || end > size {
                    return Err(silent(Error::Archived { last: held.saturating_sub(1) }));
                }
                let detail = Detail::NONE
                    .number(DetailKey::FirstSequence, first)
                    .number(DetailKey::LastSequence, end - 1);
                let detail = match newest {
                    Some(newest) => detail.text(DetailKey::NewestTime, newest),
                    None => detail,
                };
                let event = Event { detail, ..Event::new(now, actor, Action::AuditArchive) };
                let mut changes = Changes::none();
                changes.archive_before(end);
                Ok(Decision::changing((), changes, event))
            };
            let committed = self.opened()?.decide(None, decide).await?;
            self.settle(committed).await?;
            first = end;
        }
        Ok(())
    }

    /// Returns the newest time of these records and of those that were archived before; none if the archive of an
    /// earlier version does not tell. The index of exposures then has all of them.
    async fn newest_archived(&self, records: &Range<u64>) -> Result<Option<Timestamp>, Error> {
        self.index_all().await?;
        let open = self.opened()?;
        let before = match records.start {
            0 => Some(Timestamp::from_millis(0)),
            start => {
                open.exposures.lock().archived().filter(|(end, _)| *end == start).map(|(_, newest)| newest)
            }
        };
        drop(open);
        let Some(mut newest) = before else { return Ok(None) };
        let mut next = records.start;
        while next < records.end {
            let (open, count) =
                (self.opened()?, CHUNK.min(usize::try_from(records.end - next).unwrap_or(CHUNK)));
            let read = move || latest(&open.writer.fresh_view().records(next, count)?);
            let Some((last, latest)) = apart((), read).await? else { break };
            (next, newest) = (last + 1, newest.max(latest));
        }
        Ok(Some(newest))
    }
}

/// Returns the last sequence and the newest time of these records; none if there are none.
fn latest(records: &[StoredRecord]) -> Result<Option<(u64, Timestamp)>, Error> {
    let mut newest = Timestamp::from_millis(0);
    for (_, bytes) in records {
        newest = newest.max(record::decode(bytes).map_err(InternalError::from)?.time);
    }
    Ok(records.last().map(|(last, _)| (*last, newest)))
}
