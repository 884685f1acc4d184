//! A clock that is wrong, while it runs and between runs: nothing that had ended lives again, nothing is dead for good.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use redb::backends::InMemoryBackend;
use sealroom::{
    disk::NewFile,
    domain::{AccessScope, Role, Timestamp},
    http::Limits,
    vault::{InitPlan, Vault},
};
use serde_json::{Value, json};

use crate::support::{
    binary::{PASSPHRASE as BINARY_PASSPHRASE, Serving, sealroom, secret_file, stderr},
    server::{OWNER, PASSWORD, START, TestServer, opened_file, plan, secret, settings},
};

const CREDENTIALS: &str = "/sfp/api/integrations/credentials";
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
/// 2106-01-01T00:00:00Z.
const AHEAD: u64 = 4_291_747_200_000;

async fn status(t: &TestServer, bearer: &str) -> u16 {
    t.send("GET", CREDENTIALS, bearer, "").await.status
}

/// A login as a client does it: both tokens.
async fn log_in(t: &TestServer) -> (String, String) {
    let body = json!({ "email": OWNER, "password": PASSWORD }).to_string();
    let json = t.send("POST", "/sfp/api/auth/login", "", &body).await.json();
    let text = |name: &str| json[name].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

async fn refresh(t: &TestServer, token: &str) -> u16 {
    let body = json!({ "refresh_token": token }).to_string();
    t.send("POST", "/sfp/api/auth/refresh", "", &body).await.status
}

/// Tokens and sessions that had ended before any clock was wrong.
struct Ended {
    bearers: Vec<String>,
    refresh_tokens: Vec<String>,
}

impl Ended {
    async fn make(t: &TestServer) -> Self {
        // Later than every other token, so that it is the first of the list.
        t.clock.set(Timestamp::from_millis(START + 1));
        let revoked = t.token(Role::Application, AccessScope::default()).await;
        let id = t.send("GET", "/sfp/api/application-tokens", &t.owner, "").await.json()[0]["id"].clone();
        let path = format!("/sfp/api/application-tokens/{}", id.as_str().unwrap());
        assert_eq!(t.send("DELETE", &path, &t.owner, "").await.status, 200);
        let gone = t.user("gone@example.com", Role::Member, AccessScope::default()).await;
        assert_eq!(t.send("DELETE", "/sfp/api/users/gone@example.com", &t.owner, "").await.status, 200);
        let disabled = t.user("off@example.com", Role::Member, AccessScope::default()).await;
        t.change_user("off@example.com", r#"{"disabled":true}"#).await;
        let (out, renewed) = log_in(t).await;
        assert_eq!(t.send("POST", "/sfp/api/auth/logout", &out, "").await.status, 204);
        Self { bearers: vec![revoked, gone, disabled, out], refresh_tokens: vec![renewed] }
    }

    async fn stays(&self, t: &TestServer, when: u64) {
        for bearer in &self.bearers {
            assert_eq!(status(t, bearer).await, 401, "at {when} something that had ended lives again");
        }
        for token in &self.refresh_tokens {
            assert_eq!(refresh(t, token).await, 401, "at {when} a session that had ended is renewed");
        }
    }
}

/// The whole log, oldest first.
async fn log(t: &TestServer, owner: &str) -> Vec<Value> {
    let mut all = t.send("GET", "/sfp/api/audit?limit=1000", owner, "").await.json();
    let all = all.as_array_mut().unwrap();
    all.reverse();
    std::mem::take(all)
}

/// Sequences are in order, ids are there once, and a filter by time shows what it says.
async fn log_holds(t: &TestServer, ids: &BTreeSet<String>) {
    let (owner, _) = log_in(t).await;
    let all = log(t, &owner).await;
    for (n, event) in all.iter().enumerate() {
        assert_eq!(event["sequence"], n);
    }
    let created = all.iter().filter(|event| event["action"] == "integration.create").count();
    assert_eq!(created, ids.len(), "an id was given twice");
    let time = |millis: u64| Timestamp::from_millis(millis).to_string();
    for (from, to) in [(0, HOUR), (START - DAY, START + DAY), (START, START + HOUR), (AHEAD, AHEAD + DAY)] {
        let (from, to) = (time(from), time(to));
        let within = |event: &&Value| (from.as_str()..to.as_str()).contains(&event["time"].as_str().unwrap());
        let expected: Vec<u64> =
            all.iter().filter(within).map(|event| event["sequence"].as_u64().unwrap()).collect();
        let path = format!("/sfp/api/audit?limit=1000&from={from}&to={to}");
        let shown = t.send("GET", &path, &owner, "").await.json();
        let shown: Vec<u64> =
            shown.as_array().unwrap().iter().rev().map(|one| one["sequence"].as_u64().unwrap()).collect();
        // Records of later queries are newer than the list.
        let shown: Vec<u64> = shown.into_iter().filter(|sequence| *sequence < all.len() as u64).collect();
        assert_eq!(shown, expected, "from {from} to {to}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_while_it_runs_revives_nothing_and_kills_nothing_for_good() {
    let t = TestServer::start().await;
    let ended = Ended::make(&t).await;
    let (access, _) = log_in(&t).await;
    let mut ids = BTreeSet::new();
    let mut ahead = None;
    for when in [START, START - HOUR, 0, START + 60_000, AHEAD, START + 120_000] {
        t.clock.set(Timestamp::from_millis(when));
        ended.stays(&t, when).await;
        let (owner, renewed) = log_in(&t).await;
        for n in 0..5 {
            let body = format!(
                r#"{{"provider":"npm","authType":"pat","credentials":{{"token":"{when}-{n}"}},"isGlobal":true}}"#
            );
            let made = t.send("POST", "/sfp/api/integrations", &owner, &body).await;
            assert_eq!(made.status, 201, "{}", made.body);
            ids.insert(made.json()["id"].as_str().unwrap().to_owned());
        }
        assert_eq!(status(&t, &t.app).await, if when == AHEAD { 401 } else { 200 }, "at {when}");
        if when == START + 60_000 {
            assert_eq!(status(&t, &access).await, 200, "a session that had not ended is not dead");
        }
        if when == AHEAD {
            assert_eq!(refresh(&t, &renewed).await, 200);
            let wrong = json!({ "email": "member@example.com", "password": "a-wrong-password" }).to_string();
            for _ in 0..6 {
                t.send("POST", "/sfp/api/auth/login", "", &wrong).await;
            }
            ahead = Some((owner, renewed));
        }
    }
    let (owner, renewed) = ahead.unwrap();
    assert_eq!(status(&t, &owner).await, 401, "a session of 2106 does not live for eighty years");
    assert_eq!(refresh(&t, &renewed).await, 401, "nor is it renewed");
    t.clock.set(Timestamp::from_millis(START + 8 * 60_000));
    t.login("member@example.com").await;
    log_holds(&t, &ids).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_wrong_between_runs_revives_nothing_and_kills_nothing_for_good() {
    let disk = Arc::new(InMemoryBackend::new());
    Vault::create(disk.clone(), 1 << 20, &plan()).unwrap();
    let start = async || {
        let vault = Vault::open(disk.clone(), settings()).unwrap();
        TestServer::over(vault, Limits::STANDARD, "127.0.0.1:0", false).await
    };
    let first = start().await;
    let (ended, app) = (Ended::make(&first).await, first.app.clone());
    let mut t = first;
    for when in [START - HOUR, 0, AHEAD, START + DAY] {
        let stop = sealroom::domain::Event::new(
            t.clock.now(),
            sealroom::domain::Actor::host("test"),
            sealroom::domain::Action::ServerStop,
        );
        t.vault.lock(stop).await.map_err(drop).unwrap();
        drop(t);
        let vault = Arc::new(Vault::open(disk.clone(), settings()).unwrap());
        let now = Timestamp::from_millis(when);
        let unlocked =
            vault.unlock(secret(crate::support::server::PASSPHRASE), plan().actor, now, None).await;
        unlocked.unwrap();
        t = TestServer::serving(vault, now).await;
        ended.stays(&t, when).await;
        assert_eq!(status(&t, &app).await, if when == AHEAD { 401 } else { 404 }, "at {when}");
        t.owner = t.login(OWNER).await;
        t.project(&format!("acme/p{when}")).await;
    }
    log_holds(&t, &BTreeSet::new()).await;
    let projects = t.send("GET", "/sfp/api/projects", &t.owner, "").await.json();
    assert_eq!(projects.as_array().unwrap().len(), 4);
}

/// A vault whose newest event lies so far ahead of the clock.
fn ahead(millis: u64) -> (tempfile::TempDir, Timestamp) {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
    let newest = Timestamp::from_millis(now + millis);
    secret_file(folder.path(), "pass", BINARY_PASSPHRASE, 0o600);
    let data = folder.path().join("v.redb");
    let new = NewFile::begin(&data).unwrap();
    let passphrase = secret(BINARY_PASSPHRASE.trim_end());
    Vault::create(new.medium(), 1 << 20, &InitPlan { now: newest, passphrase, ..plan() }).unwrap();
    drop(new.publish().unwrap());
    (folder, newest)
}

const SERVE: &[&str] = &["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", "127.0.0.1:0"];

/// The newest time in a file that nobody serves.
fn newest(folder: &std::path::Path) -> Timestamp {
    let file = opened_file(&folder.join("v.redb"));
    let vault = Vault::open(file.medium(), settings()).unwrap();
    vault.newest_time().unwrap().unwrap()
}

#[test]
fn a_clock_far_behind_stops_the_start_until_somebody_says_that_it_is_right() {
    let (folder, newest_of_old) = ahead(HOUR);
    let refused = sealroom(folder.path(), SERVE);
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(said.contains("error: the clock says") && said.contains("--accept-clock"), "{said}");
    let recover = ["recover", "owner", "--data", "v.redb", "--passphrase-file", "pass"];
    let refused = sealroom(folder.path(), &recover);
    assert!(!refused.status.success() && stderr(&refused).contains("error: the clock says"));
    assert_eq!(newest(folder.path()), newest_of_old, "and nothing was written");
    let (other, _) = ahead(HOUR);
    let accepted = sealroom(other.path(), &[&recover[..], &["--accept-clock"]].concat());
    assert!(accepted.status.success(), "{}", stderr(&accepted));
    let file = std::fs::read(other.path().join("v.redb")).unwrap();
    let file = String::from_utf8_lossy(&file);
    let record = &file[file.find(r#""action":"vault.recover""#).unwrap()..][..300];
    assert!(record.contains(r#""clockAccepted":true"#), "an accepted clock is on record: {record}");
    let mut serving = Serving::start(folder.path(), &[SERVE, &["--accept-clock"]].concat());
    assert!(serving.health().contains("200 OK"));
    assert!(serving.stop());
    assert!(newest(folder.path()) < newest_of_old);
    let mut serving = Serving::start(folder.path(), SERVE);
    assert!(serving.health().contains("200 OK"), "said once, it is settled");
    assert!(serving.stop());
}

#[test]
fn a_clock_a_little_behind_goes_on_from_the_newest_event() {
    let (folder, newest_of_old) = ahead(2 * 60_000);
    let mut serving = Serving::start(folder.path(), SERVE);
    assert!(serving.stop());
    assert!(newest(folder.path()) >= newest_of_old, "what ended in those two minutes would live again");
}
