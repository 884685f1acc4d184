//! The handover of the log from its key to a new one, within a commit.

use crate::{
    audit::{
        checkpoint::{self, VerifierKey},
        key_ring::next_key_line,
    },
    crypto::{digest::sha256, sign::LogKey},
    storage::{
        error::StorageError,
        format::{
            head::{Head, LogKeys},
            tables::meta,
        },
        state::VaultState,
    },
};

/// Values of `meta` to write.
type Meta = Vec<(&'static str, Vec<u8>)>;

/// Makes a new log key, which speaks for the log from this head's size on; updates the head's hash of the log keys.
/// Returns the key, and the values of `meta` that belong to it: the list of keys, and the handover that both keys
/// sign, as the checkpoint and among the handovers.
pub(super) fn hand_over(
    source: &VaultState,
    head: &mut Head,
    old: &LogKey,
) -> Result<(LogKey, Meta), StorageError> {
    let next = LogKey::generate().map_err(|_| StorageError::Random)?;
    let snapshot = source.engine.snapshot()?;
    let mut keys = LogKeys::from_bytes(&snapshot.required_meta(meta::LOG_KEYS)?)?;
    let size = head.frontier.size();
    keys.public.push((next.public(), size));
    keys.private = next.wrap(source.keys.log_wrap(), source.file).map_err(|_| StorageError::Random)?;
    let keys = keys.to_bytes();
    head.log_keys_hash = sha256(&keys);
    let origin = checkpoint::origin(source.file);
    let line = next_key_line(&VerifierKey::new(&origin, next.public()));
    let note = checkpoint::note(&origin, size, &head.root, &[line], &[old, &next]).into_bytes();
    let mut handovers = snapshot.meta(meta::HANDOVERS)?.unwrap_or_default();
    handovers.extend_from_slice(&note);
    let meta = vec![(meta::LOG_KEYS, keys), (meta::CHECKPOINT, note), (meta::HANDOVERS, handovers)];
    Ok((next, meta))
}
