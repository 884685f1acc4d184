//! A committed file of each format opens for ever, and what is in it can be read and changed.
//!
//! `format-1.redb` was made by the program that froze format 1, with the users, passphrase and time of the other tests:
//! the project `acme/app`; a global github credential, rotated once; a `custom` one named `deploy` in the project; a
//! member narrowed to the project, a token for it; and more than 256 events, so that a subtree of the log is stored.
//!
//! `format-1-rows-2.redb` is the same format with a row of version 2: a token narrowed to one of two credentials.
//! `format-1-rows-3.redb` has rows of version 3 too: that token was rolled, and its credential rotated.
//! `format-1-rows-4.redb` has one of version 4: that credential was rotated twice more. If one is missing,
//! `SEALROOM_UPDATE=1` makes it; a committed one never changes.
//!
//! `format-1-rows-3-otp.redb` has a user's row of version 3: an owner with a second factor, whose secret and one-time codes
//! are the lines of `format-1-rows-3-otp.txt`.

use std::{path::PathBuf, sync::Arc};

use redb::{Database, TableDefinition};
use sealroom::{
    api::{self, requests::CreateToken},
    auth::token,
    disk::NewFile,
    domain::{Action, Actor, Bearer, Event, Revision, Timestamp, TokenRef, minutes},
    storage::OpenError,
    vault::{CredentialQuery, Error, EventQuery, Proof, Vault},
};

use crate::support::{
    memory_disk, otp,
    server::{OWNER, PASSPHRASE, PASSWORD, START, context, opened_file, plan, secret, settings},
};

