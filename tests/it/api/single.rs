//! Tokens for single integrations (contract section 5).

use std::sync::Arc;

use sealroom::domain::{AccessScope, Action, Actor, Event, Role};

use crate::support::server::{PASSPHRASE, TestServer, secret};

const READ: &str = "/sfp/api/integrations/credentials";

async fn narrowed(t: &TestServer, ids: &[&str]) -> String {
    let integrations = Some(ids.iter().map(|id| id.parse().unwrap()).collect());
    t.token(Role::Application, AccessScope { integrations, ..AccessScope::default() }).await
}

/// Every way to ask for credentials: all, by provider, project and name, page by page, and as a fallback.
#[tokio::test]
async fn a_token_for_one_credential_cannot_read_another_however_it_asks() {
    let t = TestServer::start().await;
    t.project("acme/app").await;
    t.project("acme/web").await;
    let app = t.github("canary-app", r#""name":"app","projects":["acme/app"]"#).await;
    let global = t.github("canary-global", r#""name":"all","isGlobal":true"#).await;
    t.github("canary-other", r#""name":"other","projects":["acme/app","acme/web"]"#).await;
    let (own, fallback) = (narrowed(&t, &[&app]).await, narrowed(&t, &[&global]).await);
    for (bearer, query, status, value) in [
        (&own, "", 200, "canary-app"),
        (&own, "?provider=github", 200, "canary-app"),
        (&own, "?provider=github&project=acme/app", 200, "canary-app"),
        (&own, "?name=app", 200, "canary-app"),
        (&own, "?limit=1", 200, "canary-app"),
        (&own, "?project=acme/web", 404, ""),
        (&own, "?name=other", 404, ""),
        (&own, "?name=all", 404, ""),
        (&own, "?provider=jira", 404, ""),
        (&fallback, "", 200, "canary-global"),
        // The project's own github hides the global one, and the token may not read that.
        (&fallback, "?project=acme/app", 404, ""),
        (&fallback, "?provider=github&project=acme/web", 404, ""),
    ] {
        let reply = t.send("GET", &format!("{READ}{query}"), bearer, "").await;
        assert_eq!(reply.status, status, "{query}: {}", reply.body);
        for canary in ["canary-app", "canary-global", "canary-other"] {
            assert_eq!(reply.body.contains(canary), canary == value, "{query}: {}", reply.body);
        }
        assert_eq!(reply.header("x-next-cursor"), None, "{query}: what it may not read makes no page");
    }
    let receipts =
        t.send("GET", "/sfp/api/audit?action=credentials.read&outcome=allowed", &t.owner, "").await;
    assert_eq!(receipts.json().as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn a_token_whose_integrations_are_gone_reads_nothing_not_even_their_successors() {
    let t = TestServer::start().await;
    let id = t.github("canary-first", r#""name":"deploy","isGlobal":true"#).await;
    let token = narrowed(&t, &[&id]).await;
    assert_eq!(t.send("GET", READ, &token, "").await.status, 200);
    let rotated = r#"{"credentials":{"token":"canary-second"}}"#;
    let path = format!("/sfp/api/integrations/{id}");
    assert_eq!(t.send("PUT", &format!("{path}/credentials"), &t.owner, rotated).await.status, 200);
    assert!(t.send("GET", READ, &token, "").await.body.contains("canary-second"), "it follows a rotation");
    assert_eq!(t.send("DELETE", &path, &t.owner, "").await.status, 200);
    t.github("canary-third", r#""name":"deploy","isGlobal":true"#).await;
    for query in ["", "?provider=github", "?name=deploy"] {
        let reply = t.send("GET", &format!("{READ}{query}"), &token, "").await;
        assert_eq!((reply.status, reply.body.contains("canary")), (404, false), "{query}: {}", reply.body);
    }
}

#[tokio::test]
async fn a_token_names_integrations_that_exist_and_shows_them() {
    let t = TestServer::start().await;
    let id = t.github("canary", r#""isGlobal":true"#).await;
    let create = async |integrations: &str| {
        let body = format!(r#"{{"name":"ci","integrations":{integrations}}}"#);
        t.send("POST", "/sfp/api/application-tokens", &t.owner, &body).await
    };
    let unknown = "01a21198-0ea8-7d5a-987c-6ee7878c59a0";
    let refused = create(&format!(r#"["{id}","{unknown}"]"#)).await;
    assert_eq!(refused.json()["message"], "integrations[1] must be the id of a stored integration");
    assert_eq!((refused.status, refused.body.contains(unknown)), (400, false));
    for list in ["[]", r#"["deploy key"]"#, r#""x""#] {
        assert_eq!(create(list).await.status, 400, "{list}");
    }
    let many: Vec<String> =
        (0..101).map(|n| format!("\"{}\"", unknown.replace("59a0", &format!("{n:04}")))).collect();
    assert_eq!(create(&format!("[{}]", many.join(","))).await.status, 400);
    let created = create(&format!(r#"["{}"]"#, id.to_uppercase())).await.json();
    let tokens = t.send("GET", "/sfp/api/application-tokens", &t.owner, "").await.json();
    for token in tokens.as_array().unwrap() {
        let is_it = token["id"] == created["id"];
        let shown = if is_it { serde_json::json!([id]) } else { serde_json::Value::Null };
        assert_eq!(token["integrations"], shown);
    }
    let event = t.send("GET", "/sfp/api/audit?action=token.create&limit=1", &t.owner, "").await.json();
    assert_eq!(event[0]["detail"]["integrations"], serde_json::json!([id]));
}

/// The narrowing is in the row, so that it is there after a restart too.
#[tokio::test]
async fn a_narrowing_to_integrations_cannot_be_lost_over_a_lock_and_unlock() {
    let t = TestServer::start().await;
    let id = t.github("canary-one", r#""isGlobal":true"#).await;
    t.github("canary-two", r#""isGlobal":true"#).await;
    let token = narrowed(&t, &[&id]).await;
    let vault = Arc::clone(&t.vault);
    let now = t.clock.now();
    vault.lock(Event::new(now, Actor::host("test"), Action::VaultLock)).await.map_err(drop).unwrap();
    vault.unlock(secret(PASSPHRASE), Actor::host("test"), now, None).await.unwrap();
    let reply = t.send("GET", READ, &token, "").await;
    assert!(reply.body.contains("canary-one") && !reply.body.contains("canary-two"), "{}", reply.body);
}
