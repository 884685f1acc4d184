//! A view's reads of `meta`.

use super::view::View;
use crate::storage::{
    error::StorageError,
    format::{
        head::{Slot, decode_slots},
        tables::{Table, meta},
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
}
