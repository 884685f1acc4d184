//! The integrity check at every unlock: the whole file against its sealed head.

use std::collections::BTreeSet;

use super::{snapshot::Snapshot, view::View};
use crate::{
    audit::{
        checkpoint::{self, VerifierKey},
        key_ring, tree,
    },
    crypto::digest::{StateDigest, sha256},
    domain::FileId,
    storage::{
        commit::changes::Scoping,
        error::StorageError,
        format::{
            head::{Head, LogKeys},
            tables::{Table, credential_key, meta},
        },
        state::VaultState,
    },
};

/// The most records that the check holds in memory.
const RECORDS_CHUNK: usize = 4096;
/// Every unlock hashes the records after the last full subtree of this size again.
const TAIL_LEAVES: u64 = 256;

/// Checks slots, log keys, checkpoint, rows and log against the head.
///
/// # Errors
/// The first value that disagrees, or the file cannot be read.
pub(in crate::storage) fn check(
    snapshot: &Snapshot,
    source: &VaultState,
    head: &Head,
) -> Result<LogKeys, StorageError> {
    let log_keys = check_meta(snapshot, head, source.file)?;
    check_state(snapshot, source, head)?;
    check_log(snapshot, head)?;
    Ok(log_keys)
}

/// Checks that the slots, the log keys and the checkpoint match the head.
pub(in crate::storage) fn check_meta(
    snapshot: &Snapshot,
    head: &Head,
    file: FileId,
) -> Result<LogKeys, StorageError> {
    if sha256(&snapshot.required_meta(meta::SLOTS)?) != head.slots_hash {
        return Err(StorageError::tampered("meta", meta::SLOTS));
    }
    let bytes = snapshot.required_meta(meta::LOG_KEYS)?;
    if sha256(&bytes) != head.log_keys_hash {
        return Err(StorageError::tampered("meta", meta::LOG_KEYS));
    }
    let log_keys = LogKeys::from_bytes(&bytes)?;
    check_handovers(&snapshot.handovers()?, &log_keys, file)?;
    let text = snapshot.checkpoint()?;
    let key = VerifierKey::new(&checkpoint::origin(file), log_keys.newest());
    let signed =
        checkpoint::open(&text, &[key]).map_err(|_| StorageError::tampered("meta", meta::CHECKPOINT))?;
    if signed.size != head.frontier.size() || signed.root != head.root {
        return Err(StorageError::tampered("meta", meta::CHECKPOINT));
    }
    Ok(log_keys)
}

/// Checks that each log key but the first was handed the log, by the key before and at the size that the file states.
fn check_handovers(notes: &[String], keys: &LogKeys, file: FileId) -> Result<(), StorageError> {
    let origin = checkpoint::origin(file);
    let is_whole = notes.len() + 1 == keys.public.len();
    let is_link = |(note, two): (&String, &[([u8; 32], u64)])| {
        let [old, new] = [two[0].0, two[1].0].map(|public| VerifierKey::new(&origin, public));
        let handover = checkpoint::open(note, &[old]);
        let named = |handover: &checkpoint::Checkpoint| key_ring::successor(handover).as_ref() == Some(&new);
        handover.is_ok_and(|handover| handover.size == two[1].1 && named(&handover))
            && checkpoint::open(note, std::slice::from_ref(&new)).is_ok()
    };
    if is_whole && notes.iter().zip(keys.public.windows(2)).all(is_link) {
        return Ok(());
    }
    Err(StorageError::tampered("meta", meta::HANDOVERS))
}

/// Checks that the file's rows are exactly those that the head was sealed with.
fn check_state(snapshot: &Snapshot, source: &VaultState, head: &Head) -> Result<(), StorageError> {
    let mut digest = StateDigest::ZERO;
    for table in Table::STATE {
        snapshot.walk(table, &[], |key, value| {
            digest.add(source.keys.state().row(table.number(), key, value));
            Ok(true)
        })?;
    }
    if digest == head.state {
        return Ok(());
    }
    check_every_row(&View::fresh(source))?;
    Err(StorageError::tampered("meta", "state digest"))
}

