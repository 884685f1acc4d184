//! `meta/slot_times`: the time of each slot's last change, for people alone: slot (u32) and milliseconds (u64),
//! little-endian, one after the other.

use crate::domain::Timestamp;

/// A slot, and the time of its last change.
pub(in crate::storage) type SlotTime = (u32, Timestamp);

/// Encodes the times.
pub(in crate::storage) fn encode(times: &[SlotTime]) -> Vec<u8> {
    let bytes = |(id, time): &SlotTime| [&id.to_le_bytes()[..], &time.millis().to_le_bytes()].concat();
    times.iter().flat_map(bytes).collect()
}

/// Decodes the times; a last entry that is cut short is none.
pub(in crate::storage) fn decode(bytes: &[u8]) -> Vec<SlotTime> {
    let time = |entry: &[u8]| {
        let (id, millis) = entry.split_first_chunk::<4>()?;
        let millis = u64::from_le_bytes(millis.try_into().ok()?);
        Some((u32::from_le_bytes(*id), Timestamp::from_millis(millis)))
    };
    bytes.chunks_exact(12).filter_map(time).collect()
}
