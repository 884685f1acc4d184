//! A committed file of each format opens for ever, and what is in it can be read and changed.
//!
//! `format-1.redb` was made by the program that froze format 1, with the users, passphrase and time of the other tests:
//! the project `acme/app`; a global github credential, rotated once; a `custom` one named `deploy` in the project; a
//! member narrowed to the project, a token for it; and more than 256 events, so that a subtree of the log is stored.

use std::{path::PathBuf, sync::Arc};

use sealroom::{
    auth::token,
    disk::{DataFile, Locking},
    domain::{Actor, Revision, Timestamp},
    vault::{CredentialQuery, EventQuery, Proof, Vault},
};

use crate::support::server::{OWNER, PASSPHRASE, PASSWORD, START, context, secret, settings};

fn committed() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1.redb")
}

async fn caller(vault: &Vault) -> sealroom::vault::Admitted {
    let now = context(Timestamp::from_millis(START));
    let login = vault.login(&now, OWNER, secret(PASSWORD)).await.map_err(drop).unwrap();
    let bearer = token::parse_bearer(std::str::from_utf8(login.access.expose()).unwrap()).unwrap();
    vault.authenticate(bearer, &now).unwrap()
}

#[tokio::test]
async fn a_file_of_format_1_opens_verifies_and_reads() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.redb");
    std::fs::copy(committed(), &copy).unwrap();
    let file = DataFile::open(&copy, Locking::Required).unwrap();
    let vault = Arc::new(Vault::open(file.medium(), settings()).unwrap());
    let now = Timestamp::from_millis(START);
    vault.unlock(secret(PASSPHRASE), Actor::host("test"), now, None).await.unwrap();
    let (caller, at) = (caller(&vault).await, context(now));
    let read = async |query: CredentialQuery| {
        let read = vault.read_credentials(&at, &caller, query).await.map_err(drop).unwrap();
        let text = |secret: &[u8]| String::from_utf8(secret.to_vec()).unwrap();
        read.items.iter().map(|(one, secret)| (one.id, text(secret.expose()))).collect::<Vec<_>>()
    };
    let all = read(CredentialQuery::default()).await;
    assert_eq!(
        (all.len(), &*all[0].1, &*all[1].1),
        (2, r#"{"key":"example"}"#, r#"{"token":"ghp_example_2"}"#)
    );
    let project = "acme/app".parse().ok();
    let named = CredentialQuery {
        provider: "custom".parse().ok(),
        name: "deploy".parse().ok(),
        project,
        ..CredentialQuery::default()
    };
    assert_eq!(read(named).await, all[..1]);
    let before = Revision::new(1);
    vault.rollback_credentials(&at, &caller, all[1].0, before).await.map_err(drop).unwrap();
    let github = CredentialQuery { provider: "github".parse().ok(), ..CredentialQuery::default() };
    assert_eq!(read(github).await[0].1, r#"{"token":"ghp_example_1"}"#);
    let users = vault.list_users(&at, &caller).await.map_err(drop).unwrap();
    assert_eq!(
        users.iter().map(|user| user.email.as_str()).collect::<Vec<_>>(),
        ["member@example.com", OWNER]
    );
    let tokens = vault.list_tokens(&at, &caller).await.map_err(drop).unwrap();
    assert_eq!(tokens.iter().map(|(token, _)| token.name.as_str()).collect::<Vec<_>>(), ["ci"]);
    let query = EventQuery { limit: 1_000, ..EventQuery::default() };
    let (events, _) = vault.read_events(&at, &caller, &query).await.map_err(drop).unwrap();
    assert!(events.len() > 300 && events.last().unwrap().contains("\"action\":\"vault.init\""));
    let proof = vault.prove(&at, &caller, Proof::Inclusion { sequence: 7, size: 300 }).await;
    assert_eq!(proof.map_err(drop).unwrap().len(), 9);
}
