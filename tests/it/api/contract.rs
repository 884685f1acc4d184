//! The HTTP contract, as a client sees it.

use sealroom::domain::{AccessScope, Role, days, seconds};

use crate::support::server::{OWNER, PASSWORD, TestServer};

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
    let revoked = t.token(Role::Application, AccessScope::default()).await;
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
    // Every answer says it: a reader that finds nothing is told too.
    for (path, status) in [
        (CREDENTIALS.to_owned(), 200),
        (format!("{CREDENTIALS}?provider=npm"), 404),
        (format!("{CREDENTIALS}?limit=0"), 400),
        ("/sfp/api/integrations".to_owned(), 403),
    ] {
        let reply = t.send("GET", &path, &t.app, "").await;
        assert_eq!((reply.status, reply.header("token-expires-at").is_some()), (status, true), "{path}");
    }
    t.clock.set(t.clock.now().plus(days(6)));
    let expired = t.send("GET", CREDENTIALS, &t.app, "").await;
    assert_eq!((expired.status, expired.json()["code"].as_str()), (401, Some("token_expired")));
}

#[tokio::test]
async fn a_narrowed_token_names_no_other_project_not_even_for_what_is_global() {
    let t = TestServer::start().await;
    t.project("acme/app").await;
    t.project("acme/web").await;
    t.github("ghp_example_global", GLOBAL).await;
    let scope = AccessScope { projects: Some(vec!["acme/app".parse().unwrap()]), ..AccessScope::default() };
    let token = t.token(Role::Application, scope).await;
    let read =
        async |project: &str| t.send("GET", &format!("{CREDENTIALS}?project={project}"), &token, "").await;
    assert_eq!(read("acme/app").await.status, 200);
    for other in ["acme/web", "acme/none"] {
        let refused = read(other).await;
        assert_eq!(refused.status, 403, "{other}: {}", refused.body);
        assert!(!refused.body.contains("ghp_"), "{other}");
    }
}

