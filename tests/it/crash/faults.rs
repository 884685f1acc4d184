//! A disk that fails, stalls or rots under a running server: what its clients see, and that it recovers by itself.

use std::{sync::atomic::Ordering, time::Duration};

use sealroom::vault::Settings;
use serde_json::json;

use crate::support::{
    failing_disk::{CREDENTIALS, Disk, Mood, server},
    memory_disk::{backend, image},
    server::{Client, TestServer, settings},
};

/// The bytes of a row in the file: its key leads to them.
pub fn sealed(disk: &Disk, table: &str, key: &[u8]) -> Vec<u8> {
    use redb::{Database, ReadableDatabase, TableDefinition};
    let copy = backend(&image(&disk.inner));
    let database = Database::builder().create_with_backend(copy).unwrap();
    let txn = database.begin_read().unwrap();
    let table = txn.open_table(TableDefinition::<&[u8], &[u8]>::new(table)).unwrap();
    table.range(key..).unwrap().next().unwrap().unwrap().1.value().to_vec()
}

async fn last(t: &TestServer, action: &str) -> serde_json::Value {
    let path = format!("/sfp/api/audit?action={action}&limit=1");
    t.send("GET", &path, &t.owner, "").await.json()[0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_that_rots_under_a_running_server_is_a_500_on_record_and_nothing_else_suffers() {
    // No page is cached, so that each read sees the disk.
    let (disk, t) = server(Settings { cache_bytes: 0, ..settings() }).await;
    let id = t.github("ghp_example_canary", r#""isGlobal":true"#).await;
    let key = id.parse::<sealroom::domain::IntegrationId>().unwrap();
    disk.is(Mood::Rotten(sealed(&disk, "credentials", key.as_bytes())));
    let reply = t.send("GET", CREDENTIALS, &t.app, "").await;
    assert_eq!((reply.status, &reply.json()["code"]), (500, &json!("tampered")));
    assert!(!reply.body.contains("canary") && !reply.body.contains(&id), "{}", reply.body);
    let event = last(&t, "credentials.read").await;
    assert_eq!((&event["outcome"], &event["integrationId"]), (&json!("failed"), &json!(null)));
    assert!(event["actor"].as_str().unwrap().starts_with("app:"));
    assert_eq!(
        t.send("GET", "/sfp/api/integrations", &t.owner, "").await.status,
        200,
        "metadata still opens"
    );
    assert_eq!(t.send("GET", "/health", "", "").await.status, 200);
    disk.is(Mood::Fine);
    assert_eq!(t.send("GET", CREDENTIALS, &t.app, "").await.status, 200);
}

#[tokio::test]
async fn a_row_that_rots_is_on_record_also_where_nothing_else_is_recorded() {
    let (disk, t) = server(Settings { cache_bytes: 0, ..settings() }).await;
    t.project("acme/app").await;
    disk.is(Mood::Rotten(sealed(&disk, "projects", b"")));
    for path in ["/sfp/api/projects", "/sfp/api/projects/acme%2Fapp"] {
        let reply = t.send("GET", path, &t.app, "").await;
        assert_eq!((reply.status, &reply.json()["code"]), (500, &json!("tampered")), "{path}");
    }
    let denied = t.send("GET", "/sfp/api/audit?action=request.denied&limit=5", &t.owner, "").await.json();
    assert_eq!(denied.as_array().unwrap().len(), 2, "{denied}");
    assert!(denied[0]["actor"].as_str().unwrap().starts_with("app:"), "{denied}");
}

#[tokio::test]
async fn a_callers_row_that_rots_lets_nobody_in_and_is_on_record() {
    let (disk, t) = server(Settings { cache_bytes: 0, ..settings() }).await;
    t.github("ghp_example_canary", r#""isGlobal":true"#).await;
    let digest = sealroom::crypto::digest::sha256(t.app.as_bytes());
    disk.is(Mood::Rotten(sealed(&disk, "tokens", &digest)));
    let reply = t.send("GET", CREDENTIALS, &t.app, "").await;
    assert_eq!((reply.status, &reply.json()["code"]), (500, &json!("tampered")));
    let event = last(&t, "request.denied").await;
    assert_eq!((&event["outcome"], &event["actor"]), (&json!("failed"), &json!("host:test")));
    assert_eq!(t.send("GET", CREDENTIALS, &t.owner, "").await.status, 200, "others go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_disk_is_a_503_at_once_and_the_server_recovers_by_itself() {
    let (disk, t) = server(settings()).await;
    t.github("ghp_example_canary", r#""isGlobal":true"#).await;
    disk.is(Mood::Failing);
    for (method, path, body) in [
        ("GET", CREDENTIALS, ""),
        ("POST", "/sfp/api/projects", r#"{"identifier":"a/b","remoteUrl":"https://github.com/a/b"}"#),
        ("DELETE", "/sfp/api/application-tokens/01a21198-0ea8-7d5a-987c-6ee7878c59a0", ""),
    ] {
        let reply = t.send(method, path, &t.owner, body).await;
        let expected = (503, "audit_unavailable");
        assert_eq!((reply.status, reply.json()["code"].as_str().unwrap()), expected, "{method} {path}");
        assert!(!reply.body.contains("canary"));
    }
    let health = t.send("GET", "/health", "", "").await;
    assert_eq!((health.status, &health.json()["audit"]), (503, &json!("unavailable")));
    for bearer in [&t.owner, &t.app] {
        assert_eq!(t.send("GET", "/sfp/api/projects", bearer, "").await.status, 200, "not audited");
    }
    disk.is(Mood::Fine);
    // Nobody asks for anything that is recorded, and still it tries again, within a second or so.
    let mut healthy = false;
    for _ in 0..300 {
        healthy = t.send("GET", "/health", "", "").await.status == 200;
        if healthy {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(healthy);
    assert_eq!(t.send("GET", CREDENTIALS, &t.app, "").await.status, 200);
    assert_eq!(
        t.send("GET", "/sfp/api/projects", &t.owner, "").await.body,
        "[]",
        "the refused project is not there"
    );
}

#[tokio::test]
async fn a_login_that_the_disk_refuses_is_nobodys_wrong_password() {
    let (disk, t) = server(settings()).await;
    let right =
        json!({ "email": crate::support::server::OWNER, "password": crate::support::server::PASSWORD })
            .to_string();
    let login = async || t.send("POST", "/sfp/api/auth/login", "", &right).await;
    disk.is(Mood::Failing);
    for _ in 0..7 {
        let reply = login().await;
        assert_eq!((reply.status, &reply.json()["code"]), (503, &json!("audit_unavailable")));
    }
    disk.is(Mood::Fine);
    let mut status = 0;
    for _ in 0..300 {
        status = login().await.status;
        if status != 503 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(status, 200, "and not 429: what the disk refused was no wrong password");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_panics_in_a_commit_takes_nothing_with_it() {
    let (disk, t) = server(settings()).await;
    t.github("ghp_example_canary", r#""isGlobal":true"#).await;
    for _ in 0..3 {
        let before = last(&t, "credentials.read").await;
        disk.is(Mood::Breaking);
        let reply = t.send("GET", CREDENTIALS, &t.app, "").await;
        assert_eq!((reply.status, &reply.json()["code"]), (503, &json!("audit_unavailable")));
        assert!(!reply.body.contains("canary"));
        assert_eq!(t.send("GET", CREDENTIALS, &t.app, "").await.status, 200, "the next one");
        let after = last(&t, "credentials.read").await;
        assert!(after["sequence"].as_u64() > before["sequence"].as_u64());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_disk_fills_a_bounded_queue_and_hangs_nothing_that_needs_no_commit() {
    let (disk, t) = server(Settings { queue_max: 4, ..settings() }).await;
    t.github("ghp_example", r#""isGlobal":true"#).await;
    disk.is(Mood::Stalled);
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..30 {
        let (address, app) = (t.address.clone(), t.app.clone());
        readers.spawn(async move {
            Client::connect(&address)
                .await
                .send("GET", CREDENTIALS, &app, "")
                .await
                .map(|reply| (reply.status, reply.json().get("code").cloned(), reply.header("retry-after")))
        });
    }
    // Those beyond the queue are answered while the disk stands still.
    let mut refused = 0;
    while refused < 10 {
        let Some((status, code, retry)) = readers.join_next().await.unwrap().unwrap() else { continue };
        assert_eq!((status, code), (503, Some(json!("overloaded"))));
        assert!(retry.is_some());
        refused += 1;
    }
    assert_eq!(t.send("GET", "/sfp/api/ping", "", "").await.body, "pong");
    assert_eq!(t.send("GET", "/sfp/api/projects", &t.app, "").await.status, 200, "not audited");
    disk.is(Mood::Fine);
    while let Some(done) = readers.join_next().await {
        let (status, ..) = done.unwrap().unwrap();
        assert!(matches!(status, 200 | 503));
    }
    assert_eq!(t.send("GET", CREDENTIALS, &t.app, "").await.status, 200);
}

#[tokio::test]
async fn a_device_that_blocks_is_told_to_everybody_and_hangs_nobody() {
    let commit_timeout = Duration::from_millis(300);
    let (disk, t) = server(Settings { commit_timeout, ..settings() }).await;
    t.github("ghp_example_canary", r#""isGlobal":true"#).await;
    let read = async || t.send("GET", CREDENTIALS, &t.app, "").await;
    disk.is(Mood::Stalled);
    let (one, other) = tokio::join!(read(), read());
    for reply in [one, other] {
        assert_eq!((reply.status, &reply.json()["code"]), (503, &json!("audit_unavailable")));
        assert!(!reply.body.contains("canary"));
    }
    let health = t.send("GET", "/health", "", "").await;
    assert_eq!((health.status, &health.json()["audit"]), (503, &json!("unavailable")));
    assert_eq!(read().await.json()["code"], "audit_unavailable", "at once, while it lasts");
    assert_eq!(t.send("GET", "/sfp/api/projects", &t.app, "").await.status, 200, "not audited");
    disk.is(Mood::Fine);
    let mut status = 0;
    for _ in 0..300 {
        status = read().await.status;
        if status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_thread_that_serves_requests_ever_waits_for_the_disk() {
    let (disk, t) = server(settings()).await;
    t.github("ghp_example", r#""isGlobal":true"#).await;
    let elsewhere = || disk.moods.elsewhere.load(Ordering::Relaxed);
    let before = elsewhere();
    let mut client = Client::connect(&t.address).await;
    for round in 0..60 {
        let is_stalled = round % 20 == 19;
        disk.is(if is_stalled { Mood::Stalled } else { Mood::Fine });
        let (mut lone, app) = (client, t.app.clone());
        let read = tokio::spawn(async move {
            assert_eq!(lone.send("GET", CREDENTIALS, &app, "").await.unwrap().status, 200);
            lone
        });
        if is_stalled {
            while t.vault.gauges(t.clock.now()).open.unwrap().waiting == 0 {
                tokio::task::yield_now().await;
            }
            assert_eq!(t.send("GET", "/sfp/api/ping", "", "").await.body, "pong");
            assert_eq!(t.send("GET", "/sfp/api/projects", &t.app, "").await.status, 200, "not audited");
            disk.is(Mood::Fine);
        }
        client = read.await.unwrap();
    }
    assert_eq!(elsewhere(), before, "syncs off the commit thread");
}

#[tokio::test]
async fn more_matches_than_an_answer_may_hold_are_refused_and_pages_hold_them_all() {
    let providers: Vec<_> =
        "github jira gitlab jfrog npm datadog newrelic splunk ai_openai ai_google".split(' ').collect();
    let t = TestServer::start().await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..20 {
        let (address, owner, providers) = (t.address.clone(), t.owner.clone(), providers.clone());
        writers.spawn(async move {
            let mut client = Client::connect(&address).await;
            for n in 0..51 {
                let provider = providers[n % providers.len()];
                let body = format!(
                    r#"{{"provider":"{provider}","authType":"pat","credentials":{{"token":"t{writer}-{n}"}},"isGlobal":true}}"#
                );
                assert_eq!(client.send("POST", "/sfp/api/integrations", &owner, &body).await.unwrap().status, 201);
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    let reply = t.send("GET", CREDENTIALS, &t.app, "").await;
    assert_eq!((reply.status, &reply.json()["code"]), (400, &json!("too_many_matches")));
    let (mut cursor, mut seen) = (String::new(), std::collections::BTreeSet::new());
    loop {
        let page = t.send("GET", &format!("{CREDENTIALS}?limit=400{cursor}"), &t.app, "").await;
        assert_eq!(page.status, 200);
        let receipts = page.header("audit-receipt").unwrap();
        assert!(receipts.contains('-') && !receipts.contains(','), "one receipt for them all: {receipts}");
        for item in page.json().as_array().unwrap() {
            assert!(seen.insert(item["integration_id"].as_str().unwrap().to_owned()), "twice");
        }
        let Some(next) = page.header("x-next-cursor") else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen.len(), 20 * 51);
}
