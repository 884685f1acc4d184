//! Which row it is, where the rows together disagree with the head.

use std::collections::BTreeSet;

use super::view::View;
use crate::storage::{
    commit::changes::Scoping,
    error::StorageError,
    format::tables::{Table, credential_key},
    readable,
};

/// Finds the first row that does not open under its key, or that the rows beside it contradict.
///
/// An older row of the same key opens as well as it once did: where that is the change, nothing is found.
///
/// # Errors
/// The row, by table and key, or the file cannot be read.
pub(in crate::storage) fn every_row(view: &View<'_>) -> Result<(), StorageError> {
    view.users()?;
    view.oldest_sessions(usize::MAX)?;
    view.projects()?;
    let tokens = view.tokens()?;
    for token in &tokens {
        if view.token_by_id(token.id)?.is_none() {
            return Err(tampered(Table::TokenIds, token.id.as_bytes()));
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

/// The table has exactly these keys.
fn only(view: &View<'_>, table: Table, expected: &BTreeSet<Vec<u8>>) -> Result<(), StorageError> {
    let mut missing = expected.clone();
    view.snapshot()?
        .walk(table, &[], |key, _| if missing.remove(key) { Ok(true) } else { Err(tampered(table, key)) })?;
    missing.first().map_or(Ok(()), |key| Err(tampered(table, key)))
}

fn tampered(table: Table, key: &[u8]) -> StorageError {
    StorageError::Tampered { table: table.name(), key: readable(key) }
}
