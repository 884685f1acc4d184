//! The audit log over HTTP: what a listing shows, and that every receipt and leaf hash can be worked out again.

use base64::{Engine, engine::general_purpose::STANDARD};
use sealroom::crypto::digest::sha256;
use serde_json::Value;

use crate::support::server::TestServer;

const CREDENTIALS: &str = "/sfp/api/integrations/credentials";
const GLOBAL: &str = r#""isGlobal":true"#;

async fn events(t: &TestServer, query: &str) -> Vec<Value> {
    let reply = t.send("GET", &format!("/sfp/api/audit{query}"), &t.owner, "").await;
    assert_eq!(reply.status, 200, "{query}: {}", reply.body);
    reply.json().as_array().unwrap().clone()
}

async fn token_id(t: &TestServer) -> String {
    let tokens = t.send("GET", "/sfp/api/application-tokens", &t.owner, "").await.json();
    tokens[0]["id"].as_str().unwrap().to_owned()
}

/// RFC 6962 §2.1: SHA-256(0x00 ‖ record).
fn leaf_hash(record: &str) -> [u8; 32] {
    sha256(&[b"\0", record.as_bytes()].concat())
}

/// The newest event of a listing of one, as the bytes on disk, and the hash that the listing shows.
async fn newest(t: &TestServer, query: &str) -> (String, String) {
    let body = t.send("GET", &format!("/sfp/api/audit{query}&limit=1"), &t.owner, "").await.body;
    let event = body.strip_prefix('[').unwrap().strip_suffix("\"}]").unwrap();
    let (record, hash) = event.split_once(r#","leafHash":""#).unwrap();
    (format!("{record}}}"), hash.to_owned())
}

#[tokio::test]
async fn an_event_without_its_hash_is_the_record_that_was_hashed() {
    let t = TestServer::start().await;
    let id = t.github("ghp_example", GLOBAL).await;
    let read = t.send("GET", CREDENTIALS, &t.app, "").await;
    let (record, hash) = newest(&t, "?action=credentials.read").await;
    assert_eq!(STANDARD.encode(leaf_hash(&record)), hash);
    let event: Value = serde_json::from_str(&record).unwrap();
    assert_eq!(read.header("audit-receipt").unwrap(), format!("{}:{hash}", event["sequence"]));
    assert_eq!(event["actor"], format!("app:{}", token_id(&t).await));
    assert_eq!(event["requestId"].as_str().map(str::to_owned), read.header("x-request-id"));
    assert_eq!((&event["peer"], &event["revision"]), (&"127.0.0.1".into(), &1.into()));
    assert!(record.starts_with(r#"{"v":1,"sequence":"#) && event["integrationId"] == id.as_str());
}

#[tokio::test]
async fn a_receipt_names_one_event_a_credential_in_the_order_of_the_answer() {
    let t = TestServer::start().await;
    for count in [16_usize, 17] {
        while t.send("GET", "/sfp/api/integrations", &t.owner, "").await.json().as_array().unwrap().len()
            < count
        {
            t.github("ghp_example", GLOBAL).await;
        }
        let read = t.send("GET", CREDENTIALS, &t.app, "").await;
        let mut disclosed = events(&t, &format!("?action=credentials.read&limit={count}")).await;
        disclosed.reverse();
        let ids: Vec<_> =
            read.json().as_array().unwrap().iter().map(|one| one["integration_id"].clone()).collect();
        assert_eq!(ids, disclosed.iter().map(|event| event["integrationId"].clone()).collect::<Vec<_>>());
        let one = |event: &Value| format!("{}:{}", event["sequence"], event["leafHash"].as_str().unwrap());
        let expected = if count == 16 {
            disclosed.iter().map(one).collect::<Vec<_>>().join(",")
        } else {
            let hash = |event: &Value| STANDARD.decode(event["leafHash"].as_str().unwrap()).unwrap();
            let all = sha256(&disclosed.iter().flat_map(hash).collect::<Vec<u8>>());
            format!("{}-{}:{}", disclosed[0]["sequence"], disclosed[16]["sequence"], STANDARD.encode(all))
        };
        assert_eq!(read.header("audit-receipt"), Some(expected));
    }
}

#[tokio::test]
async fn each_filter_of_the_listing_holds_for_every_event_that_it_shows() {
    let t = TestServer::start().await;
    t.project("acme/app").await;
    let id = t.github("ghp_example", r#""projects":["acme/app"]"#).await;
    t.send("GET", &format!("{CREDENTIALS}?project=acme/app"), &t.app, "").await;
    t.send("GET", &format!("{CREDENTIALS}?provider=jira"), &t.app, "").await;
    t.send("GET", "/sfp/api/integrations", &t.app, "").await;
    let app = format!("app:{}", token_id(&t).await);
    for (query, field, value, count) in [
        (format!("actor={app}"), "actor", &*app, 3),
        ("action=credentials.read".to_owned(), "action", "credentials.read", 2),
        (format!("integration={id}"), "integrationId", &id, 2),
        ("project=acme%2Fapp".to_owned(), "project", "acme/app", 2),
        ("outcome=denied".to_owned(), "outcome", "denied", 1),
        ("outcome=failed".to_owned(), "outcome", "failed", 1),
    ] {
        let found = events(&t, &format!("?{query}")).await;
        assert_eq!(found.len(), count, "{query}: {found:?}");
        assert!(found.iter().all(|event| event[field] == value), "{query}: {found:?}");
    }
    let both = events(&t, &format!("?actor={app}&outcome=allowed&integration={id}")).await;
    assert_eq!(both.len(), 1);
    for query in [
        "outcome=maybe",
        "action=credentials.eat",
        "actor=root",
        "limit=1001",
        "cursor=x",
        "colour=red",
        "from=",
    ] {
        assert_eq!(
            t.send("GET", &format!("/sfp/api/audit?{query}"), &t.owner, "").await.status,
            400,
            "{query}"
        );
    }
}

#[tokio::test]
async fn from_is_included_and_to_is_not() {
    let t = TestServer::start().await;
    let at = t.clock.now().plus(sealroom::domain::seconds(60));
    t.clock.set(at);
    t.github("ghp_example", GLOBAL).await;
    t.clock.set(at.plus(sealroom::domain::seconds(60)));
    let create = "action=integration.create";
    assert_eq!(events(&t, &format!("?{create}&from={at}")).await.len(), 1);
    assert_eq!(events(&t, &format!("?{create}&to={at}")).await.len(), 0);
    let later = t.clock.now();
    assert_eq!(events(&t, &format!("?{create}&from={at}&to={later}")).await.len(), 1);
    assert_eq!(events(&t, &format!("?{create}&from={later}")).await.len(), 0);
}

#[tokio::test]
async fn a_cursor_walks_the_log_without_a_gap_to_its_first_event() {
    let t = TestServer::start().await;
    for _ in 0..7 {
        t.github("ghp_example", GLOBAL).await;
    }
    let (mut cursor, mut sequences) = (String::new(), Vec::new());
    loop {
        let page = t.send("GET", &format!("/sfp/api/audit?limit=3{cursor}"), &t.owner, "").await;
        sequences
            .extend(page.json().as_array().unwrap().iter().map(|event| event["sequence"].as_u64().unwrap()));
        let Some(next) = page.header("x-next-cursor") else { break };
        cursor = format!("&cursor={next}");
    }
    let newest = sequences[0];
    assert!(newest > 7);
    assert_eq!(sequences, (0..=newest).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_refusal_is_on_record_under_its_caller_and_an_invalid_token_leaves_none() {
    let t = TestServer::start().await;
    let count = async || events(&t, "?limit=1").await[0]["sequence"].as_u64().unwrap();
    let before = count().await;
    for bearer in ["", "nonsense"] {
        assert_eq!(t.send("GET", CREDENTIALS, bearer, "").await.status, 401);
    }
    let wrong = r#"{"email":"owner@example.com","password":"password-wrong-1"}"#;
    assert_eq!(t.send("POST", "/sfp/api/auth/login", "", wrong).await.status, 401);
    assert_eq!(t.send("POST", "/sfp/api/integrations", &t.owner, "{").await.status, 400);
    assert_eq!(count().await, before + 1, "only the listing itself");
    assert_eq!(t.send("POST", "/sfp/api/projects", &t.member, "{").await.status, 403);
    let denied = &events(&t, "?outcome=denied").await[0];
    assert_eq!(
        (&denied["actor"], &denied["action"]),
        (&"user:member@example.com".into(), &"project.create".into())
    );
}

#[tokio::test]
async fn a_last_access_stays_known_once_it_is_written_to_its_table() {
    let t = TestServer::start().await;
    t.github("ghp_example", r#""isGlobal":true"#).await;
    let list = async || t.send("GET", "/sfp/api/integrations", &t.owner, "").await.json()[0].clone();
    assert!(list().await["lastAccessedAt"].is_null());
    t.send("GET", "/sfp/api/integrations/credentials", &t.app, "").await;
    let known = list().await["lastAccessedAt"].clone();
    assert!(known.is_string());
    // A second later the accesses go to their table with the next commit, and are kept in memory no longer.
    t.clock.set(t.clock.now().plus(sealroom::domain::seconds(2)));
    for _ in 0..3 {
        assert_eq!(list().await["lastAccessedAt"], known);
    }
}

#[tokio::test]
async fn trying_out_project_names_is_on_record_and_a_proof_out_of_range_is_not() {
    let t = TestServer::start().await;
    let read = "/sfp/api/integrations/credentials?project=acme/secret";
    assert_eq!(t.send("GET", read, &t.app, "").await.status, 404);
    let path = "/sfp/api/audit?action=credentials.read&limit=1";
    let event = t.send("GET", path, &t.owner, "").await.json()[0].clone();
    assert_eq!((event["outcome"].as_str(), event["project"].as_str()), (Some("failed"), Some("acme/secret")));
    let newest = async || {
        let log = t.send("GET", "/sfp/api/audit?limit=1", &t.owner, "").await.json();
        log[0]["sequence"].as_u64().unwrap()
    };
    let before = newest().await;
    let proof = "/sfp/api/audit/proof?sequence=0&size=99999";
    assert_eq!(t.send("GET", proof, &t.owner, "").await.status, 400);
    assert_eq!(newest().await, before + 1);
}
