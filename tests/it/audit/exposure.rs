//! The exposure as a server answers it: over every route that discloses or stores, and as one rotates.

use sealroom::domain::{AccessScope, Role, minutes};
use serde_json::{Value, json};

use super::exposure_by_another_hand::{Asked, by_records, exposure};
use crate::support::server::TestServer;

const EXPOSURE: &str = "/sfp/api/audit/exposure";
const CREDENTIALS: &str = "/sfp/api/integrations/credentials";
const GLOBAL: &str = r#""isGlobal":true"#;
const MEMBER: &str = "user:member@example.com";

async fn ask(t: &TestServer, query: &str) -> Value {
    let reply = t.send("GET", &format!("{EXPOSURE}?{query}"), &t.owner, "").await;
    assert_eq!(reply.status, 200, "{query}: {}", reply.body);
    reply.json()
}

/// The live values of an actor: integration and revision.
async fn live(t: &TestServer, actor: &str) -> Vec<(String, u64)> {
    let answer = ask(t, &format!("actor={actor}")).await;
    let line =
        |one: &Value| (one["integrationId"].as_str().unwrap().to_owned(), one["revision"].as_u64().unwrap());
    answer["live"].as_array().unwrap().iter().map(line).collect()
}

async fn rotate(t: &TestServer, id: &str, bearer: &str) {
    let path = format!("/sfp/api/integrations/{id}/credentials");
    let reply = t.send("PUT", &path, bearer, r#"{"credentials":{"token":"ghp_example_new"}}"#).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
}

async fn roll_back(t: &TestServer, id: &str, revision: u64) {
    let path = format!("/sfp/api/integrations/{id}/rollback");
    let reply = t.send("POST", &path, &t.owner, &format!(r#"{{"revision":{revision}}}"#)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
}

async fn log(t: &TestServer) -> Vec<Value> {
    let export = t.send("GET", "/sfp/api/audit/export", &t.owner, "").await.body;
    export.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A read on any route counts: by project, as one of all, as a page, as a kept revision, as a repository's token.
#[tokio::test]
async fn no_way_to_read_a_value_stays_off_the_list() {
    let t = TestServer::start().await;
    t.project("acme/app").await;
    let id = t.github("ghp_example", r#""projects":["acme/app"]"#).await;
    let reader = t.user("reader@example.com", Role::Owner, AccessScope::default()).await;
    let actor = "user:reader@example.com";
    assert_eq!(live(&t, actor).await, []);
    let revisions = format!("/sfp/api/integrations/{id}/revisions");
    let token = "/sfp/api/repository/auth-token?repositoryIdentifier=acme%2Fapp";
    let (project, page) = (format!("{CREDENTIALS}?project=acme/app"), format!("{CREDENTIALS}?limit=1"));
    for (count, path) in [&*project, CREDENTIALS, &page, &revisions, token].into_iter().enumerate() {
        assert_eq!(t.send("GET", path, &reader, "").await.status, 200, "{path}");
        let line = ask(&t, &format!("actor={actor}")).await["live"][0].clone();
        assert_eq!(line["received"]["count"], count as u64 + 1, "{path}");
        assert_eq!((&line["received"]["peers"], &line["stored"]), (&json!(["127.0.0.1"]), &Value::Null));
        assert_eq!(line["received"]["projects"], json!(["acme/app"]), "{path}");
    }
    // A read that was refused or found nothing disclosed nothing.
    let before = live(&t, actor).await;
    t.send("GET", &format!("{CREDENTIALS}?provider=jira"), &reader, "").await;
    t.send("GET", "/sfp/api/integrations", &reader, "").await;
    assert_eq!(live(&t, actor).await, before);
    assert_eq!(before, [(id, 1)]);
}

/// A rollback brings back the value that was read, whatever its revision is called by then.
#[tokio::test]
async fn a_list_shrinks_with_each_rotation_and_a_rollback_revives_what_was_read() {
    let t = TestServer::start().await;
    let id = t.github("ghp_example", GLOBAL).await;
    t.send("GET", CREDENTIALS, &t.member, "").await;
    assert_eq!(live(&t, MEMBER).await, [(id.clone(), 1)]);
    rotate(&t, &id, &t.owner).await;
    assert_eq!(live(&t, MEMBER).await, []);
    roll_back(&t, &id, 1).await;
    assert_eq!(live(&t, MEMBER).await, [(id.clone(), 3)], "the third revision is the first value");
    t.send("GET", CREDENTIALS, &t.member, "").await;
    assert_eq!(ask(&t, &format!("actor={MEMBER}")).await["live"][0]["received"]["count"], 2);
    rotate(&t, &id, &t.owner).await;
    roll_back(&t, &id, 3).await;
    assert_eq!(live(&t, MEMBER).await, [(id.clone(), 5)], "a rollback to a rollback too");
    roll_back(&t, &id, 2).await;
    assert_eq!(live(&t, MEMBER).await, [], "nobody but the owner knows the second");
    // The owner stored both values, and read neither.
    assert_eq!(live(&t, "user:owner@example.com").await, [(id.clone(), 6)]);
    // Values that no revision keeps can never come back.
    for _ in 0..5 {
        rotate(&t, &id, &t.owner).await;
    }
    let gone =
        t.send("POST", &format!("/sfp/api/integrations/{id}/rollback"), &t.owner, r#"{"revision":5}"#).await;
    assert_eq!((gone.status, live(&t, MEMBER).await), (404, vec![]));
}

#[tokio::test]
async fn a_deleted_integration_goes_to_its_own_list_with_the_label_that_it_had() {
    let t = TestServer::start().await;
    let id = t.github("ghp_example", r#""isGlobal":true,"name":"deploy key""#).await;
    t.send("GET", CREDENTIALS, &t.member, "").await;
    assert_eq!(t.send("DELETE", &format!("/sfp/api/integrations/{id}"), &t.owner, "").await.status, 200);
    let answer = ask(&t, &format!("actor={MEMBER}")).await;
    assert_eq!(answer["live"], json!([]));
    assert_eq!(
        (&answer["deleted"][0]["integrationId"], &answer["deleted"][0]["name"]),
        (&json!(id), &json!("deploy key"))
    );
    assert!(answer["deleted"][0]["deletedAt"].is_string());
    let other = t.github("ghp_example", GLOBAL).await;
    t.send("GET", CREDENTIALS, &t.member, "").await;
    rotate(&t, &other, &t.owner).await;
    assert_eq!(t.send("DELETE", &format!("/sfp/api/integrations/{other}"), &t.owner, "").await.status, 200);
    let answer = ask(&t, &format!("actor={MEMBER}")).await;
    assert_eq!(answer["deleted"].as_array().unwrap().len(), 1, "what was rotated before is honoured no more");
}

#[tokio::test]
async fn what_an_actor_stored_and_made_is_listed_with_what_that_received_in_turn() {
    let t = TestServer::start().await;
    let own = r#"{"provider":"npm","authType":"pat","credentials":{"token":"example"},"isGlobal":true}"#;
    let stored = t.send("POST", "/sfp/api/integrations", &t.member, own).await.json()["id"].clone();
    let answer = ask(&t, &format!("actor={MEMBER}")).await;
    assert_eq!(
        (&answer["live"][0]["integrationId"], &answer["live"][0]["received"]),
        (&stored, &Value::Null)
    );
    assert_eq!(answer["live"][0]["stored"]["action"], "integration.create");
    // The owner made the member, a second owner, and a token; the second owner made a token that read.
    let second = t.user("second@example.com", Role::Owner, AccessScope::default()).await;
    let made = t.send("POST", "/sfp/api/application-tokens", &second, r#"{"name":"ci"}"#).await.json();
    t.send("GET", CREDENTIALS, made["token"].as_str().unwrap(), "").await;
    let direct = ask(&t, "actor=user:owner@example.com").await;
    assert_eq!(direct["live"], json!([]), "neither stored nor read by itself");
    let names: Vec<&str> =
        direct["made"].as_array().unwrap().iter().map(|one| one["actor"].as_str().unwrap()).collect();
    assert!(names.contains(&MEMBER) && names.contains(&"user:second@example.com"), "{names:?}");
    let whole = ask(&t, "actor=user:owner@example.com&transitive=true").await;
    let knows: Vec<&str> =
        whole["live"].as_array().unwrap().iter().map(|one| one["actor"].as_str().unwrap()).collect();
    let token = format!("app:{}", made["id"].as_str().unwrap());
    assert_eq!(knows, [token.as_str(), MEMBER]);
    let ci = whole["made"].as_array().unwrap().iter().find(|one| one["actor"] == *token).unwrap();
    assert_eq!(
        (&ci["by"], &ci["name"], &ci["status"]),
        (&json!("user:second@example.com"), &json!("ci"), &json!("active"))
    );
    let path = format!("/sfp/api/application-tokens/{}", made["id"].as_str().unwrap());
    assert_eq!(t.send("DELETE", &path, &t.owner, "").await.status, 200);
    let after = ask(&t, &format!("token={}", made["id"].as_str().unwrap())).await;
    assert_eq!(after["live"].as_array().unwrap().len(), 1, "a revoked token's holder still knows the value");
}

#[tokio::test]
async fn an_actor_that_nobody_knows_is_answered_with_nothing_and_the_nearest_name() {
    let t = TestServer::start().await;
    let answer = ask(&t, "actor=user:membr@example.com").await;
    assert_eq!((&answer["known"], &answer["nearest"]), (&json!(false), &json!(MEMBER)));
    assert_eq!((&answer["live"], &answer["made"]), (&json!([]), &json!([])));
    let answer = ask(&t, "actor=user:owner@example.com").await;
    assert_eq!((&answer["known"], &answer["nearest"]), (&json!(true), &Value::Null));
    let strange = ask(&t, "actor=user:zzzzzz@example.com").await;
    assert_eq!((&strange["known"], &strange["nearest"]), (&json!(false), &Value::Null));
    for query in [
        "",
        "?transitive=true",
        "?until=2026-11-24T10:00:00Z",
        "?actor=ada",
        "?actor=user:a@b.c&token=0192f5a4-7c1e-7b3a-9d52-3f1c8e6a4b70",
        "?since=2026-11-25T10:00:00Z&until=2026-11-24T10:00:00Z",
        "?since=yesterday",
        "?actor=user:a@b.c&transitive=yes",
        "?integration=x",
        "?colour=red",
    ] {
        let reply = t.send("GET", &format!("{EXPOSURE}{query}"), &t.owner, "").await;
        assert_eq!(reply.status, 400, "{query}: {}", reply.body);
    }
}

/// Somebody was inside from a time on: whoever was it may have left a token, a user or a copy behind.
#[tokio::test]
async fn no_token_user_or_copy_made_since_a_time_stays_off_a_list_of_all_callers() {
    let t = TestServer::start().await;
    let start = t.clock.now();
    let id = t.github("ghp_example", GLOBAL).await;
    t.clock.set(start.plus(minutes(10)));
    let second = t.user("second@example.com", Role::Owner, AccessScope::default()).await;
    let made = t.send("POST", "/sfp/api/application-tokens", &second, r#"{"name":"ci"}"#).await.json();
    assert_eq!(t.send("POST", "/sfp/api/backup", &second, "").await.status, 200);
    t.clock.set(start.plus(minutes(20)));
    let since = |after: u64| format!("since={}", start.plus(minutes(after)));
    let answer = ask(&t, &since(5)).await;
    let names: Vec<&str> =
        answer["made"].as_array().unwrap().iter().map(|one| one["actor"].as_str().unwrap()).collect();
    assert_eq!(names, [&*format!("app:{}", made["id"].as_str().unwrap()), "user:second@example.com"]);
    assert_eq!((&answer["backups"]["count"], &answer["live"]), (&json!(1), &json!([])), "{answer}");
    let all = ask(&t, &since(0)).await;
    assert_eq!((all["made"].as_array().unwrap().len(), &all["live"][0]["integrationId"]), (4, &json!(id)));
    for narrower in
        [since(15), format!("{}&integration={id}", since(5)), format!("{}&actor={MEMBER}", since(5))]
    {
        let answer = ask(&t, &narrower).await;
        assert_eq!((&answer["made"], &answer["backups"]), (&json!([]), &Value::Null), "{narrower}");
    }
}

#[tokio::test]
async fn a_narrowed_auditor_learns_nothing_and_each_question_is_on_record() {
    let t = TestServer::start().await;
    t.project("acme/app").await;
    let projects = Some(vec!["acme/app".parse().unwrap()]);
    let narrowed = t.token(Role::Auditor, AccessScope { projects, ..AccessScope::default() }).await;
    let auditor = t.token(Role::Auditor, AccessScope::default()).await;
    let path = format!("{EXPOSURE}?actor={MEMBER}");
    assert_eq!(t.send("GET", &path, &narrowed, "").await.status, 403);
    let before = log(&t).await.len();
    assert_eq!(t.send("GET", &path, &auditor, "").await.status, 200);
    let log = log(&t).await;
    assert_eq!(log.len(), before + 2, "the question and the export");
    assert_eq!(log[before]["action"], "audit.read");
}

/// The clock's time selects what a range holds, and never which record is the last.
#[tokio::test]
async fn a_range_in_time_and_a_clock_that_jumped_back_give_what_a_loop_over_the_log_gives() {
    let t = TestServer::start().await;
    let start = t.clock.now();
    let id = t.github("ghp_example", GLOBAL).await;
    for (after, bearer) in [(50, &t.member), (10, &t.app), (30, &t.member), (20, &t.member)] {
        t.clock.set(start.plus(minutes(after)));
        assert_eq!(t.send("GET", CREDENTIALS, bearer, "").await.status, 200);
    }
    let answer = ask(&t, &format!("actor={MEMBER}")).await;
    let received = &answer["live"][0]["received"];
    assert_eq!(
        (&received["count"], &received["last"]),
        (&json!(3), &json!(start.plus(minutes(20)).to_string()))
    );
    let times = [0, 10, 20, 25, 30, 50, 51].map(|after| start.plus(minutes(after)).to_string());
    let log = log(&t).await;
    for (since, until) in times.iter().flat_map(|since| times.iter().map(move |until| (since, until))) {
        for actor in [None, Some(MEMBER)] {
            let asked = Asked {
                actor: actor.map(str::to_owned),
                integration: Some(id.clone()),
                since: Some(since.clone()),
                until: Some(until.clone()),
                transitive: false,
            };
            let who = actor.map_or_else(String::new, |actor| format!("&actor={actor}"));
            let query = format!("integration={id}&since={since}&until={until}{who}");
            if since > until {
                assert_eq!(t.send("GET", &format!("{EXPOSURE}?{query}"), &t.owner, "").await.status, 400);
            } else {
                let expected = exposure(&log, &asked, &t.clock.now().to_string());
                assert_eq!(by_records(&ask(&t, &query).await), expected, "{query}");
            }
        }
    }
}
