//! A view's reads of `meta`.

use super::view::View;
use crate::{
    crypto::sign::LogKey,
    storage::{
        error::StorageError,
        format::{
            head::{Slot, decode_slots},
            tables::{Table, meta},
        },
    },
};

impl View<'_> {
    /// Returns the key slots.
    ///
    /// # Errors
    /// As [`View::user`].
    pub fn slots(&self) -> Result<Vec<Slot>, StorageError> {
        let key = (Table::Meta, meta::SLOTS.as_bytes().to_vec());
        match self.overlay.and_then(|overlay| overlay.get(&key)) {
            Some(Some(written)) => decode_slots(written),
            Some(None) | None => decode_slots(&self.snapshot()?.required_meta(meta::SLOTS)?),
        }
    }

    /// Seals a witness key under the vault key, for a file beside this one.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn seal_witness_key(&self, key: &LogKey) -> Result<Vec<u8>, StorageError> {
        key.wrap(self.source.keys.witness_wrap(), self.source.file).map_err(|_| StorageError::Random)
    }

    /// Opens a witness key that [`View::seal_witness_key`] sealed; none under another vault key or of another vault.
    pub fn open_witness_key(&self, public: [u8; 32], sealed: &[u8]) -> Option<LogKey> {
        LogKey::unwrap(self.source.keys.witness_wrap(), self.source.file, public, sealed).ok()
    }
}
