//! The archive: old events leave the file, and the log stays one log.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

use sealroom::{
    domain::{Action, Actor, Event, Timestamp, seconds},
    http::Limits,
    vault::{Error, Vault},
};
use serde_json::Value;

use crate::{
    lab::kills::request,
    support::{
        binary::{Serving, sealroom, secret_file, stderr, vault},
        memory_disk::{image, shared},
        server::{PASSPHRASE, Reply, START, TestServer, plan, settings},
    },
};

const READ: &str = "/sfp/api/integrations/credentials";

/// A server with a credential and more than `count` events, the last of them a minute after the others.
async fn with_events(count: usize) -> (TestServer, String) {
    let t = TestServer::start().await;
    let id = t.github("ghp_example_canary", r#""isGlobal":true"#).await;
    for _ in 0..count {
        assert_eq!(t.send("GET", READ, &t.app, "").await.status, 200);
    }
    t.clock.set(t.clock.now().plus(seconds(60)));
    (t, id)
}

async fn get(t: &TestServer, path: &str) -> Reply {
    t.send("GET", &format!("/sfp/api{path}"), &t.owner, "").await
}

async fn archive(t: &TestServer) -> Result<std::ops::Range<u64>, Error> {
    let records = t.vault.plan_archive(t.clock.now())?.unwrap();
    let header = t.vault.archive_header(&records).unwrap();
    assert_eq!((header.first, header.end), (records.start, records.end));
    t.vault.archive(records.clone(), Actor::host("test"), t.clock.now()).await?;
    Ok(records)
}

#[tokio::test]
async fn archived_events_are_a_410_and_what_the_file_keeps_is_still_proven() {
    let (t, id) = with_events(600).await;
    let before = get(&t, "/audit/checkpoint").await.body;
    let size = |note: &str| note.lines().nth(1).unwrap().parse::<u64>().unwrap();
    let (small, kept) = (size(&before), get(&t, &format!("/integrations/{id}")).await.json());
    assert_eq!(archive(&t).await.unwrap(), 0..512);
    for path in ["/audit/export", "/audit/export?fromSequence=511", "/audit/export?format=csv"] {
        let gone = get(&t, path).await;
        assert_eq!(gone.json()["code"], "archived");
        assert_eq!(
            (gone.status, &*gone.json()["message"].to_string()),
            (410, "\"archived: sequences 0 to 511\"")
        );
    }
    let held = get(&t, "/audit/export?fromSequence=512").await;
    assert!(held.status == 200 && held.body.starts_with(r#"{"v":1,"sequence":512,"#));
    let event = get(&t, "/audit?action=audit.archive").await.json();
    let newest = Timestamp::from_millis(START).to_string();
    let detail = serde_json::json!({ "firstSequence": 0, "lastSequence": 511, "newestTime": newest });
    assert_eq!(event[0]["detail"], detail);
    let listed = get(&t, "/audit?limit=1000").await.json();
    assert_eq!(listed.as_array().unwrap().last().unwrap()["sequence"], 512);
    // Stored subtrees prove what needs no single archived record.
    for (proof, status) in [
        (format!("/audit/proof?from=256&to={small}"), 200),
        (format!("/audit/proof?from=512&to={small}"), 200),
        (format!("/audit/proof?from=600&to={small}"), 200),
        (format!("/audit/proof?sequence=520&size={small}"), 200),
        (format!("/audit/proof?from=300&to={small}"), 410),
        (format!("/audit/proof?sequence=300&size={small}"), 410),
        ("/audit/proof?sequence=100&size=256".to_owned(), 410),
    ] {
        assert_eq!(get(&t, &proof).await.status, status, "{proof}");
    }
    let accessed = get(&t, &format!("/integrations/{id}")).await.json();
    assert_eq!(accessed["lastAccessedAt"], kept["lastAccessedAt"], "the log no longer says it");
}

/// Both kinds of unlock: over a log of any size, and at a multiple of 256, where a large subtree is hashed again.
#[tokio::test]
async fn an_archived_log_opens_again_and_grows_and_is_archived_again() {
    use crate::support::server::secret;
    let (t, _) = with_events(300).await;
    assert_eq!(archive(&t).await.unwrap(), 0..256);
    let host = || Actor::host("test");
    for round in 0..3 {
        t.vault.lock(Event::new(t.clock.now(), host(), Action::VaultLock)).await.map_err(drop).unwrap();
        t.vault.unlock(secret(PASSPHRASE), host(), t.clock.now(), None).await.unwrap();
        let size = get(&t, "/audit/checkpoint").await.body.lines().nth(1).unwrap().parse::<u64>().unwrap();
        // The lock is the last event: the log ends at a multiple of 256.
        for _ in 0..(255 - size % 256) {
            assert_eq!(t.send("GET", READ, &t.app, "").await.status, 200, "round {round}");
        }
    }
    t.clock.set(t.clock.now().plus(seconds(60)));
    let second = archive(&t).await.unwrap();
    assert!(second.start == 256 && second.end > 512, "{second:?}");
    assert!(matches!(archive_again(&t, second).await, Err(Error::Archived { .. })), "once, and not twice");
    assert_eq!(get(&t, "/audit/export").await.status, 410);
}

async fn archive_again(t: &TestServer, records: std::ops::Range<u64>) -> Result<(), Error> {
    t.vault.archive(records, Actor::host("test"), t.clock.now()).await
}

const SERVE: &[&str] =
    &["serve", "--json", "--data", "v.redb", "--listen", "127.0.0.1:0", "--passphrase-file", "pass"];
const ARCHIVE: &[&str] = &[
    "audit",
    "archive",
    "--json",
    "--before",
    "2100-01-01",
    "--data",
    "v.redb",
    "--passphrase-file",
    "pass",
];

fn done(folder: &Path, args: &[&str]) -> Value {
    let output = sealroom(folder, args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(folder: &Path, args: &[&str], message: &str) {
    let output = sealroom(folder, args);
    assert!(!output.status.success() && stderr(&output).contains(message), "{args:?}: {}", stderr(&output));
}

fn grow(server: &Serving, password: &str, count: usize) -> String {
    let body = serde_json::json!({ "email": "ada@example.com", "password": password }).to_string();
    let login = request(server.address(), "POST", "/sfp/api/auth/login", "", &body).unwrap().2;
    let bearer = login["access_token"].as_str().unwrap().to_owned();
    for _ in 0..count {
        let read = request(server.address(), "GET", "/sfp/api/audit?limit=1", &bearer, "").unwrap();
        assert_eq!(read.0, 200);
    }
    bearer
}

#[test]
fn an_archive_and_the_file_it_came_from_are_both_verified_and_no_part_of_either_can_be_changed() {
    let folder = vault();
    let folder = folder.path();
    let password = fs::read_to_string(folder.join("owner")).unwrap();
    assert_eq!(done(folder, &[ARCHIVE, &["--to", "none"]].concat())["archived"], Value::Null);
    assert!(!folder.join("none").exists(), "nothing to archive leaves no file");
    let mut server = Serving::start(folder, SERVE);
    grow(&server, password.trim(), 600);
    // The running server archives, and tells its log.
    let first = done(folder, &[ARCHIVE, &["--to", "first.archive"]].concat());
    assert_eq!(first["archived"]["first"], 0);
    refused(folder, &[ARCHIVE, &["--to", "first.archive"]].concat(), "already exists");
    assert_eq!(done(folder, &["audit", "verify", "--json", "v.redb"])["first"], 512);
    grow(&server, password.trim(), 300);
    assert!(server.stop());
    // Without a server the passphrase does.
    let second = done(folder, &[ARCHIVE, &["--to", "second.archive"]].concat());
    assert_eq!((&second["archived"]["first"], &second["archived"]["last"]), (&512.into(), &767.into()));
    for (file, start, count) in [("first.archive", 0, 512), ("second.archive", 512, 256)] {
        let good = done(folder, &["audit", "verify", "--json", file]);
        assert_eq!((&good["first"], &good["count"]), (&start.into(), &count.into()), "{file}");
    }
    assert_eq!(done(folder, &["audit", "verify", "--json", "v.redb"])["first"], 768);
    let mut server = Serving::start(folder, SERVE);
    assert!(server.stop(), "it serves on");
    // Any line changed, cut, doubled or swapped, and any header of another archive.
    let text = fs::read_to_string(folder.join("second.archive")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let other = fs::read_to_string(folder.join("first.archive")).unwrap();
    let write = |lines: Vec<&str>| fs::write(folder.join("bad"), lines.join("\n") + "\n").unwrap();
    let verify: &[&str] = &["audit", "verify", "bad"];
    let changed = lines[100].replace("audit.read", "audit.rEad");
    write([&lines[..100], &[changed.as_str()], &lines[101..]].concat());
    refused(folder, verify, "changed");
    let forged = lines[100].replace("allowed", "denied");
    write([&lines[..100], &[forged.as_str()], &lines[101..]].concat());
    refused(folder, verify, "do not make the signed root");
    write(lines[..200].to_vec());
    refused(folder, verify, "the archive has the records up to 767");
    write([&lines[..100], &lines[101..]].concat());
    refused(folder, verify, "is missing");
    write([&[other.lines().next().unwrap()], &lines[1..]].concat());
    refused(folder, verify, "record 0 is missing");
    write([&["{\"archive\":1}"], &lines[1..]].concat());
    refused(folder, verify, "not the header of an archive");
}

/// Old records that somebody deleted from a stopped file have no event that accounts for them.
#[test]
fn records_cannot_be_cut_from_the_beginning_of_a_log_as_if_they_were_archived() {
    use redb::{Database, TableDefinition};
    let folder = vault();
    let folder = folder.path();
    let password = fs::read_to_string(folder.join("owner")).unwrap();
    let mut server = Serving::start(folder, SERVE);
    grow(&server, password.trim(), 600);
    assert!(server.stop());
    for (cut, message) in
        [(256_u64, "no audit.archive event accounts"), (512, "no audit.archive event"), (3, "missing")]
    {
        fs::copy(folder.join("v.redb"), folder.join("cut.redb")).unwrap();
        let database = Database::create(folder.join("cut.redb")).unwrap();
        let txn = database.begin_write().unwrap();
        txn.open_table(TableDefinition::<u64, &[u8]>::new("audit"))
            .unwrap()
            .retain_in(..cut, |_, _| false)
            .unwrap();
        txn.commit().unwrap();
        drop(database);
        refused(folder, &["audit", "verify", "cut.redb"], message);
        let serve = ["serve", "--data", "cut.redb", "--listen", "127.0.0.1:0", "--passphrase-file", "pass"];
        refused(folder, &serve, "damaged or tampered with");
    }
}

/// A server that starts locked looks at its log once it is unlocked, and then every hour.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_archives_old_events_by_itself_and_keeps_the_others() {
    let (_, empty) = shared(&[]);
    Vault::create(empty.clone(), 1 << 20, &plan()).unwrap();
    let (medium, over) = shared(&image(&empty.0));
    let t = TestServer::over(Vault::open(over, settings()).unwrap(), Limits::STANDARD, "127.0.0.1:0", false)
        .await;
    t.github("ghp_example_canary", r#""isGlobal":true"#).await;
    for _ in 0..300 {
        assert_eq!(t.send("GET", READ, &t.app, "").await.status, 200);
    }
    let event = Event::new(t.clock.now(), Actor::host("test"), Action::VaultLock);
    t.vault.lock(event).await.map_err(drop).unwrap();
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    fs::write(folder.join("v.redb"), image(&medium)).unwrap();
    secret_file(folder, "pass", PASSPHRASE, 0o600);
    fs::set_permissions(folder.join("v.redb"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(folder.join("old")).unwrap();

    // The events are of a fixed day in the past; those of this start are not a day old.
    let locked = &SERVE[..SERVE.len() - 2];
    let archiving = [locked, &["--archive-folder", "old", "--archive-keep-days", "1"]].concat();
    let mut server = Serving::start(folder, &archiving);
    let unlocked = sealroom(folder, &["unlock", "--data", "v.redb", "--passphrase-file", "pass"]);
    assert!(unlocked.status.success(), "{}", stderr(&unlocked));
    let archives = || -> Vec<_> {
        let names = fs::read_dir(folder.join("old")).unwrap().map(|entry| entry.unwrap().path());
        names.filter(|path| path.extension().is_some_and(|extension| extension == "archive")).collect()
    };
    let begun = Instant::now();
    // The archive is there before its events leave the vault.
    let gone = || {
        let verified = sealroom(folder, &["audit", "verify", "--json", "v.redb"]);
        let told: serde_json::Value = serde_json::from_slice(&verified.stdout).unwrap_or_default();
        told["first"] == 256 && !archives().is_empty()
    };
    while !gone() {
        assert!(begun.elapsed() < Duration::from_mins(2), "nothing is archived");
        std::thread::yield_now();
    }
    assert!(server.stop());
    let found = archives();
    assert_eq!(found.len(), 1);
    for (file, first) in [(found[0].to_str().unwrap(), 0), ("v.redb", 256)] {
        let verified = done(folder, &["audit", "verify", "--json", file]);
        assert_eq!(verified["first"], first, "{file}: {verified}");
    }
}
