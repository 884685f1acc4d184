//! Vault files in memory: opened, closed, read and edited row by row.

use std::sync::Arc;

use redb::{
    Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition, backends::InMemoryBackend,
};
use sealroom::{
    api::{self, requests::CreateIntegration},
    auth::token,
    domain::{Actor, IntegrationId, Timestamp},
    storage::StorageError,
    vault::{Admitted, UnlockError, Vault},
};

use super::server::{OWNER, PASSPHRASE, PASSWORD, START, context, secret, settings};

pub type Bytes<'a> = TableDefinition<'a, &'static [u8], &'static [u8]>;
pub const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
pub const AUDIT: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("audit");

pub fn image(backend: &InMemoryBackend) -> Vec<u8> {
    let mut bytes = vec![0; backend.len().unwrap() as usize];
    backend.read(0, &mut bytes).unwrap();
    bytes
}

pub fn backend(image: &[u8]) -> InMemoryBackend {
    let backend = InMemoryBackend::new();
    backend.set_len(image.len() as u64).unwrap();
    backend.write(0, image).unwrap();
    backend
}

/// A medium whose bytes a test reads afterwards.
#[derive(Debug)]
pub struct Shared(pub Arc<InMemoryBackend>);

impl StorageBackend for Shared {
    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> std::io::Result<()> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.0.write(offset, data)
    }
}

pub fn shared(image: &[u8]) -> (Arc<InMemoryBackend>, Arc<Shared>) {
    let backend = Arc::new(backend(image));
    (Arc::clone(&backend), Arc::new(Shared(backend)))
}

pub async fn unlock(image: &[u8], passphrase: &str) -> Result<Vault, UnlockError> {
    let vault = Vault::open(shared(image).1, settings()).unwrap();
    let now = Timestamp::from_millis(START);
    vault.unlock(secret(passphrase), Actor::host("test"), now, None).await.map(|()| vault)
}

pub async fn owner(vault: &Vault) -> Admitted {
    let now = context(Timestamp::from_millis(START));
    let login = vault.login(&now, OWNER, secret(PASSWORD)).await.map_err(drop).unwrap();
    let bearer = token::parse_bearer(std::str::from_utf8(login.access.expose()).unwrap()).unwrap();
    vault.authenticate(bearer, &now).unwrap()
}

pub async fn store(vault: &Vault, caller: &Admitted, value: &str) -> IntegrationId {
    let now = context(Timestamp::from_millis(START));
    let body = format!(
        r#"{{"provider":"github","authType":"pat","credentials":{{"token":"{value}"}},"isGlobal":true}}"#
    );
    let request: CreateIntegration = api::parse(body.as_bytes()).map_err(drop).unwrap();
    vault.create_integration(&now, caller, request).await.map_err(drop).unwrap().0.id
}

/// Locks the vault and returns the bytes of its closed file.
pub async fn close(vault: Vault, medium: &Arc<InMemoryBackend>) -> Vec<u8> {
    let now = Timestamp::from_millis(START);
    let event = sealroom::domain::Event::new(now, Actor::host("test"), sealroom::domain::Action::VaultLock);
    vault.lock(event).await.map_err(drop).unwrap();
    drop(vault);
    image(medium)
}

/// Edits a closed file as an attacker would who knows the engine but not the key.
pub fn edit(image: &[u8], change: impl FnOnce(&redb::WriteTransaction)) -> Vec<u8> {
    let medium = Arc::new(backend(image));
    let database = Database::builder().create_with_backend(Shared(Arc::clone(&medium))).unwrap();
    let txn = database.begin_write().unwrap();
    change(&txn);
    txn.commit().unwrap();
    drop(database);
    self::image(&medium)
}

pub fn meta(image: &[u8], name: &str) -> Vec<u8> {
    let database = Database::builder().create_with_backend(backend(image)).unwrap();
    let txn = database.begin_read().unwrap();
    txn.open_table(META).unwrap().get(name).unwrap().unwrap().value().to_vec()
}

/// Every row of a table, in key order; empty if there is no such table.
pub fn rows(image: &[u8], table: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let database = Database::builder().create_with_backend(backend(image)).unwrap();
    let txn = database.begin_read().unwrap();
    let Ok(table) = txn.open_table(Bytes::new(table)) else { return Vec::new() };
    let row = |row: Result<(redb::AccessGuard<'_, &[u8]>, redb::AccessGuard<'_, &[u8]>), _>| {
        let (key, value) = row.unwrap();
        (key.value().to_vec(), value.value().to_vec())
    };
    table.iter().unwrap().map(row).collect()
}

/// Every record of the log, as it is stored.
pub fn log(image: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let database = Database::builder().create_with_backend(backend(image)).unwrap();
    let txn = database.begin_read().unwrap();
    let table = txn.open_table(AUDIT).unwrap();
    let rows = table.iter().unwrap().map(|row| row.unwrap());
    rows.map(|(sequence, row)| (sequence.value(), row.value().to_vec())).collect()
}

/// The bytes of all rows and records.
pub fn bytes_of_rows(image: &[u8]) -> usize {
    let tables = sealroom::storage::tables::Table::STATE.iter().map(|table| table.name());
    let rows = tables.chain(["last_access", "hashes"]).flat_map(|table| rows(image, table));
    let rows: usize = rows.map(|(key, value)| key.len() + value.len()).sum();
    rows + log(image).iter().map(|(_, row)| row.len() + 8).sum::<usize>()
}

/// Asserts that the file is refused; returns the table that the refusal names, if any.
pub async fn refused(image: &[u8], what: &str) -> Option<&'static str> {
    match unlock(image, PASSPHRASE).await {
        Err(UnlockError::Storage(StorageError::Tampered { table, .. })) => Some(table),
        Err(UnlockError::WrongPassphrase) => None,
        Err(other) => panic!("{what}: {other:?}"),
        Ok(_) => panic!("{what} was believed"),
    }
}
