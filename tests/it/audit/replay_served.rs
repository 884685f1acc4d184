//! The examination of a vault that is being served: no request, however odd, makes it raise a false alarm.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use sealroom::{
    domain::{AccessScope, Action, Actor, Event, Role, days},
    storage::{Check, Status, Surroundings},
};
use serde_json::json;

use crate::support::server::{OWNER, PASSWORD, TestServer, secret};

fn examine(server: &TestServer) -> Vec<Check> {
    let around = Surroundings { now: server.clock.now(), memory_bytes: Some(1 << 30) };
    server.vault.examine_served(around, &|_| true).unwrap()
}

fn assert_well(server: &TestServer, after: &str) {
    let failed: Vec<Check> =
        examine(server).into_iter().filter(|check| check.status == Status::Failed).collect();
    assert!(failed.is_empty(), "{after}: {failed:?}");
}

fn named<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    checks.iter().find(|check| check.name == name).unwrap()
}

async fn ask(server: &TestServer, method: &str, path: &str, body: &serde_json::Value) -> serde_json::Value {
    let reply = server.send(method, path, &server.owner, &body.to_string()).await;
    assert!(reply.status < 300, "{method} {path}: {} {}", reply.status, reply.body);
    if reply.body.is_empty() { json!(null) } else { reply.json() }
}

#[tokio::test]
async fn long_names_and_lists_and_every_change_of_a_user_or_token_are_explained() {
    let mut server = TestServer::start().await;
    let projects: Vec<String> = (0..12).map(|n| format!("acme/{n}{}", "x".repeat(150))).collect();
    for project in &projects {
        server.project(project).await;
    }
    let long = format!("{}@{}.example.com", "a".repeat(60), "b".repeat(60));
    for body in [
        json!({ "email": long, "role": "owner", "password": PASSWORD }),
        json!({ "email": "bob@example.com", "role": "member", "password": PASSWORD, "projects": projects }),
    ] {
        ask(&server, "POST", "/sfp/api/users", &body).await;
        assert_well(&server, "a user was made");
    }
    for change in [
        r#"{"projects":["acme/none"]}"#.replace("acme/none", &projects[0]),
        r#"{"projects":null}"#.to_owned(),
        r#"{"role":"owner","firstName":"Bob","lastName":"B"}"#.to_owned(),
        r#"{"disabled":true}"#.to_owned(),
        r#"{"disabled":false,"role":"member","password":"another-password-example"}"#.to_owned(),
    ] {
        server.change_user("bob@example.com", &change).await;
        assert_well(&server, &change);
    }
    ask(&server, "DELETE", "/sfp/api/users/bob@example.com", &json!(null)).await;
    server.clock.set(server.clock.now().plus(days(1)));
    server.owner = server.login(OWNER).await;
    ask(&server, "POST", "/sfp/api/users", &json!({ "email": "bob@example.com", "role": "owner" })).await;
    assert_well(&server, "a user of the same address came back");
    let event = Event::new(server.clock.now(), Actor::host("test"), Action::VaultRecover);
    server.vault.recover_owner(OWNER.parse().unwrap(), secret(PASSWORD), event).await.unwrap();
    server.owner = server.login(OWNER).await;
    assert_well(&server, "an owner was recovered");

    let name = "\"\\".repeat(40);
    let token =
        json!({ "name": name, "expiresIn": 5, "projects": projects, "providers": ["github", "npm", "jira"] });
    let made = ask(&server, "POST", "/sfp/api/application-tokens", &token).await;
    // The longest record of a token is that of the longest name: what does not fit is a hash.
    server.owner = server.login(&long).await;
    ask(&server, "POST", "/sfp/api/application-tokens", &token).await;
    assert_well(&server, "long tokens were made");
    let id = made["id"].as_str().unwrap();
    for _ in 0..2 {
        ask(&server, "DELETE", &format!("/sfp/api/application-tokens/{id}"), &json!(null)).await;
        assert_well(&server, "a token was revoked, and again");
    }
}