fn committed() -> PathBuf {
    fixture("format-1.redb")
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
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
    let file = opened_file(&copy);
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

const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");

async fn opened(path: &std::path::Path) -> Arc<Vault> {
    let file = opened_file(path);
    let vault = Arc::new(Vault::open(file.medium(), settings()).unwrap());
    let now = Timestamp::from_millis(START);
    vault.unlock(secret(PASSPHRASE), Actor::host("test"), now, None).await.unwrap();
    vault
}

/// Makes a vault of two credentials and a token for both, with version 2 for the first of them, with version 3 rolled
/// and the credential rotated, and with version 4 rotated again, a minute and two minutes later.
async fn make(path: &std::path::Path, rows: u8) {
    let new = NewFile::begin(path).unwrap();
    Vault::create(new.medium(), 1 << 20, &plan()).unwrap();
    drop(new.publish().unwrap());
    let (vault, at) = (opened(path).await, context(Timestamp::from_millis(START)));
    let owner = memory_disk::owner(&vault).await;
    let first = memory_disk::store(&vault, &owner, "ghp_example_1").await;
    memory_disk::store(&vault, &owner, "ghp_example_2").await;
    let integrations = if rows >= 2 { format!(r#","integrations":["{first}"]"#) } else { String::new() };
    let body = format!(r#"{{"name":"one"{integrations}}}"#);
    let request: CreateToken = api::parse(body.as_bytes()).map_err(drop).unwrap();
    let (token, _) = vault.create_token(&at, &owner, request).await.map_err(drop).unwrap();
    if rows >= 3 {
        let (old, overlap) = (TokenRef::Id(token.id), minutes(60));
        vault.roll_token(&at, &owner, old, overlap).await.map_err(drop).unwrap();
        let rotation = api::parse(br#"{"credentials":{"token":"ghp_example_3"}}"#).map_err(drop).unwrap();
        vault.rotate_credentials(&at, &owner, first, None, rotation).await.map_err(drop).unwrap();
    }
    for minute in [1, 2].into_iter().filter(|_| rows >= 4) {
        let later = context(at.now.plus(minutes(minute)));
        let rotation = api::parse(br#"{"credentials":{"token":"ghp_example_4"}}"#).map_err(drop).unwrap();
        vault.rotate_credentials(&later, &owner, first, None, rotation).await.map_err(drop).unwrap();
    }
    vault.lock(Event::new(at.now, Actor::host("test"), Action::VaultLock)).await.map_err(drop).unwrap();
}

#[tokio::test]
async fn a_file_with_rows_of_version_3_opens_and_both_tokens_of_its_roll_read() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.redb");
    std::fs::copy(fixture("format-1-rows-3.redb"), &copy).unwrap();
    let (vault, at) = (opened(&copy).await, context(Timestamp::from_millis(START)));
    let owner = caller(&vault).await;
    let tokens = vault.list_tokens(&at, &owner).await.map_err(drop).unwrap();
    let before = tokens.iter().map(|(token, _)| token).find(|token| token.roll.successor.is_some()).unwrap();
    let next = tokens.iter().map(|(token, _)| token).find(|token| Some(token.id) == before.roll.successor);
    let next = next.unwrap();
    assert_eq!((next.roll.predecessor, next.roll.first_used_at), (Some(before.id), None));
    assert_eq!(before.expires_at, at.now.plus(minutes(60)));
    for token in [before, next] {
        let narrowed = vault.authenticate(Bearer::Application(token.digest), &at).map_err(drop).unwrap();
        let read = vault.read_credentials(&at, &narrowed, CredentialQuery::default()).await;
        let items = read.map_err(drop).unwrap().items;
        let values: Vec<&[u8]> = items.iter().map(|(_, secret)| secret.expose()).collect();
        assert_eq!(values, [br#"{"token":"ghp_example_3"}"#]);
        assert_eq!(items[0].0.unchanged_since(), at.now);
    }
    let tokens = vault.list_tokens(&at, &owner).await.map_err(drop).unwrap();
    let used = tokens.iter().find(|(token, _)| token.id == next.id).unwrap();
    assert_eq!(used.0.roll.first_used_at, Some(at.now));
}

#[tokio::test]
async fn a_file_with_rows_of_version_4_opens_and_knows_the_age_of_each_value() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.redb");
    std::fs::copy(fixture("format-1-rows-4.redb"), &copy).unwrap();
    let (vault, start) = (opened(&copy).await, Timestamp::from_millis(START));
    let (owner, at) = (caller(&vault).await, context(start.plus(minutes(3))));
    let read = vault.read_credentials(&at, &owner, CredentialQuery::default()).await.map_err(drop).unwrap();
    let rotated = read.items.iter().map(|(one, _)| one).find(|one| one.kept.len() == 4).unwrap();
    let times: Vec<_> = rotated.kept.iter().map(|kept| rotated.stored_at(*kept)).collect();
    assert_eq!(times, [2, 1, 0, 0].map(|minute| Some(start.plus(minutes(minute)))));
    let back =
        vault.rollback_credentials(&at, &owner, rotated.id, Revision::new(3)).await.map_err(drop).unwrap();
    assert_eq!(back.integration.unchanged_since(), start.plus(minutes(1)));
}

#[tokio::test]
async fn a_file_with_a_row_of_version_2_opens_and_its_token_reads_one_credential() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.redb");
    std::fs::copy(fixture("format-1-rows-2.redb"), &copy).unwrap();
    let (vault, at) = (opened(&copy).await, context(Timestamp::from_millis(START)));
    let owner = caller(&vault).await;
    let tokens = vault.list_tokens(&at, &owner).await.map_err(drop).unwrap();
    let (token, _) = &tokens[0];
    assert_eq!((token.name.as_str(), token.scope.integrations.as_ref().map(Vec::len)), ("one", Some(1)));
    let narrowed = vault.authenticate(Bearer::Application(token.digest), &at).map_err(drop).unwrap();
    let read = vault.read_credentials(&at, &narrowed, CredentialQuery::default()).await;
    let items = read.map_err(drop).unwrap().items;
    let values: Vec<&[u8]> = items.iter().map(|(_, secret)| secret.expose()).collect();
    assert_eq!(values, [br#"{"token":"ghp_example_1"}"#]);
}

/// A file that a program of tomorrow wrote is refused as a whole, and not when the first request meets the row.
#[tokio::test]
async fn a_file_with_rows_of_a_newer_version_cannot_be_opened_by_this_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("newer.redb");
    for (from, needs) in [
        ("format-1.redb", 5_u32),
        ("format-1-rows-2.redb", 5),
        ("format-1-rows-3.redb", 5),
        ("format-1-rows-3-otp.redb", 5),
        ("format-1-rows-4.redb", 5),
        ("format-1.redb", u32::MAX),
    ] {
        std::fs::copy(fixture(from), &path).unwrap();
        let database = Database::create(&path).unwrap();
        let txn = database.begin_write().unwrap();
        let value = [&needs.to_le_bytes()[..], b"0.9.0"].concat();
        txn.open_table(META).unwrap().insert("needs", value.as_slice()).unwrap();
        txn.commit().unwrap();
        drop(database);
        let before = std::fs::read(&path).unwrap();
        let file = opened_file(&path);
        let error = Vault::open(file.medium(), settings()).map(drop).unwrap_err();
        assert!(matches!(error, OpenError::NewerRows { found, known: 4, .. } if found == needs), "{error:?}");
        assert!(error.to_string().contains("sealroom 0.9.0"), "{error}");
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), before, "the file was not changed");
    }
}

/// A file whose newer fields are not in use stays readable for an older program: its rows are those of version 1.
#[tokio::test]
async fn only_a_row_that_needs_it_raises_what_a_file_needs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.redb");
    let needs = || {
        // A copy, since a thread of the closed vault may hold the file for a moment longer.
        let copy = folder.path().join("copy.redb");
        std::fs::copy(&path, &copy).unwrap();
        let database = Database::open(&copy).unwrap();
        let txn = redb::ReadableDatabase::begin_read(&database).unwrap();
        txn.open_table(META).unwrap().get("needs").unwrap().map(|value| value.value()[0])
    };
    make(&path, 1).await;
    assert_eq!(needs(), None);
    for rows in [2, 3, 4] {
        std::fs::remove_file(&path).unwrap();
        make(&path, rows).await;
        assert_eq!(needs(), Some(rows));
        let committed = fixture(&format!("format-1-rows-{rows}.redb"));
        if std::env::var_os("SEALROOM_UPDATE").is_some() && !committed.exists() {
            std::fs::copy(&path, committed).unwrap();
        }
    }
}

/// Makes a vault whose owner has a second factor; returns its secret and one-time codes.
async fn make_with_factor(path: &std::path::Path) -> Vec<String> {
    let new = NewFile::begin(path).unwrap();
    Vault::create(new.medium(), 1 << 20, &plan()).unwrap();
    drop(new.publish().unwrap());
    let (vault, at) = (opened(path).await, context(Timestamp::from_millis(START)));
    let owner = memory_disk::owner(&vault).await;
    let begun = vault.begin_otp(&at, &owner, secret(PASSWORD)).await.map_err(drop).unwrap();
    let text = begun.secret.expose_text().unwrap().to_owned();
    let first = secret(&otp::code(&text, at.now));
    let codes = vault.confirm_otp(&at, &owner, first).await.map_err(drop).unwrap();
    vault.lock(Event::new(at.now, Actor::host("test"), Action::VaultLock)).await.map_err(drop).unwrap();
    let codes = codes.iter().map(|code| code.expose_text().unwrap().to_owned());
    std::iter::once(text).chain(codes).collect()
}

#[tokio::test]
async fn a_file_with_a_row_of_version_3_opens_and_its_owner_logs_in_with_a_code() {
    let folder = tempfile::tempdir().unwrap();
    let (copy, codes) = (folder.path().join("copy.redb"), fixture("format-1-rows-3-otp.txt"));
    if std::env::var_os("SEALROOM_UPDATE").is_some() && !fixture("format-1-rows-3-otp.redb").exists() {
        let texts = make_with_factor(&copy).await;
        std::fs::copy(&copy, fixture("format-1-rows-3-otp.redb")).unwrap();
        std::fs::write(&codes, texts.join("\n") + "\n").unwrap();
    }
    std::fs::copy(fixture("format-1-rows-3-otp.redb"), &copy).unwrap();
    let texts = std::fs::read_to_string(codes).unwrap();
    let (shared, codes) = texts.split_once('\n').unwrap();
    let later = Timestamp::from_millis(START + 60_000);
    let (vault, at) = (opened(&copy).await, context(later));
    let login = async |code: &str| {
        let code = (!code.is_empty()).then(|| secret(code));
        vault.login_with_code(&at, OWNER, secret(PASSWORD), code).await.map(drop)
    };
    assert!(matches!(login("").await, Err(Error::OtpRequired)));
    assert!(matches!(
        login(&otp::code(shared, Timestamp::from_millis(START))).await,
        Err(Error::WrongLoginCode)
    ));
    assert!(login(&otp::code(shared, later)).await.is_ok());
    for code in codes.lines() {
        assert!(login(code).await.is_ok(), "{code}");
        assert!(matches!(login(code).await, Err(Error::WrongLoginCode)), "again: {code}");
    }
}
