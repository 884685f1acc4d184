//! The work-list of rotations, against a plain loop over what the test itself did.

use sealroom::domain::{AccessScope, Action, Actor, Event, Role, Timestamp, days, seconds};
use serde_json::{Value, json};

use crate::support::{
    failing_disk::{Mood, server},
    server::{OWNER, PASSPHRASE, START, TestServer, secret, settings},
};

const NOW: Timestamp = Timestamp::from_millis(START);
const INTEGRATIONS: &str = "/sfp/api/integrations";

async fn at(t: &mut TestServer, time: Timestamp) {
    t.clock.set(time);
    t.owner = t.login(OWNER).await;
}

async fn due(t: &TestServer, query: &str) -> Value {
    let reply = t.send("GET", &format!("/sfp/api/due{query}"), &t.owner, "").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()
}

async fn store(t: &TestServer, name: &str, end: Option<Timestamp>) -> String {
    let body = json!({ "provider": "github", "authType": "pat", "name": name, "isGlobal": true,
        "credentials": { "token": format!("ghp_example_{name}") }, "expiresAt": end.map(|end| end.to_string()) });
    let made = t.send("POST", INTEGRATIONS, &t.owner, &body.to_string()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.json()["id"].as_str().unwrap().to_owned()
}

async fn change(t: &TestServer, method: &str, path: &str, body: Value) {
    let reply = t.send(method, &format!("{INTEGRATIONS}/{path}"), &t.owner, &body.to_string()).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
}

async fn read(t: &TestServer, bearer: &str, name: &str) {
    let reply = t.send("GET", &format!("{INTEGRATIONS}/credentials?name={name}"), bearer, "").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
}

fn names<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    list[key].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn each_credential_is_in_the_lists_that_its_dates_put_it_in_and_in_no_other() {
    let mut t = TestServer::start().await;
    let end = |count: u64| Some(NOW.plus(days(count)));
    let ends: &[(&str, Option<Timestamp>)] = &[
        ("never", None),
        ("in-20", end(20)),
        ("in-5", end(5)),
        ("in-40", end(40)),
        ("ended-read", end(3)),
        ("ended-unread", end(3)),
        ("ended-read-before", end(3)),
    ];
    for (name, end) in ends {
        store(&t, name, *end).await;
    }
    read(&t, &t.app, "ended-read-before").await;
    at(&mut t, NOW.plus(days(4))).await;
    read(&t, &t.app, "ended-read").await;
    read(&t, &t.app, "in-5").await;
    let list = due(&t, "").await;
    // At day 4: 20 is 16 days ahead, 40 is 36.
    assert_eq!(names(&list, "ending"), ["in-5", "in-20"]);
    assert_eq!(names(&list, "endedRead"), ["ended-read"]);
    assert_eq!(names(&list, "notRotated"), [""; 0]);
    assert_eq!(list["endedRead"][0]["lastAccessedBy"].as_str().unwrap()[..4], *"app:");
    assert_eq!(names(&due(&t, "?within=1").await, "ending"), ["in-5"]);
    assert_eq!(names(&due(&t, "?within=36").await, "ending"), ["in-5", "in-20", "in-40"]);
    let counts =
        json!({ "ending": 2, "endedRead": 1, "notRotated": 0, "tokensEnding": 0, "tokensUnused": 0 });
    assert_eq!(list["counts"], counts);
    // Rotated, with an end that is far: off the list, whoever read the value before.
    let id = list["endedRead"][0]["id"].as_str().unwrap();
    change(&t, "PUT", &format!("{id}/credentials"), json!({ "credentials": { "token": "ghp_example_new" } }))
        .await;
    assert_eq!(names(&due(&t, "").await, "endedRead"), [""; 0]);
}

/// A list by the time of the last change let a credential of two years drop out when somebody renamed it.
#[tokio::test]
async fn only_a_new_value_makes_a_credential_young() {
    let mut t = TestServer::start().await;
    let [renamed, rotated, rolled_back, rescoped, untouched] =
        ["renamed", "rotated", "rolled-back", "rescoped", "untouched"];
    let mut ids = std::collections::BTreeMap::new();
    for name in [renamed, rotated, rolled_back, rescoped, untouched] {
        ids.insert(name, store(&t, name, None).await);
    }
    t.project("acme/app").await;
    let new = json!({ "credentials": { "token": "ghp_example_new" } });
    for name in [rolled_back, rescoped] {
        change(&t, "PUT", &format!("{}/credentials", ids[name]), new.clone()).await;
    }
    let then = NOW.plus(days(170));
    at(&mut t, then).await;
    change(&t, "PATCH", &ids[renamed], json!({ "name": "renamed-2" })).await;
    change(&t, "PATCH", &ids[rescoped], json!({ "projects": ["acme/app"] })).await;
    change(&t, "PUT", &format!("{}/credentials", ids[rotated]), new).await;
    change(&t, "POST", &format!("{}/rollback", ids[rolled_back]), json!({ "revision": 1 })).await;
    at(&mut t, NOW.plus(days(180))).await;
    let list = due(&t, "").await;
    let mut old = names(&list, "notRotated");
    old.sort_unstable();
    assert_eq!(old, ["renamed-2", "rescoped", "rolled-back", "untouched"]);
    assert_eq!(list["notRotated"][0]["rotatedAt"], json!(NOW.to_string()));
    assert_eq!(list["counts"]["notRotated"], 4);
    assert_eq!(names(&due(&t, "?olderThan=181").await, "notRotated"), [""; 0]);
    assert_eq!(names(&due(&t, "?olderThan=10").await, "notRotated").len(), 5);
    at(&mut t, NOW.plus(days(180)).plus(days(169))).await;
    assert_eq!(due(&t, "").await["counts"]["notRotated"], 4, "only a rotation counts");
    at(&mut t, then.plus(days(180))).await;
    assert_eq!(due(&t, "").await["counts"]["notRotated"], 5);
}

/// The value that a rollback brings back is as old as it was: it was off the list for another half year.
#[tokio::test]
async fn no_rollback_makes_an_old_value_young() {
    let mut t = TestServer::start().await;
    let rotation = |day: u64| json!({ "credentials": { "token": format!("ghp_example_{day}") } });
    let day = |day: u64| NOW.plus(days(day));
    // To the first value, to a later one, twice, and to what an earlier rollback brought back.
    let cases: [(&str, &[u64], u64); 5] = [
        ("first", &[1], 0),
        ("later", &[3], 20),
        ("twice", &[1, 5], 0),
        ("again", &[3, 5], 20),
        ("none", &[], 30),
    ];
    let mut ids = Vec::new();
    for (name, ..) in cases {
        ids.push(store(&t, name, None).await);
    }
    // Revisions 2 to 4, of the days 10, 20 and 30.
    for time in [10, 20, 30] {
        at(&mut t, day(time)).await;
        for id in &ids {
            change(&t, "PUT", &format!("{id}/credentials"), rotation(time)).await;
        }
    }
    assert_eq!(due(&t, "").await["counts"]["notRotated"], 0, "the dates are in memory from now on");
    at(&mut t, day(100)).await;
    for ((_, revisions, _), id) in cases.iter().zip(&ids) {
        for revision in *revisions {
            change(&t, "POST", &format!("{id}/rollback"), json!({ "revision": revision })).await;
        }
        change(&t, "PATCH", id, json!({ "expiresAt": day(3_000).to_string() })).await;
    }
    for is_reopened in [false, true] {
        if is_reopened {
            let host = || Actor::host("test");
            t.vault.lock(Event::new(day(100), host(), Action::VaultLock)).await.map_err(drop).unwrap();
            t.vault.unlock(secret(PASSPHRASE), host(), day(100), None).await.unwrap();
        }
        for limit in [69, 70, 79, 80, 99, 100] {
            let old = due(&t, &format!("?olderThan={limit}")).await;
            let mut found = names(&old, "notRotated");
            found.sort_unstable();
            let is_old = |stored: &u64| 100 - stored >= limit;
            let mut expected: Vec<&str> =
                cases.iter().filter(|(.., stored)| is_old(stored)).map(|(name, ..)| *name).collect();
            expected.sort_unstable();
            assert_eq!(found, expected, "{limit} days, {is_reopened}");
            for one in old["notRotated"].as_array().unwrap() {
                let (.., stored) = cases.iter().find(|(name, ..)| one["name"] == *name).unwrap();
                assert_eq!(one["rotatedAt"], json!(day(*stored).to_string()), "{one}");
            }
        }
    }
}

#[tokio::test]
async fn tokens_are_due_before_their_end_and_when_nobody_uses_them() {
    let mut t = TestServer::start().await;
    store(&t, "key", None).await;
    let mut tokens = std::collections::BTreeMap::new();
    for (name, days) in [("used", 365), ("idle", 365), ("never", 365), ("short", 95), ("revoked", 365)] {
        let body = json!({ "name": name, "expiresIn": days }).to_string();
        let made = t.send("POST", "/sfp/api/application-tokens", &t.owner, &body).await.json();
        let text = |key: &str| made[key].as_str().unwrap().to_owned();
        tokens.insert(name, (text("id"), text("token")));
    }
    read(&t, &tokens["idle"].1, "key").await;
    at(&mut t, NOW.plus(days(10))).await;
    read(&t, &tokens["used"].1, "key").await;
    read(&t, &tokens["short"].1, "key").await;
    at(&mut t, NOW.plus(days(90))).await;
    let path = format!("/sfp/api/application-tokens/{}", tokens["revoked"].0);
    assert_eq!(t.send("DELETE", &path, &t.owner, "").await.status, 200);
    let list = due(&t, "").await;
    let mut unused = names(&list, "tokensUnused");
    unused.sort_unstable();
    assert_eq!(unused, ["idle", "never"]);
    assert_eq!(names(&list, "tokensEnding"), ["short"]);
    let short = &list["tokensEnding"][0];
    assert_eq!(short["lastUsedAt"], json!(NOW.plus(days(10)).to_string()));
    assert_eq!(short["lastUsedFrom"], "127.0.0.1");
    let never = list["tokensUnused"].as_array().unwrap().iter().find(|one| one["name"] == "never").unwrap();
    assert_eq!((&never["lastUsedAt"], &never["lastUsedFrom"]), (&Value::Null, &Value::Null));
    assert_eq!(names(&due(&t, "?within=4").await, "tokensEnding"), [""; 0]);
    assert_eq!(due(&t, "?within=90").await["tokensWithinDays"], 7);
    // The metrics have the same numbers, and no name.
    let page = t.send("GET", "/metrics", "", "").await.body;
    for (kind, count) in [
        ("credential_ending", 0),
        ("credential_ended_read", 0),
        ("credential_not_rotated", 0),
        ("token_ending", 1),
        ("token_unused", 2),
    ] {
        let line = format!("sealroom_due{{kind=\"{kind}\"}} {count}");
        assert!(page.lines().any(|one| one == line), "{line}\n{page}");
    }
}

#[tokio::test]
async fn a_list_is_bounded_and_its_counts_are_not() {
    let t = TestServer::start().await;
    for number in 0..130 {
        store(&t, &format!("k{number}"), Some(NOW.plus(days(1)).plus(seconds(200 - number)))).await;
    }
    let list = due(&t, "").await;
    assert_eq!((names(&list, "ending").len(), &list["counts"]["ending"]), (100, &json!(130)));
    assert_eq!(names(&list, "ending")[..3], ["k129", "k128", "k127"], "the nearest end first");
    assert_eq!(names(&due(&t, "?limit=2").await, "ending"), ["k129", "k128"]);
    assert_eq!(names(&due(&t, "?limit=1000").await, "ending").len(), 130);
    for query in
        ["?limit=0", "?limit=1001", "?within=0", "?within=3651", "?olderThan=x", "?within=30d", "?days=3"]
    {
        assert_eq!(t.send("GET", &format!("/sfp/api/due{query}"), &t.owner, "").await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn an_auditor_sees_the_list_and_a_narrowed_one_does_not() {
    let t = TestServer::start().await;
    t.project("acme/app").await;
    store(&t, "soon", Some(NOW.plus(days(1)))).await;
    let auditor = t.token(Role::Auditor, AccessScope::default()).await;
    let list = t.send("GET", "/sfp/api/due", &auditor, "").await;
    assert_eq!(names(&list.json(), "ending"), ["soon"]);
    assert!(!list.body.contains("ghp_example_soon"), "never a value");
    let projects = Some(vec!["acme/app".parse().unwrap()]);
    let narrow = t.token(Role::Auditor, AccessScope { projects, ..AccessScope::default() }).await;
    let refused = t.send("GET", "/sfp/api/due", &narrow, "").await;
    assert_eq!((refused.status, refused.body.contains("soon")), (403, false), "{}", refused.body);
    let events = t.send("GET", "/sfp/api/audit?action=due.list", &t.owner, "").await.json();
    let outcomes: Vec<&Value> = events.as_array().unwrap().iter().map(|event| &event["outcome"]).collect();
    assert_eq!(outcomes, ["denied", "allowed"]);
}

/// The ids of the credentials that end within ten years, by the list and by the integrations themselves.
async fn both(t: &TestServer) -> [std::collections::BTreeSet<String>; 2] {
    let list = due(t, "?within=3650&limit=1000").await;
    let all = t.send("GET", INTEGRATIONS, &t.owner, "").await.json();
    let ids = |list: &Value| {
        let ending = list.as_array().unwrap().iter().filter(|one| !one["expiresAt"].is_null());
        ending.map(|one| format!("{} {}", one["id"], one["expiresAt"])).collect()
    };
    let counted = list["counts"]["ending"].as_u64().unwrap() as usize;
    assert_eq!(counted, list["ending"].as_array().unwrap().len());
    [ids(&list["ending"]), ids(&all)]
}

#[tokio::test]
async fn a_list_has_every_change_that_was_answered_before_it() {
    let t = TestServer::start().await;
    let mut ids = Vec::new();
    for step in 0..60_u64 {
        let end = Some(NOW.plus(days(1 + step)));
        let id = |ids: &Vec<String>| ids[(step as usize * 7) % ids.len()].clone();
        match step % 5 {
            0 | 1 => ids.push(store(&t, &format!("k{step}"), end).await),
            2 => {
                change(&t, "PATCH", &id(&ids), json!({ "expiresAt": NOW.plus(days(90 + step)).to_string() }))
                    .await
            }
            3 => {
                let new = json!({ "credentials": { "token": "ghp_example_new" } });
                change(&t, "PUT", &format!("{}/credentials", id(&ids)), new).await;
            }
            _ => {
                let gone = ids.remove((step as usize * 7) % ids.len());
                let reply = t.send("DELETE", &format!("{INTEGRATIONS}/{gone}"), &t.owner, "").await;
                assert_eq!(reply.status, 200, "{}", reply.body);
            }
        }
        let [list, all] = both(&t).await;
        assert_eq!(list, all, "step {step}");
    }
    // After a lock the first question reads the rows again.
    let host = Actor::host("test");
    let lock = Event::new(NOW, host.clone(), Action::VaultLock);
    t.vault.lock(lock).await.map_err(drop).unwrap();
    t.vault.unlock(secret(PASSPHRASE), host, NOW, None).await.unwrap();
    let [list, all] = both(&t).await;
    assert_eq!(list, all);
}

#[tokio::test]
async fn questions_beside_changes_lose_none_of_them() {
    let t = std::sync::Arc::new(TestServer::start().await);
    let mut running = tokio::task::JoinSet::new();
    for writer in 0..8_u64 {
        let t = std::sync::Arc::clone(&t);
        running.spawn(async move {
            for number in 0..12 {
                let end = Some(NOW.plus(days(1 + writer)).plus(seconds(number)));
                let id = store(&t, &format!("k{writer}-{number}"), end).await;
                if number % 3 == 0 {
                    let end = NOW.plus(days(100 + writer)).to_string();
                    change(&t, "PATCH", &id, json!({ "expiresAt": end })).await;
                }
                due(&t, "").await;
            }
        });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    let [list, all] = both(&t).await;
    assert_eq!((list.len(), &list), (96, &all));
}

/// A commit in doubt may have written its rows: the list reads them again.
#[tokio::test]
async fn a_list_is_right_after_a_commit_in_doubt() {
    let (disk, t) = server(settings()).await;
    store(&t, "before", Some(NOW.plus(days(1)))).await;
    let [list, all] = both(&t).await;
    assert_eq!((list.len(), &list), (1, &all));
    disk.is(Mood::Breaking);
    let body = json!({ "provider": "github", "authType": "pat", "name": "doubtful", "isGlobal": true,
        "credentials": { "token": "ghp_example" }, "expiresAt": NOW.plus(days(2)).to_string() });
    t.send("POST", INTEGRATIONS, &t.owner, &body.to_string()).await;
    store(&t, "after", Some(NOW.plus(days(3)))).await;
    let [list, all] = both(&t).await;
    assert_eq!(list, all);
    assert!(list.len() >= 2, "{list:?}");
}