#[tokio::test]
async fn an_access_token_of_a_session_ends_with_its_hour_and_says_so() {
    let t = TestServer::start().await;
    let (begin, me) = (t.clock.now(), async || t.send("GET", "/sfp/api/users/me", &t.owner, "").await);
    t.clock.set(begin.plus(seconds(3_599)));
    assert_eq!(me().await.status, 200);
    t.clock.set(begin.plus(seconds(3_600)));
    let expired = me().await;
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

fn message(reply: &crate::support::server::Reply) -> (u16, String) {
    (reply.status, reply.json()["message"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn the_messages_that_the_published_api_fixes_are_word_for_word() {
    let t = TestServer::start().await;
    t.project("acme/app").await;
    let project = r#"{"identifier":"acme/app","remoteUrl":"https://github.com/acme/app"}"#;
    let again = t.send("POST", "/sfp/api/projects", &t.owner, project).await;
    assert_eq!(message(&again), (409, "The project already exists.".to_owned()));
    let denied = t.send("POST", "/sfp/api/projects", &t.member, project).await;
    assert_eq!(message(&denied), (403, "Forbidden - Requires role: owner".to_owned()));
    let neither = r#"{"provider":"npm","authType":"pat","credentials":{"token":"x"}}"#;
    let neither = t.send("POST", "/sfp/api/integrations", &t.owner, neither).await;
    assert_eq!(message(&neither), (400, "Either isGlobal or projects must be specified".to_owned()));
    let xyz =
        r#"{"provider":"npm","authType":"pat","credentials":{"token":"x"},"projects":["acme/app","x/yz"]}"#;
    let xyz = t.send("POST", "/sfp/api/integrations", &t.owner, xyz).await;
    assert_eq!(message(&xyz), (400, "Project 'x/yz' not found".to_owned()));
}

#[tokio::test]
async fn without_a_provider_a_project_hides_what_is_global_provider_by_provider() {
    let t = TestServer::start().await;
    t.project("acme/app").await;
    for (provider, name, value, scope) in [
        ("github", "null", "github-global", GLOBAL),
        ("github", "null", "github-app", r#""projects":["acme/app"]"#),
        ("npm", "null", "npm-global", GLOBAL),
        ("azuredevops", "null", "azure-global", GLOBAL),
        ("azure-devops", "null", "azure-app", r#""projects":["acme/app"]"#),
        ("custom", r#""one""#, "one-global", GLOBAL),
        ("custom", r#""two""#, "two-global", GLOBAL),
        ("custom", r#""two""#, "two-app", r#""projects":["acme/app"]"#),
    ] {
        // Within one millisecond "newest" means nothing.
        t.clock.set(t.clock.now().plus(seconds(1)));
        let body = format!(
            r#"{{"provider":"{provider}","authType":"pat","name":{name},"credentials":{{"token":"{value}"}},{scope}}}"#
        );
        let reply = t.send("POST", "/sfp/api/integrations", &t.owner, &body).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
    }
    for (query, values) in [
        ("?project=acme/app", "two-app one-global azure-app npm-global github-app"),
        ("?project=acme/app&name=two", "two-app"),
        ("?project=acme/app&provider=azuredevops", "azure-app"),
        ("?provider=azure-devops", "azure-app azure-global"),
        ("?provider=custom&name=one", "one-global"),
        ("?limit=2", "two-app two-global"),
    ] {
        let read = t.send("GET", &format!("{CREDENTIALS}{query}"), &t.app, "").await.json();
        let newest_first: Vec<_> =
            read.as_array().unwrap().iter().map(|one| &one["credentials"]["token"]).collect();
        assert_eq!(newest_first, values.split(' ').collect::<Vec<_>>(), "{query}");
    }
    let azure = t.send("GET", &format!("{CREDENTIALS}?provider=azuredevops"), &t.app, "").await.json();
    assert_eq!(azure[0]["provider"], "azure-devops", "the answer echoes what was stored");
}

#[tokio::test]
async fn a_cursor_walks_all_credentials_once() {
    let t = TestServer::start().await;
    for n in 0..5 {
        t.clock.set(t.clock.now().plus(seconds(1)));
        t.github(&format!("ghp_example_{n}"), GLOBAL).await;
    }
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let page = t.send("GET", &format!("{CREDENTIALS}?limit=2{cursor}"), &t.app, "").await;
        seen.extend(page.json().as_array().unwrap().iter().map(|one| one["credentials"]["token"].clone()));
        let Some(next) = page.header("x-next-cursor") else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, ["ghp_example_4", "ghp_example_3", "ghp_example_2", "ghp_example_1", "ghp_example_0"]);
}

#[tokio::test]
async fn a_refused_parameter_or_field_is_named_unless_it_looks_like_a_secret() {
    let t = TestServer::start().await;
    for (query, named) in [
        ("projet=acme/app", "projet"),
        ("provider=", "provider"),
        ("provider=github&provider=github", "provider"),
        ("limit=1001", "limit"),
        ("cursor=x", ""),
        ("canary%20one=1", ""),
    ] {
        let reply = t.send("GET", &format!("{CREDENTIALS}?{query}"), &t.app, "").await;
        assert_eq!(reply.status, 400, "{query}");
        assert!(
            message(&reply).1.contains(named) && !reply.body.contains("canary"),
            "{query}: {}",
            reply.body
        );
    }
    let body = r#"{"provider":"npm","authType":"pat","credentials":{"token":"x"},"isGlobal":true,"NAME":1}"#;
    for (field, named) in [("expires", true), ("canary canary", false)] {
        let reply = t.send("POST", "/sfp/api/integrations", &t.owner, &body.replace("NAME", field)).await;
        assert_eq!((reply.status, reply.json()["code"].as_str()), (400, Some("unknown_field")));
        assert_eq!(message(&reply).1.contains(field), named, "{}", reply.body);
    }
}

#[tokio::test]
async fn nothing_is_parsed_for_a_caller_who_is_not_let_in() {
    let t = TestServer::start().await;
    let (json, create) = ("Content-Type: application/json\r\n", "/sfp/api/integrations");
    let large = "a".repeat(70_000);
    for (bearer, headers, body, status) in [
        ("nonsense", json, "{", 401),
        ("nonsense", json, &*large, 401),
        (&*t.app, "", "{", 403),
        (&t.app, json, &large, 403),
        (&t.owner, json, &large, 413),
        (&t.owner, "", "{}", 415),
        (&t.owner, "Content-Type: text/plain\r\n", "{}", 415),
        (&t.owner, "Content-Type: Application/JSON; charset=utf-8\r\n", "{", 400),
    ] {
        let reply = t.send_with("POST", create, bearer, headers, body).await;
        assert_eq!(reply.status, status, "{headers:?} {}", reply.body);
    }
    let read = t.send_with("GET", "/sfp/api/users/me", &t.owner, json, "").await;
    assert_eq!(read.status, 200, "a GET that claims a JSON body and has none is normal");
}

#[tokio::test]
async fn head_works_but_where_something_is_disclosed() {
    let t = TestServer::start().await;
    t.github("ghp_example", GLOBAL).await;
    let list = t.send("HEAD", "/sfp/api/integrations", &t.owner, "").await;
    assert_eq!((list.status, &*list.body), (200, ""));
    let read = t.send("HEAD", CREDENTIALS, &t.app, "").await;
    assert_eq!((read.status, read.header("allow").as_deref()), (405, Some("GET")));
    let read = t.send("GET", CREDENTIALS, &t.app, "").await;
    for (name, value) in [("cache-control", "no-store"), ("x-content-type-options", "nosniff")] {
        assert_eq!(read.header(name).as_deref(), Some(value));
    }
    assert!(read.header("x-request-id").is_some());
}

#[tokio::test]
async fn a_logout_ends_both_tokens_of_its_session_and_no_other() {
    let t = TestServer::start().await;
    let body = format!(r#"{{"email":"{OWNER}","password":"{PASSWORD}"}}"#);
    let login = t.send("POST", "/sfp/api/auth/login", "", &body).await.json();
    let access = login["access_token"].as_str().unwrap();
    assert_eq!(t.send("POST", "/sfp/api/auth/logout", access, "").await.status, 204);
    assert_eq!(t.send("GET", "/sfp/api/users/me", access, "").await.status, 401);
    let refresh = format!(r#"{{"refresh_token":{}}}"#, login["refresh_token"]);
    assert_eq!(t.send("POST", "/sfp/api/auth/refresh", "", &refresh).await.status, 401);
    assert_eq!(t.send("GET", "/sfp/api/users/me", &t.owner, "").await.status, 200);
}
