//! A token's roll: a successor with the same rights and no more, and an end for the token before.

use sealroom::domain::{AccessScope, Role, Timestamp, days, minutes, seconds};
use serde_json::{Value, json};

use crate::support::server::{OWNER, Reply, START, TestServer};

const CREDENTIALS: &str = "/sfp/api/integrations/credentials";
const TOKENS: &str = "/sfp/api/application-tokens";

async fn make(t: &TestServer, body: &Value) -> (String, String) {
    let made = t.send("POST", TOKENS, &t.owner, &body.to_string()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let made = made.json();
    (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned())
}

async fn roll(t: &TestServer, id: &str, overlap_secs: u64) -> Reply {
    let body = json!({ "overlapSeconds": overlap_secs }).to_string();
    t.send("POST", &format!("{TOKENS}/{id}/roll"), &t.owner, &body).await
}

/// Rolls a token; returns the successor's id and text.
async fn rolled(t: &TestServer, id: &str, overlap_secs: u64) -> (String, String) {
    let reply = roll(t, id, overlap_secs).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    let made = reply.json();
    (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned())
}

async fn code(t: &TestServer, id: &str) -> (u16, Value) {
    let reply = roll(t, id, 60).await;
    (reply.status, reply.json()["code"].clone())
}

async fn listed(t: &TestServer, id: &str) -> Value {
    let all = t.send("GET", TOKENS, &t.owner, "").await.json();
    all.as_array().unwrap().iter().find(|one| one["id"] == id).unwrap().clone()
}

async fn reads(t: &TestServer, bearer: &str) -> u16 {
    t.send("GET", CREDENTIALS, bearer, "").await.status
}

async fn later(t: &mut TestServer, time: std::time::Duration) {
    t.clock.set(t.clock.now().plus(time));
    t.owner = t.login(OWNER).await;
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_successor_has_the_rights_and_the_lifetime_of_its_token_whose_end_only_comes_nearer() {
    let mut t = TestServer::start().await;
    for project in ["acme/app", "acme/web"] {
        t.project(project).await;
    }
    let id = t.github("ghp_example", r#""projects":["acme/app"]"#).await;
    for body in [
        json!({ "name": "plain" }),
        json!({ "name": "narrow", "expiresIn": 90, "projects": ["acme/app"], "providers": ["github"] }),
        json!({ "name": "single", "integrations": [id] }),
        json!({ "name": "auditor", "role": "auditor", "expiresIn": 1 }),
        json!({ "name": "operator", "role": "operator", "projects": ["acme/web"] }),
    ] {
        let (old, text) = make(&t, &body).await;
        let before = listed(&t, &old).await;
        later(&mut t, minutes(10)).await;
        let (new, successor) = rolled(&t, &old, 3_600).await;
        let (after, next) = (listed(&t, &old).await, listed(&t, &new).await);
        for key in ["name", "role", "projects", "providers", "integrations"] {
            assert_eq!(next[key], before[key], "{key} {body}");
        }
        let lifetime = |one: &Value| time(&one["expiresAt"]).since(time(&one["createdAt"]));
        assert_eq!(lifetime(&next), lifetime(&before), "{body}");
        assert_eq!((&next["rolls"], &after["rolledTo"]), (&json!(old), &json!(new)));
        assert_eq!(time(&after["expiresAt"]), t.clock.now().plus(minutes(60)), "{body}");
        if body["role"].is_null() {
            assert_eq!((reads(&t, &text).await, reads(&t, &successor).await), (200, 200), "{body}");
        }
        later(&mut t, minutes(60)).await;
        let ended = t.send("GET", CREDENTIALS, &text, "").await;
        assert_eq!((ended.status, &ended.json()["code"]), (401, &json!("token_expired")), "{body}");
        let is_in = t.send("GET", CREDENTIALS, &successor, "").await.status;
        assert_eq!(is_in, if body["role"].is_null() { 200 } else { 403 }, "{body}");
    }
    // The overlap never gives a token more time than it had.
    let (old, _) = make(&t, &json!({ "name": "short", "expiresIn": 1 })).await;
    let end = listed(&t, &old).await["expiresAt"].clone();
    later(&mut t, minutes(23 * 60)).await;
    rolled(&t, &old, 30 * 86_400).await;
    assert_eq!(listed(&t, &old).await["expiresAt"], end);
}

#[tokio::test]
async fn a_roll_is_one_change_with_both_of_its_events() {
    let t = TestServer::start().await;
    let (old, _) = make(&t, &json!({ "name": "ci" })).await;
    let (new, _) = rolled(&t, &old, 60).await;
    let events = t.send("GET", "/sfp/api/audit?limit=3", &t.owner, "").await.json();
    let (update, create) = (&events[1], &events[2]);
    assert_eq!((&create["action"], &update["action"]), (&json!("token.create"), &json!("token.update")));
    assert_eq!(create["sequence"].as_u64().unwrap() + 1, update["sequence"].as_u64().unwrap());
    assert_eq!(create["requestId"], update["requestId"]);
    assert_eq!((&create["detail"]["id"], &create["detail"]["rolls"]), (&json!(new), &json!(old)));
    assert_eq!((&update["detail"]["id"], &update["detail"]["rolledTo"]), (&json!(old), &json!(new)));
    let end = t.clock.now().plus(seconds(60)).to_string();
    assert_eq!(update["detail"]["expiresAt"], json!(end));
}

#[tokio::test]
async fn no_overlap_ends_the_token_at_once() {
    let t = TestServer::start().await;
    t.github("ghp_example", r#""isGlobal":true"#).await;
    let (old, text) = make(&t, &json!({ "name": "leaked" })).await;
    assert_eq!(reads(&t, &text).await, 200);
    let (_, successor) = rolled(&t, &old, 0).await;
    assert_eq!((reads(&t, &text).await, reads(&t, &successor).await), (401, 200));
}

/// The list said nothing about who still used the old token: one revoked it, and a forgotten pipeline stopped.
#[tokio::test]
async fn the_list_shows_when_the_first_reader_moved_and_that_another_has_not() {
    let mut t = TestServer::start().await;
    t.github("ghp_example", r#""isGlobal":true"#).await;
    let (old, text) = make(&t, &json!({ "name": "ci" })).await;
    let (new, successor) = rolled(&t, &old, 3_600).await;
    assert_eq!(listed(&t, &new).await["firstUsedAt"], Value::Null);
    // A request that leaves no event is no use, for either.
    assert_eq!(t.send("GET", "/sfp/api/projects", &successor, "").await.status, 200);
    assert_eq!(t.send("GET", "/sfp/api/users", &successor, "").await.status, 403);
    assert_eq!(listed(&t, &new).await["firstUsedAt"], Value::Null, "a refusal is no use");
    later(&mut t, minutes(1)).await;
    let first = t.clock.now().to_string();
    assert_eq!(reads(&t, &successor).await, 200);
    assert_eq!(listed(&t, &new).await["firstUsedAt"], json!(first));
    later(&mut t, minutes(1)).await;
    for _ in 0..3 {
        assert_eq!(reads(&t, &successor).await, 200);
    }
    assert_eq!(listed(&t, &new).await["firstUsedAt"], json!(first), "only the first use is the first");
    assert_eq!(reads(&t, &text).await, 200);
    let before = listed(&t, &old).await;
    assert!(time(&before["lastUsedAt"]) > first.parse().unwrap(), "{before}");
    assert_eq!(before["firstUsedAt"], Value::Null, "a token that succeeds none has no first use");
}

/// Many readers move at the same moment, and their reads share commits.
#[tokio::test]
async fn the_first_of_many_uses_at_once_is_written_once() {
    let t = std::sync::Arc::new(TestServer::start().await);
    t.github("ghp_example", r#""isGlobal":true"#).await;
    let (old, _) = make(&t, &json!({ "name": "ci" })).await;
    let (new, successor) = rolled(&t, &old, 3_600).await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (t, successor) = (std::sync::Arc::clone(&t), successor.clone());
        running.spawn(async move { reads(&t, &successor).await });
    }
    while let Some(status) = running.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    assert_eq!(listed(&t, &new).await["firstUsedAt"], json!(t.clock.now().to_string()));
    let events =
        t.send("GET", "/sfp/api/audit?action=credentials.read&limit=1000", &t.owner, "").await.json();
    assert_eq!(events.as_array().unwrap().len(), 32);
}

/// A token's row may still name a project that was registered anew: only times told that it is another one.
#[tokio::test]
async fn a_roll_revives_nothing_that_the_token_lost() {
    let mut t = TestServer::start().await;
    for project in ["acme/app", "acme/web"] {
        t.project(project).await;
    }
    let body = json!({ "name": "ci", "projects": ["acme/app", "acme/web"] });
    let (old, _) = make(&t, &body).await;
    later(&mut t, minutes(1)).await;
    assert_eq!(t.send("DELETE", "/sfp/api/projects/acme%2Fapp", &t.owner, "").await.status, 200);
    t.project("acme/app").await;
    t.github("ghp_example_canary", r#""projects":["acme/app"]"#).await;
    later(&mut t, minutes(1)).await;
    let (new, successor) = rolled(&t, &old, 3_600).await;
    assert_eq!(listed(&t, &new).await["projects"], json!(["acme/web"]));
    let read = t.send("GET", &format!("{CREDENTIALS}?project=acme/app"), &successor, "").await;
    assert_eq!(read.status, 403, "{}", read.body);
}

#[tokio::test]
async fn a_token_that_ended_or_has_an_active_successor_gets_no_other() {
    let mut t = TestServer::start().await;
    let unknown = "01a21198-0ea8-7d5a-987c-6ee7878c59a0";
    assert_eq!(code(&t, unknown).await, (404, json!("token_not_found")));
    assert_eq!(code(&t, "ci").await.0, 400);
    let (revoked, text) = make(&t, &json!({ "name": "revoked" })).await;
    assert_eq!(t.send("DELETE", &format!("{TOKENS}/{revoked}"), &t.owner, "").await.status, 200);
    assert_eq!(code(&t, &revoked).await, (409, json!("token_ended")));
    assert_eq!(code(&t, &text).await, (409, json!("token_ended")), "by its text");
    let (old, _) = make(&t, &json!({ "name": "ci", "expiresIn": 90 })).await;
    let (first, _) = rolled(&t, &old, 3_600).await;
    assert_eq!(code(&t, &old).await, (409, json!("token_rolled")));
    // Its text was lost: it is revoked, and the token rolled again, for as long as it still lives.
    assert_eq!(t.send("DELETE", &format!("{TOKENS}/{first}"), &t.owner, "").await.status, 200);
    let end = listed(&t, &old).await["expiresAt"].clone();
    let (second, _) = rolled(&t, &old, 30 * 86_400).await;
    assert_eq!(listed(&t, &old).await["expiresAt"], end);
    let second = listed(&t, &second).await;
    assert_eq!(time(&second["expiresAt"]).since(time(&second["createdAt"])), days(90));
    later(&mut t, days(1)).await;
    assert_eq!(code(&t, &old).await, (409, json!("token_ended")));
    // A chain: each successor may be rolled in its turn.
    let (third, _) = rolled(&t, second["id"].as_str().unwrap(), 60).await;
    let (_, fourth) = rolled(&t, &third, 60).await;
    assert_eq!(t.send("GET", "/sfp/api/projects", &fourth, "").await.status, 200);
}

/// A second roll of the first token would have left two successors, the later one with the life of an overlap.
#[tokio::test]
async fn no_chain_of_rolls_gives_a_token_two_active_successors_or_a_shorter_life() {
    let mut t = TestServer::start().await;
    let (first, _) = make(&t, &json!({ "name": "ci", "expiresIn": 90 })).await;
    let mut last = first.clone();
    for overlap_secs in [3_600, 0, 0, 0] {
        (last, _) = rolled(&t, &last, overlap_secs).await;
        assert_eq!(code(&t, &first).await, (409, json!("token_rolled")), "{overlap_secs}");
    }
    assert_eq!(t.send("DELETE", &format!("{TOKENS}/{last}"), &t.owner, "").await.status, 200);
    later(&mut t, minutes(1)).await;
    let (new, _) = rolled(&t, &first, 60).await;
    let new = listed(&t, &new).await;
    let lifetime = time(&new["expiresAt"]).since(time(&new["createdAt"]));
    assert_eq!(lifetime, days(90), "as long as the token was made for");
}

#[tokio::test]
async fn only_an_owner_rolls_and_nothing_changes_for_anybody_else() {
    let t = TestServer::start().await;
    let (old, text) = make(&t, &json!({ "name": "ci" })).await;
    let auditor = t.token(Role::Auditor, AccessScope::default()).await;
    let operator = t.token(Role::Operator, AccessScope::default()).await;
    for bearer in [&t.member, &text, &auditor, &operator] {
        let reply = t.send("POST", &format!("{TOKENS}/{old}/roll"), bearer, "{}").await;
        assert_eq!(reply.status, 403, "{}", reply.body);
        assert!(!reply.body.contains("sfp_app_"), "{}", reply.body);
    }
    assert_eq!(listed(&t, &old).await["rolledTo"], Value::Null);
    assert!(t.clock.now() == Timestamp::from_millis(START));
}
