//! The keyed sum over the last accesses, which their watermark holds.

use crate::{
    crypto::keys::Keys,
    domain::Timestamp,
    storage::{error::StorageError, format::tables::Table, read::snapshot::Snapshot},
};

/// The id of the watermark.
pub(in crate::storage) const WATERMARK: [u8; 16] = [0; 16];

/// The bits of a sum that a [`Timestamp`] holds.
const SUM_BITS: u64 = (1 << 47) - 1;

/// The sum of the rows' tags modulo 2⁴⁷: of each the first eight bytes, little-endian. Only the vault key makes a tag,
/// so that a forged table can only be tried at a start of the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::storage) struct AccessSum(u64);

impl AccessSum {
    /// Sums the rows of a file.
    pub(super) fn of(snapshot: &Snapshot, keys: &Keys) -> Result<Self, StorageError> {
        let mut sum = Self::default();
        snapshot.walk(Table::LastAccess, &[], |key, value| {
            if key != WATERMARK {
                sum.replace(keys, key, None, Some(value));
            }
            Ok(true)
        })?;
        Ok(sum)
    }

    /// Takes a change of one row in.
    pub(super) fn replace(&mut self, keys: &Keys, key: &[u8], before: Option<&[u8]>, after: Option<&[u8]>) {
        let tag = |value: &[u8]| {
            u64::from_le_bytes(keys.state().row(Table::LastAccess.number(), key, value).first())
        };
        let sum = self.0.wrapping_sub(before.map_or(0, tag));
        self.0 = sum.wrapping_add(after.map_or(0, tag)) & SUM_BITS;
    }

    /// Returns the sum in the place that it has in the watermark: the time, which is zero in older files.
    pub(super) const fn as_time(self) -> Timestamp {
        Timestamp::from_millis(self.0)
    }
}
