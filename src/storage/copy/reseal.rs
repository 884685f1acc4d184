//! A new vault key: every row is opened with the old keys and sealed with the new ones.

use super::{CopyError, chunk::Row as Raw};
use crate::{
    crypto::{
        digest::{StateDigest, sha256},
        keys::{Keys, VaultKey},
        seal::{self, Context},
        sign::LogKey,
    },
    domain::{Integration, IntegrationId, Revision},
    storage::{
        commit::changes::Scoping,
        error::StorageError,
        format::{
            codec::Row,
            head::{Head, LogKeys, Slot, encode_slots},
            tables::{Table, meta},
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
                Table::Scopes => continue,
                Table::TokenIds => sealed.push((key, value)),
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

    /// Returns the values of `meta` under the new key: slots, wrapped log key and head are new.
    pub(super) fn meta(
        &self,
        old: &VaultState,
        values: Vec<(String, Vec<u8>)>,
    ) -> Result<Vec<(String, Vec<u8>)>, CopyError> {
        let of = |name: &str| {
            let found = values.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice());
            found.ok_or_else(|| CopyError::Source(StorageError::tampered("meta", name)))
        };
        let head = Head::open(of(meta::HEAD)?, &old.keys, old.file).map_err(CopyError::Source)?;
        let log_keys = self.log_keys(old, of(meta::LOG_KEYS)?).map_err(CopyError::Source)?;
        let head = Head {
            version: head.version + 1,
            slots_hash: sha256(&self.slots),
            log_keys_hash: sha256(&log_keys),
            state: self.digest,
            ..head
        };
        let sealed = head.seal(&self.keys, old.file).map_err(CopyError::Source)?;
        let anew = |(name, value): (String, Vec<u8>)| {
            let value = match name.as_str() {
                meta::SLOTS => self.slots.clone(),
                meta::LOG_KEYS => log_keys.clone(),
                meta::HEAD => sealed.clone(),
                _ => value,
            };
            (name, value)
        };
        Ok(values.into_iter().map(anew).collect())
    }

    /// Wraps the newest log key under the new vault key.
    fn log_keys(&self, old: &VaultState, bytes: &[u8]) -> Result<Vec<u8>, StorageError> {
        let log_keys = LogKeys::from_bytes(bytes)?;
        let key = LogKey::unwrap(old.keys.log_wrap(), old.file, log_keys.newest(), &log_keys.private);
        let key = key.map_err(|_| StorageError::tampered("meta", meta::LOG_KEYS))?;
        let private = key.wrap(self.keys.log_wrap(), old.file).map_err(|_| StorageError::Random)?;
        Ok(LogKeys { private, ..log_keys }.to_bytes())
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