/// Checks that the log ends at the head's size, and that its newest leaves match the tree.
fn check_log(snapshot: &Snapshot, head: &Head) -> Result<(), StorageError> {
    let (size, nodes) = head.frontier.to_parts();
    let bad = |sequence: u64| StorageError::tampered("audit", sequence.to_string());
    let newest = snapshot.records_before(u64::MAX, 1)?;
    let end = newest.first().map_or(0, |(sequence, _)| sequence + 1);
    if end != size && !(newest.is_empty() && head.first_sequence == size) {
        return Err(bad(end.min(size)));
    }
    let first = snapshot.records(0, 1)?.first().map_or(size, |(sequence, _)| *sequence);
    if first != head.first_sequence {
        return Err(bad(first.min(head.first_sequence)));
    }
    let tail = size - tail_leaves(size);
    // Stored subtrees stand for the archived records among those to hash.
    let (mut frontier, tail) = match head.first_sequence {
        archived if tail < archived => (snapshot.frontier(archived)?, archived),
        _ => (tree::Frontier::EMPTY, tail),
    };
    let mut next = tail;
    while next < size {
        let records = snapshot.records(next, RECORDS_CHUNK)?;
        if records.is_empty() {
            return Err(bad(next));
        }
        for (sequence, record) in records {
            if sequence != next {
                return Err(bad(next));
            }
            drop(frontier.push(tree::leaf_hash(&record)));
            next += 1;
        }
    }
    let (_, small) = frontier.to_parts();
    // The frontier's last nodes are exactly the subtrees of the leaves from `tail` on.
    if nodes[nodes.len() - small.len().min(nodes.len())..] == small[..] { Ok(()) } else { Err(bad(tail)) }
}

/// Returns the number of newest leaves that an unlock hashes again: those after the last full 256. At a multiple of 256
/// it is the size of the frontier's last node, since otherwise no record would be checked at such a size.
const fn tail_leaves(size: u64) -> u64 {
    match size % TAIL_LEAVES {
        0 => size & size.wrapping_neg(),
        rest => rest,
    }
}

/// Finds the first row that fails authentication under its key, or that contradicts another row.
///
/// An older value of the same row still authenticates: this check does not find such a replay.
///
/// # Errors
/// The row, by table and key, or the file cannot be read.
fn check_every_row(view: &View<'_>) -> Result<(), StorageError> {
    view.users()?;
    view.oldest_sessions(usize::MAX)?;
    view.projects()?;
    let tokens = view.tokens()?;
    for token in &tokens {
        if view.token_by_id(token.id)?.is_none() {
            return Err(StorageError::tampered_row(Table::TokenIds.name(), token.id.as_bytes()));
        }
    }
    let integrations = view.integrations()?;
    let mut credentials = BTreeSet::new();
    for integration in integrations.iter() {
        for kept in &integration.kept {
            drop(view.credential(integration, kept.revision)?);
            credentials.insert(credential_key(integration.id, kept.revision));
        }
    }
    let ids = tokens.iter().map(|token| token.id.as_bytes().to_vec()).collect();
    let scopes =
        integrations.iter().flat_map(|integration| view.scope_keys(&Scoping::of(integration))).collect();
    only(view, Table::Credentials, &credentials)?;
    only(view, Table::TokenIds, &ids)?;
    only(view, Table::Scopes, &scopes)
}

/// Checks that the table has exactly these keys.
fn only(view: &View<'_>, table: Table, expected: &BTreeSet<Vec<u8>>) -> Result<(), StorageError> {
    let mut missing = expected.clone();
    view.snapshot()?.walk(table, &[], |key, _| {
        if missing.remove(key) { Ok(true) } else { Err(StorageError::tampered_row(table.name(), key)) }
    })?;
    missing.first().map_or(Ok(()), |key| Err(StorageError::tampered_row(table.name(), key)))
}
