//! A new vault key: every row is opened with the old keys and sealed with the new ones.

use super::{chunk::Row as Raw, error::CopyError};
use crate::{
    crypto::{
        digest::StateDigest,
        keys::{Keys, VaultKey},
        seal::{self, Context},
    },
    domain::{Integration, IntegrationId, Revision, Timestamp},
    storage::{
        commit::{access_sum::WATERMARK, changes::Scoping},
        error::StorageError,
        format::{
            codec::Row,
            head::{Slot, encode_slots},
            last_access::LastAccess,
            tables::Table,
        },
        read::view::View,
        state::VaultState,
    },
};

/// The new keys of a copy.
pub struct Rekeying {
    keys: Keys,
    slots: Vec<u8>,
    digest: StateDigest,
}

impl Rekeying {
    /// Takes the new vault key, and the slots that wrap it.
    pub fn new(key: &VaultKey, slots: &[Slot]) -> Self {
        Self { keys: Keys::derive(key), slots: encode_slots(slots), digest: StateDigest::ZERO }
    }

    pub(super) const fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(super) fn slots(&self) -> &[u8] {
        &self.slots
    }

    /// Returns the digest of the rows sealed so far.
    pub(super) const fn digest(&self) -> StateDigest {
        self.digest
    }

    /// Seals rows anew. The index of scopes follows from the integrations, since its keys depend on the vault key.
    pub(super) fn rows(
        &mut self,
        old: &VaultState,
        table: Table,
        rows: Vec<Raw>,
    ) -> Result<Vec<(Table, Vec<Raw>)>, CopyError> {
        let (mut sealed, mut scopes) = (Vec::with_capacity(rows.len()), Vec::new());
        let view = View::fresh(old);
        for (key, value) in rows {
            match table {
                Table::Scopes => {}
                Table::TokenIds => sealed.push((key, value)),
                // Every tag changes with the key: without a sum the next start reads the last accesses from the log.
                Table::LastAccess if key == WATERMARK => {
                    let context = Context::row(table.number(), old.file, &key);
                    sealed.extend(self.unsummed(old, &context, &value)?.map(|value| (key, value)));
                }
                Table::Credentials => {
                    let context = credential(&view, old, &key)?;
                    sealed.push((key.clone(), self.again(old, table, &key, &context, &value)?));
                }
                _ => {
                    let context = Context::row(table.number(), old.file, &key);
                    if table == Table::Integrations {
                        scopes.extend(self.scopes(&view, &key)?);
                    }
                    sealed.push((key.clone(), self.again(old, table, &key, &context, &value)?));
                }
            }
        }
        let written = vec![(table, sealed), (Table::Scopes, scopes)];
        for (table, rows) in written.iter().filter(|(table, _)| table.is_state()) {
            let state = self.keys.state();
            let tags = rows.iter().map(|(key, value)| state.row(table.number(), key, value));
            tags.for_each(|tag| self.digest.add(tag));
        }
        Ok(written)
    }

    /// Seals the watermark of the last accesses anew, without its sum.
    fn unsummed(
        &self,
        old: &VaultState,
        context: &Context,
        sealed: &[u8],
    ) -> Result<Option<Vec<u8>>, CopyError> {
        let bad = || CopyError::Source(StorageError::tampered_row(Table::LastAccess.name(), &WATERMARK));
        let plain = seal::open(old.keys.row(), context, sealed).map_err(|_| bad())?;
        let mut mark = LastAccess::read(&WATERMARK, plain.expose()).ok().flatten().ok_or_else(bad)?;
        mark.time = Timestamp::from_millis(0);
        let sealed = seal::seal(self.keys.row(), context, &mark.to_bytes());
        sealed.map(Some).map_err(|_| CopyError::Source(StorageError::Random))
    }

    fn again(
        &self,
        old: &VaultState,
        table: Table,
        key: &[u8],
        context: &Context,
        sealed: &[u8],
    ) -> Result<Vec<u8>, CopyError> {
        let plain = seal::open(old.keys.row(), context, sealed);
        let plain = plain.map_err(|_| CopyError::Source(StorageError::tampered_row(table.name(), key)))?;
        seal::seal(self.keys.row(), context, plain.expose())
            .map_err(|_| CopyError::Source(StorageError::Random))
    }

    fn scopes(&self, view: &View<'_>, key: &[u8]) -> Result<Vec<Raw>, CopyError> {
        let integration = integration(view, key)?;
        let keys = Scoping::of(&integration).keys(self.keys.state());
        Ok(keys.into_iter().map(|key| (key, Vec::new())).collect())
    }
}

/// Returns the context of a credential, which names what its integration says.
fn credential(view: &View<'_>, old: &VaultState, key: &[u8]) -> Result<Context, CopyError> {
    let bad = || CopyError::Source(StorageError::tampered_row(Table::Credentials.name(), key));
    let (id, revision) = key.split_first_chunk::<16>().ok_or_else(bad)?;
    let revision = Revision::new(u64::from_be_bytes(revision.try_into().map_err(|_| bad())?));
    let Integration { id, provider, auth_type, .. } = integration(view, id)?;
    Ok(Context::credential(Table::Credentials.number(), old.file, id, revision, provider, auth_type))
}

fn integration(view: &View<'_>, key: &[u8]) -> Result<Integration, CopyError> {
    let bad = || CopyError::Source(StorageError::tampered_row(Integration::TABLE.name(), key));
    let id = IntegrationId::from_bytes(key.try_into().map_err(|_| bad())?);
    let found = view.integration(id).map_err(CopyError::Source)?.ok_or_else(bad)?;
    Ok((*found).clone())
}
