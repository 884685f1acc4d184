//! A committed file of each format opens for ever. `SEALROOM_UPDATE=1` makes it anew; only until the first release.

use std::{path::PathBuf, sync::Arc};

use sealroom::{
    api::{self, requests::CreateIntegration},
    auth::token,
    domain::{Action, Actor, Event, Timestamp},
    storage::file::{self, FileLock, NewFile},
    vault::{CredentialQuery, EventQuery, Vault},
};

use super::server::{OWNER, PASSPHRASE, PASSWORD, START, context, plan, secret, settings};

fn committed() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1.redb")
}

async fn caller(vault: &Vault) -> sealroom::domain::Caller {
    let now = context(Timestamp::from_millis(START));
    let login = vault.login(&now, OWNER, secret(PASSWORD)).await.map_err(drop).unwrap();
    let bearer = token::parse_bearer(std::str::from_utf8(login.access.expose()).unwrap()).unwrap();
    vault.authenticate(bearer, &now).unwrap()
}

async fn make(path: &std::path::Path) {
    drop(std::fs::remove_file(path));
    let lock = FileLock::take(path).unwrap();
    let new = NewFile::begin(path, &lock).unwrap();
    Vault::create(new.medium(), 1 << 20, &plan()).unwrap();
    drop(new.publish().unwrap());
    let vault = Vault::open(file::open(path).unwrap(), settings()).unwrap();
    let now = Timestamp::from_millis(START);
    vault.unlock(secret(PASSPHRASE), Actor::host("test"), now, None).await.unwrap();
    let body =
        br#"{"provider":"github","authType":"pat","credentials":{"token":"ghp_example"},"isGlobal":true}"#;
    let request: CreateIntegration = api::parse(body).map_err(drop).unwrap();
    let caller = caller(&vault).await;
    vault.create_integration(&context(now), &caller, request).await.map_err(drop).unwrap();
    vault.lock(Event::new(now, Actor::host("test"), Action::VaultLock)).await.map_err(drop).unwrap();
    drop(std::fs::remove_file(file::beside(path, ".lock")));
}

#[tokio::test]
async fn a_file_of_format_1_opens_verifies_and_reads() {
    if std::env::var_os("SEALROOM_UPDATE").is_some() {
        make(&committed()).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.redb");
    std::fs::copy(committed(), &copy).unwrap();
    let vault = Arc::new(Vault::open(file::open(&copy).unwrap(), settings()).unwrap());
    let now = Timestamp::from_millis(START);
    vault.unlock(secret(PASSPHRASE), Actor::host("test"), now, None).await.unwrap();
    let caller = caller(&vault).await;
    let read = vault
        .read_credentials(&context(now), &caller, CredentialQuery::default())
        .await
        .map_err(drop)
        .unwrap();
    assert_eq!(read.items[0].1.expose(), br#"{"token":"ghp_example"}"#);
    let query = EventQuery { limit: 1_000, ..EventQuery::default() };
    let (events, _) = vault.read_events(&context(now), &caller, &query).await.map_err(drop).unwrap();
    assert!(events.last().unwrap().contains("\"action\":\"vault.init\""));
}
