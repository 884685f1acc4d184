//! The last record of a copy that takes its source's place: what was done, in the same transaction as the rest.

use super::reseal::Rekeying;
use crate::{
    audit::{
        checkpoint::{self, VerifierKey},
        key_ring::next_key_line,
        record, tree,
    },
    crypto::{digest::sha256, sign::LogKey},
    domain::{Event, Timestamp},
    storage::{
        commit::rows::signed,
        error::StorageError,
        format::{
            head::{Head, LogKeys, decode_slots},
            slot_times,
            tables::{audit_row, meta},
        },
        read::snapshot::SubtreeHash,
        state::VaultState,
    },
};

type Values = Vec<(String, Vec<u8>)>;

/// The additions of the last record to a copy.
pub(in crate::storage) struct Ending {
    pub(in crate::storage) record: (u64, Vec<u8>),
    pub(in crate::storage) subtrees: Vec<SubtreeHash>,
    /// All values of `meta`.
    pub(in crate::storage) values: Values,
}

/// Appends the event to the log that the source's values of `meta` describe, under the new keys if there are any.
pub(in crate::storage) fn append(
    source: &VaultState,
    rekeying: Option<&Rekeying>,
    mut values: Values,
    event: &Event,
) -> Result<Ending, StorageError> {
    let mut head = Head::open(of(&values, meta::HEAD)?, &source.keys, source.file)?;
    let log_keys = LogKeys::from_bytes(of(&values, meta::LOG_KEYS)?)?;
    let log_key = LogKey::unwrap(source.keys.log_wrap(), source.file, log_keys.newest(), &log_keys.private);
    let log_key = log_key.map_err(|_| StorageError::tampered("meta", meta::LOG_KEYS))?;
    let sequence = head.frontier.size();
    let text = record::encode(sequence, event);
    let leaf_hash = tree::leaf_hash(&text);
    let stored = head.frontier.push(leaf_hash);
    let subtrees =
        stored.into_iter().map(|one| SubtreeHash { level: one.level, index: one.index, hash: one.hash });
    head.version += 1;
    head.root = head.frontier.root();
    head.newest_time = head.newest_time.max(event.time);
    let keys = match rekeying {
        None => {
            set(&mut values, meta::CHECKPOINT, signed(source.file, &head, &log_key).into_bytes());
            &source.keys
        }
        Some(rekeying) => {
            head.state = rekeying.digest();
            head.slots_hash = sha256(rekeying.slots());
            set_slots(&mut values, rekeying.slots(), event.time)?;
            hand_over(source, rekeying, &mut head, log_keys, &log_key, &mut values)?;
            rekeying.keys()
        }
    };
    let sealed = head.seal(keys, source.file)?;
    set(&mut values, meta::HEAD, sealed);
    Ok(Ending { record: (sequence, audit_row(text, &leaf_hash)), subtrees: subtrees.collect(), values })
}

/// Ends the log's key, and starts one that no earlier copy of the file can have.
fn hand_over(
    source: &VaultState,
    rekeying: &Rekeying,
    head: &mut Head,
    mut log_keys: LogKeys,
    old: &LogKey,
    values: &mut Values,
) -> Result<(), StorageError> {
    let next = LogKey::generate().map_err(|_| StorageError::Random)?;
    let (origin, size) = (checkpoint::origin(source.file), head.frontier.size());
    log_keys.public.push((next.public(), size));
    log_keys.private =
        next.wrap(rekeying.keys().log_wrap(), source.file).map_err(|_| StorageError::Random)?;
    let log_keys = log_keys.to_bytes();
    head.log_keys_hash = sha256(&log_keys);
    let line = next_key_line(&VerifierKey::new(&origin, next.public()));
    let note = checkpoint::note(&origin, size, &head.root, &[line], &[old, &next]).into_bytes();
    let mut handovers = of(values, meta::HANDOVERS).map(<[u8]>::to_vec).unwrap_or_default();
    handovers.extend_from_slice(&note);
    set(values, meta::LOG_KEYS, log_keys);
    set(values, meta::CHECKPOINT, note);
    set(values, meta::HANDOVERS, handovers);
    Ok(())
}

/// Replaces the slots; those that were not there before are as old as the event.
fn set_slots(values: &mut Values, slots: &[u8], now: Timestamp) -> Result<(), StorageError> {
    let ids =
        |slots: &[u8]| decode_slots(slots).map(|all| all.into_iter().map(|slot| slot.header.id).collect());
    let (before, after): (Vec<u32>, Vec<u32>) = (ids(of(values, meta::SLOTS)?)?, ids(slots)?);
    let mut times = slot_times::decode(of(values, meta::SLOT_TIMES).unwrap_or_default());
    times.retain(|(id, _)| before.contains(id) && after.contains(id));
    times.extend(after.into_iter().filter(|id| !before.contains(id)).map(|id| (id, now)));
    set(values, meta::SLOTS, slots.to_vec());
    set(values, meta::SLOT_TIMES, slot_times::encode(&times));
    Ok(())
}

fn of<'a>(values: &'a Values, name: &str) -> Result<&'a [u8], StorageError> {
    let found = values.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice());
    found.ok_or_else(|| StorageError::tampered("meta", name))
}

fn set(values: &mut Values, name: &str, value: Vec<u8>) {
    values.retain(|(known, _)| known != name);
    values.push((name.to_owned(), value));
}
