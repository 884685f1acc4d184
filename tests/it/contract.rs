//! The HTTP contract, as a client sees it.

use sealroom::domain::{Narrowing, Role, days, seconds};

use super::server::{OWNER, PASSWORD, TestServer};

const GLOBAL: &str = r#""isGlobal":true"#;
const CREDENTIALS: &str = "/sfp/api/integrations/credentials";

#[tokio::test]
async fn credentials_come_back_byte_for_byte() {
    let t = TestServer::start().await;
    let odd = r#"{ "token" : "ghp_\u0065xample\/" ,  "n": 1.50e3, "big": 123456789012345678901234567890, "a":[ ],"é":"ü" }"#;
    let body = format!(r#"{{"provider":"github","authType":"pat","isGlobal":true,"credentials":{odd}}}"#);
    assert_eq!(t.send("POST", "/sfp/api/integrations", &t.owner, &body).await.status, 201);
    let read = t.send("GET", CREDENTIALS, &t.app, "").await;
    assert!(read.body.ends_with(&format!(r#""credentials":{odd}}}]"#)), "{}", read.body);
}

#[tokio::test]
async fn a_project_comes_first_and_global_is_the_fallback() {
    let t = TestServer::start().await;
    t.project("acme/app").await;
    t.project("acme/web").await;
    t.github("ghp_example_global", GLOBAL).await;
    t.github("ghp_example_app", r#""projects":["acme/app"]"#).await;
    let read = |query: &'static str| t.send("GET", query, &t.app, "");
    let app = read("/sfp/api/integrations/credentials?provider=github&project=acme/app").await;
    assert!(app.body.contains("ghp_example_app") && !app.body.contains("ghp_example_global"), "{}", app.body);
    let web = read("/sfp/api/integrations/credentials?provider=github&project=acme%2Fweb").await;
    assert!(!web.body.contains("ghp_example_app") && web.body.contains("ghp_example_global"), "{}", web.body);
    let mistyped = read("/sfp/api/integrations/credentials?provider=github&project=acme/ap").await;
    assert_eq!(
        (mistyped.status, mistyped.json()["message"].as_str()),
        (404, Some("Project 'acme/ap' not found"))
    );
    let none = read("/sfp/api/integrations/credentials?provider=jira&project=acme/app").await;
    let message = "No integration found for provider=jira, project=acme/app";
    assert_eq!((none.status, none.json()["message"].as_str()), (404, Some(message)));
}

#[tokio::test]
async fn a_disclosure_is_on_record_and_its_receipt_names_the_record() {
    let t = TestServer::start().await;
    let id = t.github("ghp_example", GLOBAL).await;
    let read = t.send("GET", CREDENTIALS, &t.app, "").await;
    let (sequence, hash) = read
        .header("audit-receipt")
        .unwrap()
        .split_once(':')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let log = t.send("GET", "/sfp/api/audit?action=credentials.read", &t.owner, "").await.json();
    let event = &log[0];
    assert_eq!(event["sequence"].to_string(), sequence);
    assert_eq!(event["leafHash"].as_str(), Some(hash.as_str()));
    assert_eq!(event["integrationId"].as_str(), Some(id.as_str()));
    assert!(event["actor"].as_str().unwrap().starts_with("app:"));
    let all = t.send("GET", "/sfp/api/audit?limit=1", &t.owner, "").await;
    assert_eq!(all.json()[0]["action"], "audit.read", "a read of the log is the last event that it shows");
    assert!(all.header("x-next-cursor").is_some());
}

#[tokio::test]
async fn bad_requests_say_what_to_do_and_repeat_nothing() {
    let t = TestServer::start().await;
    let create = "/sfp/api/integrations";
    for (body, message) in [
        (
            r#"{"provider":"github","authType":"pat","credentials":{"token":"canary-1"}}"#,
            "Either isGlobal or projects must be specified",
        ),
        (
            r#"{"provider":"github","authType":"pat","credentials":{"token":"canary-1"},"projects":["x/y"]}"#,
            "Project 'x/y' not found",
        ),
        (
            r#"{"provider":"github","authType":"pat","credentials":{"token":"canary-1"},"isGlobal":true,"projects":["x/y"]}"#,
            "",
        ),
        (r#"{"provider":"github","authType":"pat","credentials":{"tok":"canary-1"},"isGlobal":true}"#, ""),
        (r#"{"provider":"canary-1","authType":"pat","credentials":{"token":"x"},"isGlobal":true}"#, ""),
        (
            r#"{"provider":"github","authType":"pat","credentials":{"token":"canary-1"},"isGlobal":true,"extra":1}"#,
            "",
        ),
        (
            r#"{"provider":"github","provider":"github","authType":"pat","credentials":{"token":"canary-1"},"isGlobal":true}"#,
            "",
        ),
        (r#"{"provider":"custom","authType":"pat","credentials":{"token":"canary-1"},"isGlobal":true}"#, ""),
        (
            r#"{"provider":"github","authType":"pat","credentials":{"token":"canary-1"},"isGlobal":true,"expiresAt":"2020-01-01T00:00:00Z"}"#,
            "",
        ),
        (r#"{"provider": canary-1"#, ""),
        ("[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", ""),
    ] {
        let reply = t.send("POST", create, &t.owner, body).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.body);
        assert!(reply.body.contains(message) && !reply.body.contains("canary-1"), "{}", reply.body);
        assert!(reply.json()["requestId"].is_string() && reply.json()["code"].is_string());
    }
    for query in ["projet=acme/app", "provider=", "provider=github&provider=jira", "limit=0", "provider=nope"]
    {
        let reply = t.send("GET", &format!("{CREDENTIALS}?{query}"), &t.app, "").await;
        assert_eq!(reply.status, 400, "{query}");
    }
    assert_eq!(t.send("GET", "/sfp/api/integrations/nonsense", &t.owner, "").await.status, 400);
    let unknown = "/sfp/api/integrations/01a21198-0ea8-7d5a-987c-6ee7878c59a0";
    assert_eq!(t.send("GET", unknown, &t.owner, "").await.status, 404);
    let large = format!(r#"{{"x":"{}"}}"#, "a".repeat(70_000));
    assert_eq!(t.send("POST", create, &t.owner, &large).await.status, 413);
    let brewed = t.send("BREW", create, "", "").await;
    assert_eq!((brewed.status, brewed.header("allow").as_deref()), (405, Some("GET, HEAD, POST")));
    assert_eq!(t.send("GET", CREDENTIALS, &t.app, "").await.status, 404, "nothing was stored");
}

#[tokio::test]
async fn tokens_that_let_nobody_in_look_alike_and_an_expired_one_says_so() {
    let t = TestServer::start().await;
    t.github("ghp_example", GLOBAL).await;
    let revoked = t.token(Role::Application, Narrowing::default()).await;
    assert_eq!(t.send("GET", CREDENTIALS, &revoked, "").await.status, 200);
    assert_eq!(
        t.send("DELETE", &format!("/sfp/api/application-tokens/{revoked}"), &t.owner, "").await.status,
        200
    );
    let (rest, last) = t.app.split_at(t.app.len() - 1);
    let mistyped = format!("{rest}{}", if last == "x" { "y" } else { "x" });
    let mut messages = Vec::new();
    for bearer in ["", "nonsense", &mistyped, &revoked] {
        let reply = t.send("GET", CREDENTIALS, bearer, "").await;
        assert_eq!((reply.status, reply.header("www-authenticate").as_deref()), (401, Some("Bearer")));
        messages.push((reply.json()["code"].clone(), reply.json()["message"].clone()));
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "{messages:?}");
    t.clock.set(t.clock.now().plus(days(25)));
    assert!(t.send("GET", CREDENTIALS, &t.app, "").await.header("token-expires-at").is_some());
    t.clock.set(t.clock.now().plus(days(6)));
    let expired = t.send("GET", CREDENTIALS, &t.app, "").await;
    assert_eq!((expired.status, expired.json()["code"].as_str()), (401, Some("token_expired")));
}

#[tokio::test]
async fn a_credential_is_rotated_rolled_back_and_deleted() {
    let t = TestServer::start().await;
    let id = t.github("ghp_example_1", GLOBAL).await;
    let path = format!("/sfp/api/integrations/{id}");
    for n in 2..=7 {
        let body = format!(r#"{{"credentials":{{"token":"ghp_example_{n}"}}}}"#);
        let reply = t.send("PUT", &format!("{path}/credentials"), &t.owner, &body).await;
        assert_eq!((reply.status, reply.json()["revision"].as_u64()), (200, Some(n)));
    }
    let rollback = |n: u64| {
        let (path, body) = (format!("{path}/rollback"), format!(r#"{{"revision":{n}}}"#));
        let t = &t;
        async move { t.send("POST", &path, &t.owner, &body).await }
    };
    assert_eq!(rollback(2).await.status, 404, "five revisions are kept");
    assert_eq!(rollback(3).await.json()["revision"], 8);
    assert!(t.send("GET", CREDENTIALS, &t.app, "").await.body.contains("ghp_example_3"));
    assert_eq!(
        t.send("PUT", &format!("{path}/credentials"), &t.member, r#"{"credentials":{"token":"x"}}"#)
            .await
            .status,
        403
    );
    assert_eq!(t.send("PATCH", &path, &t.owner, r#"{"name":"deploy"}"#).await.json()["name"], "deploy");
    assert_eq!(t.send("PATCH", &path, &t.owner, "{}").await.status, 400);
    assert_eq!(t.send("DELETE", &path, &t.owner, "").await.json()["success"], true);
    assert_eq!(t.send("GET", CREDENTIALS, &t.app, "").await.status, 404);
}

#[tokio::test]
async fn a_refresh_token_works_once_with_a_grace_and_reuse_ends_the_session() {
    let t = TestServer::start().await;
    let body = format!(r#"{{"email":" Owner@Example.COM ","password":"{PASSWORD}"}}"#);
    let login = t.send("POST", "/sfp/api/auth/admin/login", "", &body).await;
    assert_eq!(login.status, 200, "{}", login.body);
    let first = login.json()["refresh_token"].as_str().unwrap().to_owned();
    let refresh = |token: String| {
        let t = &t;
        async move {
            t.send("POST", "/sfp/api/auth/refresh", "", &format!(r#"{{"refresh_token":"{token}"}}"#)).await
        }
    };
    let second = refresh(first.clone()).await;
    assert_eq!(second.status, 200, "{}", second.body);
    assert_eq!(refresh(first.clone()).await.status, 200, "within the grace");
    t.clock.set(t.clock.now().plus(seconds(31)));
    let access = second.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(t.send("GET", "/sfp/api/users/me", &access, "").await.json()["email"], OWNER);
    assert_eq!(refresh(first).await.status, 401);
    assert_eq!(t.send("GET", "/sfp/api/users/me", &access, "").await.status, 401, "the session has ended");
}
