//! A user leaves: nothing that the user holds or created lets anybody in.

use sealroom::domain::{AccessScope, Role};
use serde_json::{Value, json};

use crate::support::server::{OWNER, PASSWORD, Reply, TestServer};

const TOKENS: &str = "/sfp/api/application-tokens";
const EVE: &str = "eve@example.com";

async fn leave(t: &TestServer, email: &str, by: &str, body: &str) -> Reply {
    t.send("POST", &format!("/sfp/api/users/{email}/leave"), by, body).await
}

async fn token(t: &TestServer, by: &str, name: &str) -> (String, String) {
    let made = t.send("POST", TOKENS, by, &json!({ "name": name }).to_string()).await.json();
    (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned())
}

async fn lets_in(t: &TestServer, bearer: &str) -> bool {
    t.send("GET", "/sfp/api/projects", bearer, "").await.status == 200
}

fn names(list: &Value) -> Vec<&str> {
    let mut names: Vec<&str> =
        list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_user_who_left_has_nothing_that_lets_anybody_in() {
    let t = TestServer::start().await;
    let eve = t.user(EVE, Role::Owner, AccessScope::default()).await;
    let desk = t.login(EVE).await;
    let body = json!({ "email": EVE, "password": PASSWORD }).to_string();
    let refresh = t.send("POST", "/sfp/api/auth/login", "", &body).await.json()["refresh_token"].clone();
    let (_, first) = token(&t, &eve, "first").await;
    let (second_id, second) = token(&t, &eve, "second").await;
    let (_, third) = token(&t, &eve, "third").await;
    let (_, of_owner) = token(&t, &t.owner, "other").await;
    // Revoked before: not revoked again. Rolled by an owner who stays: the successor is that owner's.
    let gone = token(&t, &eve, "gone").await;
    assert_eq!(t.send("DELETE", &format!("{TOKENS}/{}", gone.0), &t.owner, "").await.status, 200);
    let roll = t.send("POST", &format!("{TOKENS}/{second_id}/roll"), &t.owner, "{}").await.json();
    let successor = roll["token"].as_str().unwrap();
    let left = leave(&t, EVE, &t.owner, "{}").await;
    assert_eq!(left.status, 200, "{}", left.body);
    let left = left.json();
    assert_eq!(left["user"]["disabled"], true);
    assert_eq!(names(&left["revokedTokens"]), ["first", "second", "third"]);
    assert_eq!(left["keptTokens"], json!([]));
    for bearer in [&eve, &desk, &first, &second, &third] {
        assert!(!lets_in(&t, bearer).await);
    }
    for bearer in [&of_owner, successor, &t.owner, &t.member, &t.app] {
        assert!(lets_in(&t, bearer).await);
    }
    assert_eq!(t.send("POST", "/sfp/api/auth/login", "", &body).await.status, 401);
    let body = json!({ "refresh_token": refresh }).to_string();
    assert_eq!(t.send("POST", "/sfp/api/auth/refresh", "", &body).await.status, 401);
}

#[tokio::test]
async fn a_leave_is_one_change_with_an_event_for_each_part() {
    let t = TestServer::start().await;
    let eve = t.user(EVE, Role::Owner, AccessScope::default()).await;
    for name in ["one", "two"] {
        token(&t, &eve, name).await;
    }
    assert_eq!(leave(&t, EVE, &t.owner, "{}").await.status, 200);
    let events = t.send("GET", "/sfp/api/audit?limit=4", &t.owner, "").await.json();
    let events = &events.as_array().unwrap()[1..];
    let actions: Vec<&str> = events.iter().rev().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["user.update", "token.revoke", "token.revoke"]);
    for event in events {
        assert_eq!(event["detail"]["reason"], "leave", "{event}");
        assert_eq!(event["requestId"], events[0]["requestId"], "{event}");
        assert_eq!(event["actor"], json!(format!("user:{OWNER}")), "{event}");
    }
    assert_eq!(events[2]["detail"]["disabled"], true);
}

#[tokio::test]
async fn kept_tokens_stay_and_are_named() {
    let t = TestServer::start().await;
    let eve = t.user(EVE, Role::Owner, AccessScope::default()).await;
    let (_, text) = token(&t, &eve, "deploy").await;
    let left = leave(&t, EVE, &t.owner, r#"{"keepTokens":true}"#).await.json();
    assert_eq!((names(&left["keptTokens"]), &left["revokedTokens"]), (vec!["deploy"], &json!([])));
    assert!(lets_in(&t, &text).await && !lets_in(&t, &eve).await);
    // Decided otherwise later: the user is disabled already, and leaves again.
    let left = leave(&t, EVE, &t.owner, "{}").await.json();
    assert_eq!(names(&left["revokedTokens"]), ["deploy"]);
    assert!(!lets_in(&t, &text).await);
    // Let in again, with a session of its own; what was revoked stays so.
    t.change_user(EVE, r#"{"disabled":false}"#).await;
    assert!(lets_in(&t, &t.login(EVE).await).await && !lets_in(&t, &text).await && !lets_in(&t, &eve).await);
}

#[tokio::test]
async fn nobody_leaves_by_a_request_of_their_own_and_the_last_owner_never() {
    let t = TestServer::start().await;
    let code = async |email: &str, by: &str, body: &str| {
        let reply = leave(&t, email, by, body).await;
        (reply.status, reply.json()["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(code(OWNER, &t.owner, "{}").await, (409, "last_owner".to_owned()));
    let eve = t.user(EVE, Role::Owner, AccessScope::default()).await;
    for body in ["{}", r#"{"keepTokens":true}"#] {
        assert_eq!(code(OWNER, &t.owner, body).await, (409, "own_leave".to_owned()));
    }
    assert_eq!(code("Nobody@example.com", &t.owner, "{}").await, (404, "user_not_found".to_owned()));
    assert_eq!(code("member@example.com", &t.member, "{}").await.0, 403);
    assert_eq!(code(EVE, &t.app, "{}").await.0, 403);
    assert_eq!(code(EVE, &t.owner, r#"{"keepToken":true}"#).await.0, 400);
    assert_eq!(code(EVE, &t.owner, "[]").await.0, 400);
    assert_eq!(code("member@example.com", &eve, "{}").await.0, 200);
    // The other owner is disabled: the one that is left stays.
    t.change_user(EVE, r#"{"disabled":true}"#).await;
    assert_eq!(code(OWNER, &t.owner, "{}").await, (409, "last_owner".to_owned()));
    assert!(lets_in(&t, &t.owner).await);
}
