//! The rows that a batch writes: sealed rows, last accesses and the signed checkpoint.

use std::{collections::HashSet, time::Duration};

use super::{
    access_sum::{AccessSum, WATERMARK},
    changes::{Change, Changes, Scoping},
};
use crate::{
    audit::{checkpoint, record},
    crypto::{
        seal::{self, Context},
        sign::LogKey,
    },
    domain::{Action, Actor, Event, FileId, IntegrationId, Outcome, Timestamp},
    storage::{
        engine::RowWrite,
        error::StorageError,
        format::{
            head::Head,
            last_access::LastAccess,
            tables::{Table, credential_key, meta},
        },
        state::{Overlay, VaultState},
    },
};

/// The interval at which a growing log writes its last accesses to their table.
const LAST_ACCESS_EVERY: Duration = Duration::from_secs(1);

/// The times of the events of a log. The last one is not the newest after a clock that was ahead.
#[derive(Debug, Clone, Copy)]
pub(in crate::storage) struct Times {
    pub(in crate::storage) newest: Timestamp,
    pub(in crate::storage) last: Timestamp,
}

impl Times {
    /// Adds the time of an event.
    pub(in crate::storage) fn add(&mut self, time: Timestamp) {
        self.newest = self.newest.max(time);
        self.last = time;
    }

    /// Returns whether the last accesses, written at this event's time, are due again. A clock that came back does not
    /// keep them in memory until it is there again.
    pub(in crate::storage) fn are_accesses_due(self, written: Timestamp) -> bool {
        self.last.since(written).max(written.since(self.last)) >= LAST_ACCESS_EVERY
    }
}

/// Leaves out the accesses whose rows are deleted. A second's worth of either may be many thousands.
pub(in crate::storage) fn not_deleted(
    rows: &[RowWrite],
    accesses: Vec<LastAccess>,
) -> impl Iterator<Item = LastAccess> + use<'_> {
    let deleted = |row: &&RowWrite| row.table == Table::LastAccess && row.value.is_none();
    let gone: HashSet<&[u8]> = rows.iter().filter(deleted).map(|row| row.key.as_slice()).collect();
    accesses.into_iter().filter(move |access| !gone.contains(access.id.as_slice()))
}

/// Returns the watermark of the last accesses, the row with a zero id: their table covers the records before
/// `sequence`, and has that sum.
pub(in crate::storage) fn last_access_watermark(sequence: u64, sum: AccessSum) -> LastAccess {
    LastAccess { id: WATERMARK, sequence, time: sum.as_time(), actor: Actor::host("sealroom") }
}

