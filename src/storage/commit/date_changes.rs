//! The dates of the integrations that a batch writes, for the index over them.

use crate::{
    crypto::seal::{self, Context},
    domain::{Integration, IntegrationId},
    storage::{
        dates::{DateChange, Dates},
        engine::RowWrite,
        format::{codec::Row, tables::Table},
        state::VaultState,
    },
};

/// Brings what a committed batch wrote to the index of dates.
pub(in crate::storage) fn note_dates(state: &VaultState, rows: &[RowWrite]) {
    let of_integrations = rows.iter().filter(|row| row.table == Table::Integrations);
    match of_integrations.map(|row| change(state, row)).collect::<Option<Vec<_>>>() {
        Some(changes) if changes.is_empty() => {}
        Some(changes) => state.dates.take_in(changes),
        // It was sealed a moment ago: read everything again rather than answer with a gap.
        None => state.dates.forget(),
    }
}

/// Returns what a written row says; `None` if it does not open.
fn change(state: &VaultState, row: &RowWrite) -> Option<DateChange> {
    let id = IntegrationId::from_bytes(row.key.as_slice().try_into().ok()?);
    let Some(sealed) = &row.value else { return Some((id, None)) };
    let context = Context::row(row.table.number(), state.file, &row.key);
    let opened = seal::open(state.keys.row(), &context, sealed).ok()?;
    Some((id, Some(Dates::of(&Integration::from_bytes(&row.key, opened.expose())?))))
}