#[tokio::test]
async fn integrations_and_reads_of_every_kind_are_explained() {
    let server = TestServer::start().await;
    for project in ["acme/app", "acme/lib"] {
        server.project(project).await;
    }
    let scopes =
        [r#""isGlobal":true"#, r#""projects":["acme/app"]"#, r#""projects":["acme/app","acme/lib"]"#];
    for scope in scopes {
        let id = server.github("ghp_example", scope).await;
        let path = format!("/sfp/api/integrations/{id}");
        for n in 2..9 {
            let body = json!({ "credentials": { "token": format!("ghp_example_{n}") } });
            ask(&server, "PUT", &format!("{path}/credentials"), &body).await;
        }
        ask(&server, "POST", &format!("{path}/rollback"), &json!({ "revision": 5 })).await;
        for change in
            [json!({ "projects": ["acme/lib"] }), json!({ "isGlobal": true }), json!({ "name": "x" })]
        {
            ask(&server, "PATCH", &path, &change).await;
            assert_well(&server, &change.to_string());
        }
        let read = "/sfp/api/integrations/credentials?provider=github";
        for bearer in [&server.app, &server.owner, &server.member] {
            server.send("GET", read, bearer, "").await;
            server.clock.set(server.clock.now().plus(days(0)));
        }
        assert_well(&server, "credentials were read");
        if scope.contains("lib") {
            ask(&server, "DELETE", &path, &json!(null)).await;
        }
    }
    // A refused deletion changes nothing, and neither does a request without a token.
    assert_eq!(server.send("DELETE", "/sfp/api/projects/acme%2Fapp", &server.app, "").await.status, 403);
    assert_eq!(server.send("GET", "/sfp/api/projects", "", "").await.status, 401);
    assert_well(&server, "requests were refused");
}

#[tokio::test]
async fn tokens_nobody_used_and_credentials_past_their_end_are_named_and_a_late_clock_is_seen() {
    let server = TestServer::start().await;
    server.project("acme/app").await;
    let scope = AccessScope { projects: Some(vec!["acme/app".parse().unwrap()]), ..AccessScope::default() };
    server.token(Role::Application, scope).await;
    let end = server.clock.now().plus(days(2));
    let body = json!({ "provider": "github", "authType": "pat", "credentials": { "token": "ghp_example" },
                       "isGlobal": true, "expiresAt": end.to_string() });
    ask(&server, "POST", "/sfp/api/integrations", &body).await;
    let long = json!({ "name": "nightly", "expiresIn": 365 });
    ask(&server, "POST", "/sfp/api/application-tokens", &long).await;
    let now = |days_on| Surroundings { now: server.clock.now().plus(days(days_on)), memory_bytes: None };
    let checks = server.vault.examine_served(now(1), &|_| true).unwrap();
    assert_eq!((named(&checks, "tokens").status, named(&checks, "expiry").status), (Status::Ok, Status::Ok));
    let checks = server.vault.examine_served(now(91), &|_| true).unwrap();
    assert!(named(&checks, "tokens").message.contains("(nightly): last used"), "{checks:?}");
    assert!(named(&checks, "expiry").message.contains("(github): ended"), "{checks:?}");
    let earlier = Surroundings { now: server.clock.now().minus(days(1)), memory_bytes: Some(1 << 10) };
    let checks = server.vault.examine_served(earlier, &|_| true).unwrap();
    assert_eq!(named(&checks, "clock").status, Status::Warning);
    assert!(
        named(&checks, "kdf").detail.iter().any(|line| line.contains("this machine grants")),
        "{checks:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_examination_under_writes_is_no_false_alarm_and_a_lock_ends_it() {
    let server = Arc::new(TestServer::start().await);
    let ends = Arc::new(AtomicBool::new(false));
    let (writer, end) = (Arc::clone(&server), Arc::clone(&ends));
    let writing = tokio::spawn(async move {
        let mut count = 0;
        while !end.load(Ordering::Acquire) {
            let id = writer.github("ghp_example", r#""isGlobal":true"#).await;
            let path = format!("/sfp/api/integrations/{id}");
            assert_eq!(writer.send("DELETE", &path, &writer.owner, "").await.status, 200);
            count += 1;
        }
        count
    });
    for _ in 0..20 {
        let server = Arc::clone(&server);
        tokio::task::spawn_blocking(move || assert_well(&server, "during writes")).await.unwrap();
    }
    ends.store(true, Ordering::Release);
    assert!(writing.await.unwrap() > 0);

    let waited = Arc::clone(&server);
    let examining = tokio::task::spawn_blocking(move || {
        let around = Surroundings { now: waited.clock.now(), memory_bytes: None };
        let until_locked = |_| {
            while !waited.vault.is_locked() {
                std::thread::yield_now();
            }
            true
        };
        waited.vault.examine_served(around, &until_locked)
    });
    let event = Event::new(server.clock.now(), Actor::host("test"), Action::VaultLock);
    server.vault.lock(event).await.map_err(drop).unwrap();
    // It began before the lock and ended without a report, or after it and without the key.
    if let Some(checks) = examining.await.unwrap() {
        assert_eq!(named(&checks, "passphrase").status, Status::Skipped);
    }
}
