//! The kept revisions of a credential, which an export reads, and the expiry in the past, which an import stores.

use sealroom::domain::{AccessScope, Role};

use crate::support::server::TestServer;

const GLOBAL: &str = r#""isGlobal":true"#;

/// Stores a credential and rotates it `times` times.
async fn rotated(t: &TestServer, times: usize) -> String {
    let path = format!("/sfp/api/integrations/{}", t.github("ghp_example_0", GLOBAL).await);
    for number in 1..=times {
        let body = format!(r#"{{"credentials":{{ "token":"ghp_example_{number}" }}}}"#);
        assert_eq!(t.send("PUT", &format!("{path}/credentials"), &t.owner, &body).await.status, 200);
    }
    path
}

#[tokio::test]
async fn the_kept_revisions_come_newest_first_with_the_metadata_and_an_event_each() {
    let t = TestServer::start().await;
    let path = rotated(&t, 6).await;
    let reply = t.send("GET", &format!("{path}/revisions"), &t.owner, "").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(reply.body.contains(r#""credentials":{ "token":"ghp_example_6" }"#), "byte for byte");
    let (value, receipts) = (reply.json(), reply.header("audit-receipt").unwrap());
    assert_eq!(value["integration"]["revision"], 7);
    let numbers: Vec<_> =
        value["revisions"].as_array().unwrap().iter().map(|one| one["revision"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [7, 6, 5, 4, 3]);
    assert_eq!(value["revisions"][4]["credentials"]["token"], "ghp_example_2");
    let events = t.send("GET", "/sfp/api/audit?action=credentials.read", &t.owner, "").await.json();
    let events = events.as_array().unwrap();
    assert_eq!(events.len(), 5, "one a disclosed revision");
    assert_eq!(receipts.split(',').count(), 5);
    for (event, (number, receipt)) in
        events.iter().rev().zip(numbers.iter().zip(receipts.split(',').map(str::trim)))
    {
        assert_eq!(event["revision"], *number);
        let (sequence, hash) = receipt.split_once(':').unwrap();
        assert_eq!(event["sequence"].to_string(), sequence);
        assert_eq!(event["leafHash"], hash);
    }
}

#[tokio::test]
async fn a_limit_discloses_and_records_no_more_than_it_says() {
    let t = TestServer::start().await;
    let path = rotated(&t, 2).await;
    let one = t.send("GET", &format!("{path}/revisions?limit=1"), &t.owner, "").await.json();
    assert_eq!(one["revisions"].as_array().unwrap().len(), 1);
    assert_eq!(one["revisions"][0]["credentials"]["token"], "ghp_example_2");
    let events = t.send("GET", "/sfp/api/audit?action=credentials.read", &t.owner, "").await.json();
    assert_eq!(events.as_array().unwrap().len(), 1);
    for query in ["?limit=0", "?limit=6", "?limit=x", "?limit=1&limit=2", "?all=true"] {
        let refused = t.send("GET", &format!("{path}/revisions{query}"), &t.owner, "").await;
        assert_eq!(refused.status, 400, "{query}");
    }
}

#[tokio::test]
async fn nobody_but_an_owner_reads_kept_revisions_and_no_head_discloses() {
    let t = TestServer::start().await;
    let path = format!("{}/revisions", rotated(&t, 1).await);
    let auditor = t.token(Role::Auditor, AccessScope::default()).await;
    for token in [&t.member, &t.app, &auditor] {
        let refused = t.send("GET", &path, token, "").await;
        assert_eq!((refused.status, refused.json()["code"].as_str()), (403, Some("forbidden")));
    }
    assert_eq!(t.send("HEAD", &path, &t.owner, "").await.status, 405);
    let unknown = "/sfp/api/integrations/0192f5a4-7c1e-7b3a-9d52-3f1c8e6a4b70/revisions";
    assert_eq!(t.send("GET", unknown, &t.owner, "").await.status, 404);
    assert_eq!(t.send("GET", "/sfp/api/integrations/x/revisions", &t.owner, "").await.status, 400);
    let events = t.send("GET", "/sfp/api/audit?outcome=denied", &t.owner, "").await.json();
    assert_eq!(events.as_array().unwrap().len(), 3);
    assert!(events.as_array().unwrap().iter().all(|event| event["action"] == "credentials.read"));
}

/// Only who says that it is meant, and may, stores what has ended.
#[tokio::test]
async fn an_expiry_in_the_past_is_stored_for_an_owner_that_allows_it_and_for_nobody_else() {
    let t = TestServer::start().await;
    let past = r#""expiresAt":"2020-01-01T00:00:00Z""#;
    let create = |more: &str| {
        format!(
            r#"{{"provider":"github","authType":"pat","credentials":{{"token":"ghp_example"}},{GLOBAL},{past}{more}}}"#
        )
    };
    for (token, more, status, code) in [
        (&t.owner, "", 400, Some("expiry_past")),
        (&t.owner, r#","allowExpired":false"#, 400, Some("expiry_past")),
        (&t.owner, r#","allowExpired":null"#, 400, Some("expiry_past")),
        (&t.owner, r#","allowExpired":"yes""#, 400, Some("invalid_field")),
        (&t.member, r#","allowExpired":true"#, 403, Some("forbidden")),
        (&t.owner, r#","allowExpired":true"#, 201, None),
    ] {
        let reply = t.send("POST", "/sfp/api/integrations", token, &create(more)).await;
        assert_eq!((reply.status, reply.json()["code"].as_str()), (status, code), "{more}");
    }
    let plain = create("").replace(&format!(",{past}"), "");
    let own = t.send("POST", "/sfp/api/integrations", &t.member, &plain).await.json();
    let own = format!("/sfp/api/integrations/{}/credentials", own["id"].as_str().unwrap());
    let rotate = |more: &str| format!(r#"{{"credentials":{{"token":"ghp_example"}},{past}{more}}}"#);
    for (token, more, status) in [
        (&t.member, "", 400),
        (&t.member, r#","allowExpired":true"#, 403),
        (&t.owner, "", 400),
        (&t.owner, r#","allowExpired":true"#, 200),
    ] {
        assert_eq!(t.send("PUT", &own, token, &rotate(more)).await.status, status, "{more}");
    }
    let changed = t.send(
        "PATCH",
        own.trim_end_matches("/credentials"),
        &t.owner,
        r#"{"expiresAt":"2020-01-01T00:00:00Z"}"#,
    );
    assert_eq!(changed.await.status, 400, "a change is no import");
}
