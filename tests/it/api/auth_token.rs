//! `GET /repository/auth-token`: which token a caller gets, and what the log says of it.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use sealroom::{
    crypto::digest::sha256,
    domain::{AccessScope, Provider, Role, Timestamp, minutes},
    http::Limits,
};
use serde_json::{Value, json};

use super::minting::{END, events, path, ready, store, stored, tick};
use crate::support::{
    github::{APP_ID, GitHub, INSTALLATION, app, keys, openssl},
    server::{START, TestServer},
};

#[tokio::test]
async fn a_minted_token_is_for_one_repository_and_each_disclosure_is_on_record() {
    let Some((t, github)) = ready().await else { return };
    let config = json!({ "api_base_url": github.url(), "permissions": { "contents": "read" } });
    let id = store(&t, &app(&keys().unwrap().0), &config).await;
    let first = t.send("GET", &path("acme%2Fapp"), &t.app, "").await;
    assert_eq!(first.status, 200, "{}", first.body);
    assert_eq!(
        first.body,
        format!(
            r#"{{"token":"ghs_example_app_1","expiresAt":"{END}","type":"installation","provider":"github","scope":"acme/app"}}"#
        )
    );
    // Twice as much as is fixed: the same token again, to another caller, with its own record.
    let second = t.send("GET", &path("acme%2Fapp"), &t.member, "").await;
    assert_eq!(second.body, first.body);
    let asked = github.asked();
    let lines: Vec<&str> = asked.iter().map(|asked| asked.line.as_str()).collect();
    let tokens = format!("POST /app/installations/{INSTALLATION}/access_tokens");
    assert_eq!(lines, ["GET /repos/acme/app/installation", &tokens]);
    assert_eq!(asked[1].body, json!({ "repositories": ["app"], "permissions": { "contents": "read" } }));
    for asked in &asked {
        let now = START / 1000;
        assert_eq!(asked.claims, json!({ "iat": now - 60, "exp": now + 540, "iss": APP_ID.to_string() }));
    }
    let told = events(&t).await;
    let token = t.caller(&t.app).caller().actor().to_string();
    for (event, actor, action, reply) in [
        (&told[1], token.as_str(), "credentials.mint", &first),
        (&told[0], "user:member@example.com", "credentials.read", &second),
    ] {
        assert_eq!(event["actor"], *actor, "{event}");
        assert_eq!((&event["action"], &event["outcome"]), (&json!(action), &json!("allowed")), "{event}");
        assert_eq!((&event["integrationId"], &event["revision"]), (&json!(id), &json!(1)));
        assert_eq!((&event["provider"], &event["project"]), (&json!("github"), &json!("acme/app")));
        let receipt = format!("{}:{}", event["sequence"], event["leafHash"].as_str().unwrap());
        assert_eq!(reply.header("audit-receipt"), Some(receipt));
    }
    // Another repository has a token of its own.
    let other = t.send("GET", &path("acme/web"), &t.app, "").await.json();
    assert_eq!((&other["token"], &other["scope"]), (&json!("ghs_example_web_2"), &json!("acme/web")));
    let page = t.send("GET", "/metrics", "", "").await.body;
    for line in [
        r#"sealroom_provider_tokens_total{outcome="minted"} 2"#,
        r#"sealroom_provider_tokens_total{outcome="reused"} 1"#,
        r#"sealroom_provider_tokens_total{outcome="failed"} 0"#,
        "sealroom_provider_call_duration_seconds_count 2",
    ] {
        assert!(page.lines().any(|one| one == line), "{line}\n{page}");
    }
    let log = t.send("GET", "/sfp/api/audit/export", &t.owner, "").await.body;
    for secret in ["ghs_example", "PRIVATE KEY", "eyJ"] {
        assert!(!log.contains(secret) && !page.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn every_spelling_of_a_key_mints_and_none_that_cannot_is_ever_stored() {
    let Some((t, github)) = ready().await else { return };
    let (eight, one) = keys().unwrap();
    let config = json!({ "api_base_url": github.url() });
    for (at, key) in [
        eight.clone(),
        one.clone(),
        one.replace('\n', "\\n"),
        eight.replace('\n', "\r\n"),
        format!("\n  {}  \n", one.replace('\n', "\n  ")),
        eight.replace('\n', " "),
    ]
    .iter()
    .enumerate()
    {
        store(&t, &app(key), &config).await;
        let reply = t.send("GET", &path("acme/app"), &t.app, "").await;
        assert_eq!(reply.json()["token"], format!("ghs_example_app_{}", at + 1), "{}", reply.body);
    }
    let id = store(&t, &json!({ "app_id": "Iv1.example", "private_key": one }), &config).await;
    assert_eq!(t.send("GET", &path("acme/app"), &t.app, "").await.status, 200);
    assert_eq!(github.asked().last().unwrap().claims["iss"], "Iv1.example");
    let ec = openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "");
    let half: String = one.lines().take(9).flat_map(|line| [line, "\n"]).collect();
    for (key, says) in [
        ("canary".to_owned(), "it has no line -----BEGIN"),
        (half, "its block has no line -----END"),
        (ec, "it is not an RSA key"),
        (one.replace("RSA PRIVATE", "ENCRYPTED PRIVATE"), "encrypted with a passphrase"),
        (one.replace("RSA PRIVATE", "OPENSSH PRIVATE"), "OpenSSH's format"),
        (one.replace("RSA PRIVATE", "PUBLIC"), "hold no private key"),
        (one.replacen("MII", "canary", 1), "its block is damaged"),
    ] {
        let create = stored(&app(&key), &config);
        let rotate = json!({ "credentials": app(&key) }).to_string();
        for (method, path, body) in [
            ("POST", "/sfp/api/integrations".to_owned(), &create),
            ("PUT", format!("/sfp/api/integrations/{id}/credentials"), &rotate),
        ] {
            let reply = t.send(method, &path, &t.owner, body).await;
            assert_eq!(
                (reply.status, &reply.json()["code"]),
                (400, &json!("invalid_field")),
                "{}",
                reply.body
            );
            let message = reply.json()["message"].as_str().unwrap().to_owned();
            assert!(message.starts_with("credentials.private_key must be an RSA private key"), "{message}");
            assert!(message.contains(says), "{message}");
            assert!(!message.contains("canary") && !message.contains("MII"), "{message}");
        }
    }
    for config in [
        json!({ "api_base_url": "http://127.0.0.1" }),
        json!({ "api_base_url": "https://user:canary@127.0.0.1" }),
        json!({ "permissions": { "contents": "all" } }),
        json!({ "permissions": {} }),
        json!({ "installation_id": "canary" }),
    ] {
        let create = stored(&app(one), &config);
        let patch = json!({ "config": config }).to_string();
        for (method, path, body) in [
            ("POST", "/sfp/api/integrations".to_owned(), &create),
            ("PATCH", format!("/sfp/api/integrations/{id}"), &patch),
        ] {
            let reply = t.send(method, &path, &t.owner, body).await;
            assert_eq!(
                (reply.status, &reply.json()["code"]),
                (400, &json!("invalid_field")),
                "{}",
                reply.body
            );
            assert!(!reply.body.contains("canary"), "{}", reply.body);
        }
    }
    assert_eq!(t.send("GET", &path("acme/app"), &t.app, "").await.status, 200, "the old one still mints");
}

#[tokio::test]
async fn an_app_is_preferred_to_a_token_and_the_rules_of_a_read_choose() {
    let Some((t, github)) = ready().await else { return };
    let config = json!({ "api_base_url": github.url() });
    let get = async |project: &str, bearer: &str| t.send("GET", &path(project), bearer, "").await;
    let missing = async |project: &str, code: &str| {
        let reply = get(project, &t.app).await;
        assert_eq!((reply.status, reply.json()["code"].as_str()), (404, Some(code)), "{}", reply.body);
        assert_eq!(reply.json()["message"], "Repository not found");
    };
    missing("acme/none", "project_not_found").await;
    missing("acme/app", "integration_not_found").await;
    let told = events(&t).await;
    assert!(told.iter().all(|event| event["outcome"] == "failed" && event["action"] == "credentials.read"));
    assert_eq!((&told[0]["project"], &told[1]["project"]), (&json!("acme/app"), &json!("acme/none")));
    // A global token, then a newer one that says when it ends, then an App, which is older than the last token.
    t.github("ghp_example_old", r#""isGlobal":true"#).await;
    let reply = get("acme/app", &t.app).await;
    assert_eq!(
        reply.body,
        r#"{"token":"ghp_example_old","expiresAt":null,"type":"pat","provider":"github","scope":"acme/app"}"#
    );
    tick(&t);
    t.github("ghp_example_new", r#""isGlobal":true,"expiresAt":"2027-01-01T00:00:00Z""#).await;
    let pat = get("acme/app", &t.app).await.json();
    assert_eq!(
        (&pat["token"], &pat["expiresAt"]),
        (&json!("ghp_example_new"), &json!("2027-01-01T00:00:00.000Z"))
    );
    store(&t, &app(&keys().unwrap().0), &config).await;
    tick(&t);
    t.github("ghp_example_newest", r#""isGlobal":true"#).await;
    assert_eq!(get("acme/app", &t.app).await.json()["type"], "installation");
    // A project's own comes before the global App; another provider's and another type's are not looked at.
    t.github("ghp_example_own", r#""projects":["acme/web"]"#).await;
    let own = r#"{"provider":"github","authType":"oauth","credentials":{"token":"ghp_example_oauth"},"projects":["acme/web"]}"#;
    assert_eq!(t.send("POST", "/sfp/api/integrations", &t.owner, own).await.status, 201);
    assert_eq!(get("acme/web", &t.app).await.json()["token"], "ghp_example_own");
    // Narrowed callers.
    let narrowed = |projects: &[&str], providers: Option<Vec<Provider>>| AccessScope {
        projects: Some(projects.iter().map(|one| one.parse().unwrap()).collect()),
        providers,
        ..AccessScope::default()
    };
    let own = t.token(Role::Application, narrowed(&["acme/web"], None)).await;
    assert_eq!(get("acme/web", &own).await.status, 200);
    let denied = get("acme/app", &own).await;
    assert_eq!((denied.status, denied.json()["code"].as_str()), (403, Some("outside_projects")));
    assert_eq!(events(&t).await[0]["outcome"], "denied");
    let jira = t.token(Role::Application, narrowed(&["acme/web"], Some(vec![Provider::Jira]))).await;
    assert_eq!(get("acme/web", &jira).await.json()["code"], "outside_providers");
    let one = AccessScope { integrations: Some(Vec::new()), ..AccessScope::default() };
    let none = t.token(Role::Application, one).await;
    assert_eq!(get("acme/app", &none).await.json()["code"], "integration_not_found");
    // The request itself.
    let route = "/sfp/api/repository/auth-token";
    assert_eq!(t.send("HEAD", &path("acme/app"), &t.app, "").await.status, 405);
    for query in ["", "?repositoryIdentifier=", "?repository=acme/app", "?repositoryIdentifier=a//b"] {
        assert_eq!(t.send("GET", &format!("{route}{query}"), &t.app, "").await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn no_other_host_is_ever_called_than_the_settings_list() {
    let Some(github) = GitHub::start(END) else { return };
    let config = json!({ "api_base_url": github.url() });
    let key = &keys().unwrap().0;
    let refused = async |t: &TestServer, says: &str| {
        let reply = t.send("GET", &path("acme/app"), &t.app, "").await;
        assert_eq!(
            (reply.status, &reply.json()["code"]),
            (503, &json!("outgoing_disabled")),
            "{}",
            reply.body
        );
        assert!(reply.json()["message"].as_str().unwrap().contains(says), "{}", reply.body);
        assert!(reply.header("retry-after").is_some());
    };
    // Off, as by default: a stored token is still there.
    let t = TestServer::start_with(Limits::STANDARD).await;
    t.project("acme/app").await;
    t.github("ghp_example", r#""isGlobal":true"#).await;
    assert_eq!(t.send("GET", &path("acme/app"), &t.app, "").await.json()["token"], "ghp_example");
    store(&t, &app(key), &config).await;
    refused(&t, "[outgoing] enabled").await;
    // On, for another host, another port, and GitHub's own.
    for url in ["https://127.0.0.2", "https://127.0.0.1", "https://localhost"] {
        let other = format!("{url}:{}", if url.ends_with(".1") { 443 } else { github.port });
        let t = TestServer::calling(github.allowed()).await;
        t.project("acme/app").await;
        store(&t, &app(key), &json!({ "api_base_url": other })).await;
        refused(&t, "[outgoing] hosts").await;
    }
    assert_eq!(github.asked().len(), 0);
}

#[tokio::test]
async fn no_token_outlives_what_it_was_minted_from() {
    let Some((t, github)) = ready().await else { return };
    let (eight, one) = keys().unwrap();
    let config = json!({ "api_base_url": github.url() });
    let id = store(&t, &app(eight), &config).await;
    let at = format!("/sfp/api/integrations/{id}");
    let token = async || {
        let reply = t.send("GET", &path("acme/app"), &t.app, "").await;
        reply.json()["token"].as_str().map(str::to_owned).ok_or(reply.status)
    };
    let nth = |number: usize| Ok(format!("ghs_example_app_{number}"));
    let change = async |method: &str, path: &str, body: Value| {
        assert!(t.send(method, path, &t.owner, &body.to_string()).await.status < 300, "{method} {path}");
    };
    assert_eq!((token().await, token().await), (nth(1), nth(1)));
    change("PUT", &format!("{at}/credentials"), json!({ "credentials": app(one) })).await;
    assert_eq!((token().await, token().await), (nth(2), nth(2)), "rotated");
    change("POST", &format!("{at}/rollback"), json!({ "revision": 1 })).await;
    assert_eq!(token().await, nth(3), "rolled back");
    let narrower = json!({ "api_base_url": github.url(), "permissions": { "contents": "read" } });
    change("PATCH", &at, json!({ "config": narrower })).await;
    assert_eq!(token().await, nth(4), "other permissions");
    assert_eq!(github.asked().last().unwrap().body["permissions"], json!({ "contents": "read" }));
    change("PATCH", &at, json!({ "projects": ["acme/web"] })).await;
    assert_eq!(token().await, Err(404), "another scope");
    change("PATCH", &at, json!({ "isGlobal": true })).await;
    assert_eq!(token().await, nth(5));
    // Near its end, which is an hour away.
    t.clock.set(Timestamp::from_millis(START).plus(minutes(50)).minus(Duration::from_millis(1)));
    assert_eq!(token().await, nth(5), "ten minutes left");
    t.clock.set(Timestamp::from_millis(START).plus(minutes(50)));
    assert_eq!(token().await, nth(6));
    change("DELETE", &at, Value::Null).await;
    assert_eq!(token().await, Err(404), "deleted");
    store(&t, &app(eight), &config).await;
    assert_eq!(token().await, nth(7), "a new App has none of the old one's");
}

/// GitHub's audit log has the token's hash too: a search there finds what a leaked token did.
#[tokio::test]
async fn a_minted_token_is_exposed_by_its_hash_until_its_end_and_the_key_of_its_app_is_not() {
    let Some((t, github)) = ready().await else { return };
    let id = store(&t, &app(&keys().unwrap().0), &json!({ "api_base_url": github.url() })).await;
    let token = t.send("GET", &path("acme%2Fapp"), &t.member, "").await.json()["token"].clone();
    t.send("GET", &path("acme%2Fapp"), &t.member, "").await;
    let ask = async || {
        let path = "/sfp/api/audit/exposure?actor=user:member@example.com";
        t.send("GET", path, &t.owner, "").await.json()
    };
    let answer = ask().await;
    let minted = &answer["minted"][0];
    let hash = STANDARD.encode(sha256(token.as_str().unwrap().as_bytes()));
    assert_eq!((&minted["hashedToken"], &minted["expiresAt"]), (&json!(hash), &json!(END)), "{answer}");
    assert_eq!((&minted["integrationId"], &minted["received"]["count"]), (&json!(id), &json!(2)));
    assert_eq!((answer["minted"].as_array().unwrap().len(), &answer["live"]), (1, &json!([])));
    // The key itself, which another route discloses, is a value of its own.
    t.send("GET", "/sfp/api/integrations/credentials?provider=github", &t.member, "").await;
    assert_eq!(ask().await["live"][0]["integrationId"], json!(id));
    t.clock.set(t.clock.now().plus(minutes(59)));
    assert_eq!(ask().await["minted"].as_array().unwrap().len(), 1);
    t.clock.set(END.parse().unwrap());
    let owner = t.login("owner@example.com").await;
    let path = "/sfp/api/audit/exposure?actor=user:member@example.com";
    assert_eq!(t.send("GET", path, &owner, "").await.json()["minted"], json!([]));
}