/// Splits a batch's writes into rows and values of `meta`.
pub(in crate::storage) fn split_meta(written: Overlay) -> (Vec<RowWrite>, Vec<(&'static str, Vec<u8>)>) {
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for ((table, key), value) in written {
        let name = [meta::SLOTS, meta::SLOT_TIMES, meta::ORIGIN_COPY]
            .into_iter()
            .find(|name| name.as_bytes() == key);
        match (table, name, value) {
            (Table::Meta, Some(name), Some(value)) => values.push((name, value)),
            (Table::Meta, _, _) => {}
            (_, _, value) => rows.push(RowWrite { table, key, value }),
        }
    }
    (rows, values)
}

/// Returns the signed checkpoint of a head.
pub(in crate::storage) fn signed(file: FileId, head: &Head, log_key: &LogKey) -> String {
    checkpoint::note(&checkpoint::origin(file), head.frontier.size(), &head.root, &[], &[log_key])
}

/// Returns the last accesses of an event: that of the integration whose credential left, and that of the token that
/// asked.
pub(in crate::storage) fn accesses_of(
    sequence: u64,
    event: &Event,
) -> impl Iterator<Item = LastAccess> + use<> {
    accesses(sequence, event.time, &event.actor, event.action, event.outcome, event.integration)
}

/// Returns the same of a record.
pub(in crate::storage) fn accesses_of_record(sequence: u64, bytes: &[u8]) -> Vec<LastAccess> {
    let Ok(record) = record::decode(bytes) else { return Vec::new() };
    accesses(sequence, record.time, &record.actor, record.action, record.outcome, record.integration)
        .collect()
}

fn accesses(
    sequence: u64,
    time: Timestamp,
    actor: &Actor,
    action: Action,
    outcome: Outcome,
    integration: Option<IntegrationId>,
) -> impl Iterator<Item = LastAccess> + use<> {
    let access = |id: [u8; 16]| LastAccess { id, sequence, time, actor: actor.clone() };
    let disclosed =
        matches!(action, Action::CredentialsRead | Action::CredentialsMint) && outcome == Outcome::Allowed;
    let integration = integration.filter(|_| disclosed).map(|id| access(*id.as_bytes()));
    let token = match actor {
        Actor::App(id) => Some(access(*id.as_bytes())),
        Actor::User(_) | Actor::Host(_) => None,
    };
    integration.into_iter().chain(token)
}

/// Seals the pending last accesses, except those of integrations that the batch of these rows deletes.
pub(in crate::storage) fn access_rows(
    source: &VaultState,
    rows: &[RowWrite],
) -> Result<Vec<RowWrite>, StorageError> {
    let mut changes = Changes::none();
    not_deleted(rows, source.accesses.all()).for_each(|access| changes.last_access(&access));
    seal_changes(source, changes)
}

/// Seals the watermark of the last accesses of a log of that size, with the sum over their table after these rows.
pub(in crate::storage) fn access_mark(
    source: &VaultState,
    size: u64,
    rows: &[RowWrite],
    sum: &mut AccessSum,
) -> Result<Vec<RowWrite>, StorageError> {
    let snapshot = source.engine.snapshot()?;
    for row in rows.iter().filter(|row| row.table == Table::LastAccess) {
        let before = snapshot.row(row.table, &row.key)?;
        sum.replace(&source.keys, &row.key, before.as_deref(), row.value.as_deref());
    }
    let mut changes = Changes::none();
    changes.last_access(&last_access_watermark(size, *sum));
    seal_changes(source, changes)
}

/// Seals changes into rows.
pub(in crate::storage) fn seal_changes(
    source: &VaultState,
    changes: Changes,
) -> Result<Vec<RowWrite>, StorageError> {
    let row_key = source.keys.row();
    let mut rows = Vec::with_capacity(changes.0.len());
    for change in changes.0 {
        rows.push(match change {
            Change::Row { table, key, plain } => {
                let context = Context::row(table.number(), source.file, &key);
                let sealed = seal::seal(row_key, &context, &plain).map_err(|_| StorageError::Random)?;
                RowWrite { table, key, value: Some(sealed) }
            }
            Change::Credential { id, revision, provider, auth_type, secret } => {
                let table = Table::Credentials;
                let context =
                    Context::credential(table.number(), source.file, id, revision, provider, auth_type);
                let sealed =
                    seal::seal(row_key, &context, secret.expose()).map_err(|_| StorageError::Random)?;
                RowWrite { table, key: credential_key(id, revision), value: Some(sealed) }
            }
            Change::Index { table, key, value } => RowWrite { table, key, value: Some(value) },
            Change::Scopes { before, after } => {
                let keys =
                    |of: Option<Scoping>| of.map(|of| of.keys(source.keys.state())).unwrap_or_default();
                let (old, new) = (keys(before), keys(after));
                let write = |key: &Vec<u8>, value| RowWrite { table: Table::Scopes, key: key.clone(), value };
                rows.extend(old.iter().filter(|key| !new.contains(key)).map(|key| write(key, None)));
                rows.extend(
                    new.iter().filter(|key| !old.contains(key)).map(|key| write(key, Some(Vec::new()))),
                );
                continue;
            }
            Change::Delete { table, key } => RowWrite { table, key, value: None },
            Change::Meta { name, value } => {
                RowWrite { table: Table::Meta, key: name.as_bytes().to_vec(), value: Some(value) }
            }
            Change::FirstRecord { .. } | Change::NewLogKey => continue,
        });
    }
    Ok(rows)
}
