//! Canaries: no reader can tell one from another credential, and no read of one goes without its alarm.

use sealroom::domain::{AccessScope, RequestId, Role};
use serde_json::Value;

use crate::support::server::{Reply, TestServer};

const GLOBAL: &str = r#""isGlobal":true"#;

fn body(more: &str) -> String {
    format!(
        r#"{{"provider":"github","authType":"pat","credentials":{{"token":"ghp_example_bait"}},"name":"old admin",{GLOBAL}{more}}}"#
    )
}

async fn canary(t: &TestServer) -> String {
    let reply = t.send("POST", "/sfp/api/integrations", &t.owner, &body(r#","canary":true"#)).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    assert_eq!(reply.json()["canary"], true);
    reply.json()["id"].as_str().unwrap().to_owned()
}

async fn disclosures(t: &TestServer) -> Vec<Value> {
    let mut found = Vec::new();
    for action in ["credentials.read", "credentials.mint"] {
        let path = format!("/sfp/api/audit?outcome=allowed&action={action}");
        let events = t.send("GET", &path, &t.owner, "").await.json();
        found.extend(events.as_array().unwrap().iter().cloned());
    }
    found
}

fn alarms(page: &Reply) -> u64 {
    let line = page.body.lines().find(|line| line.starts_with("sealroom_read_alarms_total ")).unwrap();
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn no_way_to_read_a_canary_goes_without_its_alarm() {
    let t = TestServer::start().await;
    t.project("acme/app").await;
    let id = canary(&t).await;
    let other =
        t.send("POST", "/sfp/api/integrations", &t.owner, &body("").replace("github", "npm")).await.json();
    let all = "/sfp/api/integrations/credentials";
    let revisions = format!("/sfp/api/integrations/{id}/revisions");
    let mut reads = 0;
    for (path, bearer, canaries) in [
        (all, &t.app, 1),
        (all, &t.member, 1),
        (format!("{all}?provider=github").as_str(), &t.app, 1),
        (format!("{all}?name=old%20admin&provider=github").as_str(), &t.app, 1),
        (format!("{all}?project=acme/app").as_str(), &t.app, 1),
        (format!("{all}?limit=2").as_str(), &t.app, 1),
        ("/sfp/api/repository/auth-token?repositoryIdentifier=acme/app", &t.app, 1),
        (revisions.as_str(), &t.owner, 1),
        (format!("{all}?provider=npm").as_str(), &t.app, 0),
    ] {
        let reply = t.send("GET", path, bearer, "").await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        reads += canaries;
        assert_eq!(alarms(&t.send("GET", "/metrics", "", "").await), reads, "{path}");
    }
    // Each revision that a rotation keeps is one too.
    let rotated = format!("/sfp/api/integrations/{id}/credentials");
    let renewed = r#"{"credentials":{"token":"ghp_example_bait_2"}}"#;
    assert_eq!(t.send("PUT", &rotated, &t.owner, renewed).await.json()["canary"], true);
    assert_eq!(t.send("GET", &revisions, &t.owner, "").await.status, 200);
    reads += 2;
    assert_eq!(alarms(&t.send("GET", "/metrics", "", "").await), reads);
    let (mut raised, mut queue) = (0, t.vault.canary_reads().unwrap());
    for event in disclosures(&t).await {
        let is_canary = event["integrationId"] == id.as_str();
        assert_eq!(event["detail"]["alarm"] == true, is_canary, "{event}");
        assert!(is_canary || event["integrationId"] == other["id"], "{event}");
        raised += u64::from(is_canary);
    }
    assert_eq!(raised, reads);
    for _ in 0..reads {
        assert_eq!(queue.try_recv().unwrap().integration.to_string(), id);
    }
    assert!(queue.try_recv().is_err() && t.vault.canary_reads().is_none());
}

/// The same requests to two vaults that differ in the flag alone.
#[tokio::test]
async fn a_canary_is_answered_as_any_other_credential_in_every_byte() {
    let mut answers = Vec::new();
    for flag in ["", r#","canary":true"#] {
        let t = TestServer::start().await;
        t.project("acme/app").await;
        let auditor = t.token(Role::Auditor, AccessScope::default()).await;
        let made = t.send("POST", "/sfp/api/integrations", &t.owner, &body(flag)).await.json();
        let id = made["id"].as_str().unwrap().to_owned();
        let mut seen = String::new();
        for (path, bearer) in [
            ("/sfp/api/integrations/credentials".to_owned(), &t.app),
            ("/sfp/api/integrations/credentials?project=acme/app&provider=github".to_owned(), &t.member),
            ("/sfp/api/repository/auth-token?repositoryIdentifier=acme/app".to_owned(), &t.app),
            ("/sfp/api/integrations".to_owned(), &auditor),
            ("/sfp/api/integrations/mine".to_owned(), &t.member),
            (format!("/sfp/api/integrations/{id}"), &t.member),
            ("/sfp/api/projects/acme/app".to_owned(), &t.member),
        ] {
            let Reply { status, head, body } = t.send("GET", &path, bearer, "").await;
            // A receipt is a hash of the record, which has the caller's ids and times; all else is the same.
            let names = head.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name);
            let named = names.collect::<Vec<_>>().join(",");
            seen.push_str(&format!("{path} {status} {named} {body}\n").replace(&id, "ID"));
        }
        assert!(!seen.contains("canary") && !seen.contains("alarm"), "{seen}");
        // Of the answers, only ids of requests and actors differ from run to run.
        let texts: Vec<String> = seen.lines().map(masked).collect();
        answers.push(texts);
    }
    assert_eq!(answers[0], answers[1]);
}

/// Masks what is random: each UUID.
fn masked(line: &str) -> String {
    let (mut masked, mut rest) = (String::new(), line);
    while let Some(first) = rest.chars().next() {
        if rest.get(..36).is_some_and(|text| text.parse::<RequestId>().is_ok()) {
            masked.push_str("UUID");
            rest = &rest[36..];
        } else {
            masked.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    masked
}

#[tokio::test]
async fn only_owners_make_a_canary_and_only_they_see_which_one_is() {
    let t = TestServer::start().await;
    let auditor = t.token(Role::Auditor, AccessScope::default()).await;
    for (bearer, more, status) in [
        (&t.member, r#","canary":true"#, 403),
        (&t.app, r#","canary":true"#, 403),
        (&auditor, r#","canary":true"#, 403),
        (&t.owner, r#","canary":"yes""#, 400),
        (&t.owner, r#","canary":1"#, 400),
        (&t.member, r#","canary":false"#, 201),
        (&t.owner, r#","canary":null"#, 201),
    ] {
        let reply = t.send("POST", "/sfp/api/integrations", bearer, &body(more)).await;
        assert_eq!(reply.status, status, "{more}: {}", reply.body);
        assert!(reply.status != 201 || reply.json().get("canary").is_none(), "{}", reply.body);
    }
    let id = canary(&t).await;
    let path = format!("/sfp/api/integrations/{id}");
    let shown = t.send("GET", &path, &t.owner, "").await.json();
    assert_eq!(shown["canary"], true);
    assert_eq!(t.send("PATCH", &path, &t.owner, r#"{"name":"older admin"}"#).await.json()["canary"], true);
    let unknown = t.send("PATCH", &path, &t.owner, r#"{"canary":false}"#).await;
    assert_eq!(unknown.status, 400, "nothing makes a canary of one, or the reverse");
    let marked = |reply: Reply| {
        let all = reply.json();
        let marked = all.as_array().unwrap().iter().filter(|one| one["canary"] == true).count();
        (marked, reply.body.contains("canary"))
    };
    assert_eq!(marked(t.send("GET", "/sfp/api/integrations", &t.owner, "").await), (1, true));
    assert_eq!(marked(t.send("GET", "/sfp/api/integrations/mine", &t.owner, "").await), (1, true));
    assert_eq!(marked(t.send("GET", "/sfp/api/integrations", &auditor, "").await), (0, false));
    assert_eq!(marked(t.send("GET", "/sfp/api/integrations/mine", &t.member, "").await), (0, false));
    // Metadata, refusals and reads that find nothing raise none.
    t.send("GET", "/sfp/api/integrations/credentials", &auditor, "").await;
    t.send("GET", &format!("{path}/revisions"), &t.member, "").await;
    t.send("GET", "/sfp/api/integrations/credentials?provider=jira", &t.app, "").await;
    assert_eq!(alarms(&t.send("GET", "/metrics", "", "").await), 0);
}

/// A queue that no host reads must not stop the reads.
#[tokio::test]
async fn alarms_that_nobody_takes_neither_delay_nor_stop_a_read() {
    let t = TestServer::start().await;
    canary(&t).await;
    for _ in 0..1_100 {
        let reply = t.send("GET", "/sfp/api/integrations/credentials", &t.owner, "").await;
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
    assert_eq!(alarms(&t.send("GET", "/metrics", "", "").await), 1_100, "each is counted");
}
