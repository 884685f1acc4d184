//! A whole vault file, damaged or edited: it is refused, or it unlocks and gives each credential as it was stored.
//!
//! The input is a list of changes to a committed file, so that it stays small: bytes of pages, rows as an attacker with
//! the engine edits them, a new length.

use std::{collections::BTreeSet, sync::LazyLock};

use redb::{ReadableTable, TableDefinition, WriteTransaction};
use tokio::runtime::Runtime;

use super::{
    Choices,
    vaults::{self, Bytes, COMMITTED, START},
};
use crate::{
    crypto::kdf::KdfParams,
    domain::Timestamp,
    storage::{Store, tables::Table},
    vault::{CredentialQuery, EventQuery},
};

const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
const AUDIT: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("audit");
/// The most changes of one input: more are only slower.
const CHANGES_MAX: usize = 16;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(vaults::runtime);
/// The credentials of the committed file.
static STORED: LazyLock<BTreeSet<Vec<u8>>> =
    LazyLock::new(|| read(COMMITTED).expect("the committed file opens"));

pub fn run(input: &[u8]) {
    let mut choices = Choices(input);
    let image = if choices.byte().is_multiple_of(2) { pages(&mut choices) } else { rows(&mut choices) };
    if let Some(found) = read(&image) {
        assert!(found.is_subset(&STORED), "a credential that nobody stored is disclosed");
    }
}

/// Overwrites bytes, then changes the length.
fn pages(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut image = COMMITTED.to_vec();
    for _ in 0..CHANGES_MAX {
        if choices.is_empty() {
            break;
        }
        let at = choices.number() as usize % image.len();
        let length = choices.below(9);
        let bytes = choices.take(length);
        let end = (at + bytes.len()).min(image.len());
        image[at..end].copy_from_slice(&bytes[..end - at]);
        if choices.byte() == 255 {
            image.truncate(choices.number() as usize % (image.len() + 1));
            break;
        }
    }
    image
}

/// Writes rows by the engine itself, so that its checksums hold.
fn rows(choices: &mut Choices<'_>) -> Vec<u8> {
    vaults::edit(COMMITTED, |transaction| {
        for _ in 0..CHANGES_MAX {
            if choices.is_empty() {
                break;
            }
            row(transaction, choices);
        }
    })
}

fn row(transaction: &WriteTransaction, choices: &mut Choices<'_>) {
    let tables: Vec<&'static str> =
        Table::STATE.iter().map(|table| table.name()).chain(["last_access", "hashes"]).collect();
    match choices.below(tables.len() + 2) {
        0 => {
            let mut table = transaction.open_table(META).unwrap();
            let keys: Vec<String> =
                table.iter().unwrap().map(|row| row.unwrap().0.value().to_owned()).collect();
            let key = &keys[choices.below(keys.len())];
            let value = table.get(key.as_str()).unwrap().unwrap().value().to_vec();
            drop(table.insert(key.as_str(), &*changed(value, choices)).unwrap());
        }
        1 => {
            let mut table = transaction.open_table(AUDIT).unwrap();
            let keys: Vec<u64> = table.iter().unwrap().map(|row| row.unwrap().0.value()).collect();
            let Some(key) = keys.get(choices.below(keys.len())) else { return };
            let value = table.get(key).unwrap().unwrap().value().to_vec();
            drop(table.insert(key, &*changed(value, choices)).unwrap());
        }
        other => {
            let mut table = transaction.open_table(Bytes::new(tables[other - 2])).unwrap();
            let keys: Vec<Vec<u8>> =
                table.iter().unwrap().map(|row| row.unwrap().0.value().to_vec()).collect();
            let Some(key) = keys.get(choices.below(keys.len())) else { return };
            let value = table.remove(&**key).unwrap().unwrap().value().to_vec();
            let key = if choices.byte() == 255 { changed(key.clone(), choices) } else { key.clone() };
            let value = match keys.get(choices.below(keys.len() + 1)) {
                // The row of another key.
                Some(other) if choices.byte() == 255 => {
                    table.get(&**other).unwrap().map_or(value, |row| row.value().to_vec())
                }
                _ => changed(value, choices),
            };
            drop(table.insert(&*key, &*value).unwrap());
        }
    }
}

/// Changes some bytes, cuts the end, or gives a new value.
fn changed(mut value: Vec<u8>, choices: &mut Choices<'_>) -> Vec<u8> {
    match choices.below(4) {
        0 => value.truncate(choices.below(value.len() + 1)),
        1 => {
            let length = choices.below(65);
            value = choices.take(length).to_vec();
        }
        _ if value.is_empty() => value.push(choices.byte()),
        _ => {
            let at = choices.number() as usize % value.len();
            value[at] ^= choices.byte() | 1;
        }
    }
    value
}

/// Opens, unlocks and reads everything that a file gives.
fn read(image: &[u8]) -> Option<BTreeSet<Vec<u8>>> {
    if !is_affordable(image) {
        return None;
    }
    RUNTIME.block_on(async {
        let vault = vaults::unlocked(image).await?;
        drop(vault.check_log(0));
        drop((vault.newest_time(), vault.handovers(), vault.verifier_keys(), vault.slots()));
        drop(vault.gauges(Timestamp::from_millis(START)));
        let (owner, _) = vaults::owner(&vault).await?;
        let context = vaults::context(START);
        drop(vault.list_projects(&context, &owner).await);
        drop(vault.list_users(&context, &owner).await);
        drop(vault.list_tokens(&context, &owner).await);
        drop(vault.read_events(&context, &owner, &EventQuery::default()).await);
        let read = vault.read_credentials(&context, &owner, CredentialQuery::default()).await.ok()?;
        Some(read.items.iter().map(|(_, secret)| secret.expose().to_vec()).collect())
    })
}

/// Every slot may ask for as much work as the largest that `slot add` makes, by design. Here that is a waste.
fn is_affordable(image: &[u8]) -> bool {
    let Ok(store) = Store::open(std::sync::Arc::new(vaults::backend(image)), 1 << 20) else { return true };
    let light = |params: KdfParams| params.memory_kib() <= 1024 && params.passes() <= 4;
    store.slots().is_ok_and(|slots| slots.iter().all(|slot| light(slot.header.params)))
}
