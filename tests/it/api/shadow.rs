//! A member's integration that pipelines read in the place of an owner's: recorded, and refused where a setting says so.

use sealroom::{
    domain::Role,
    http::Limits,
    vault::{Settings, Vault},
};
use serde_json::Value;

use crate::support::{
    memory_disk::shared,
    server::{PASSWORD, TestServer, plan, settings},
};

async fn server(members_may_shadow: bool) -> TestServer {
    let (_, medium) = shared(&[]);
    Vault::create(medium.clone(), 1 << 20, &plan()).unwrap();
    let vault = Vault::open(medium, Settings { members_may_shadow, ..settings() }).unwrap();
    let t = TestServer::over(vault, Limits::STANDARD, "127.0.0.1:0", false).await;
    t.project("acme/app").await;
    t.project("acme/other").await;
    t
}

async fn store(t: &TestServer, bearer: &str, provider: &str, scope: &str) -> (u16, Value) {
    let body = format!(
        r#"{{"provider":"{provider}","authType":"pat","credentials":{{"token":"example"}},{scope}}}"#
    );
    let made = t.send("POST", "/sfp/api/integrations", bearer, &body).await;
    (made.status, made.json())
}

const GLOBAL: &str = r#""isGlobal":true"#;
const APP: &str = r#""projects":["acme/app"]"#;
const OTHER: &str = r#""projects":["acme/other"]"#;

/// The owner's role of today says nothing of the day on which it stored something.
#[tokio::test]
async fn a_demotion_leaves_with_the_owners_what_the_demoted_stored_as_one() {
    for (may, demotion) in [
        (false, r#"{"role":"member"}"#),
        (true, r#"{"role":"member","projects":["acme/app"]}"#),
        (false, r#"{"role":"member","disabled":false,"password":"password-example-2"}"#),
        (false, "twice"),
    ] {
        let t = server(may).await;
        let email = "ada@example.com";
        let ada = t.user(email, Role::Owner, Default::default()).await;
        let mut ids = Vec::new();
        for (provider, scope) in [("github", GLOBAL), ("npm", APP)] {
            ids.push(store(&t, &ada, provider, scope).await.1["id"].as_str().unwrap().to_owned());
        }
        t.change_user(email, if demotion == "twice" { r#"{"role":"member"}"# } else { demotion }).await;
        if demotion == "twice" {
            t.change_user(email, r#"{"role":"owner"}"#).await;
            t.change_user(email, r#"{"role":"member"}"#).await;
        }
        let password = if demotion.contains("password") { "password-example-2" } else { PASSWORD };
        let login = serde_json::json!({ "email": email, "password": password }).to_string();
        let login = t.send("POST", "/sfp/api/auth/login", "", &login).await.json();
        let ada = login["access_token"].as_str().unwrap().to_owned();
        // The demoted one is a member like any other: to what it stored as an owner it does nothing.
        for id in &ids {
            let path = format!("/sfp/api/integrations/{id}");
            for (method, path, body) in [
                ("PUT", format!("{path}/credentials"), r#"{"credentials":{"token":"y"}}"#),
                ("POST", format!("{path}/rollback"), r#"{"revision":1}"#),
                ("PATCH", path, r#"{"name":"x"}"#),
            ] {
                let refused = t.send(method, &path, &ada, body).await;
                assert_eq!((refused.status, &refused.json()["code"]), (403, &"not_creator".into()), "{path}");
            }
        }
        assert_eq!(t.send("GET", "/sfp/api/integrations/mine", &ada, "").await.body, "[]");
        for bearer in [&t.member, &ada] {
            for (provider, scope) in [("npm", APP), ("github", APP)] {
                let (status, made) = store(&t, bearer, provider, scope).await;
                assert_eq!(status, if may { 201 } else { 409 }, "{demotion} {provider} {scope}: {made}");
            }
        }
        let events = t.send("GET", "/sfp/api/audit?action=integration.shadow", &t.owner, "").await.json();
        assert_eq!(events.as_array().unwrap().len(), if may { 4 } else { 0 }, "{events}");
        // An integration that it stores from now on is a member's: its own, and no owner's to a colleague.
        let (status, made) = store(&t, &ada, "gitlab", APP).await;
        assert_eq!(status, 201, "{made}");
        let path = format!("/sfp/api/integrations/{}/credentials", made["id"].as_str().unwrap());
        assert_eq!(t.send("PUT", &path, &ada, r#"{"credentials":{"token":"y"}}"#).await.status, 200);
        assert_eq!(store(&t, &t.member, "gitlab", APP).await.0, 201);
        // The log says how many passed to the owners.
        let events = t.send("GET", "/sfp/api/audit?action=user.update", &t.owner, "").await.json();
        let first = events.as_array().unwrap().last().unwrap();
        assert_eq!(first["detail"]["count"], 2, "{first}");
    }
}

#[tokio::test]
async fn a_member_hides_no_owners_integration_without_an_event_or_where_the_setting_forbids_it() {
    for may in [true, false] {
        let t = server(may).await;
        let second = t.user("joe@example.com", Role::Member, Default::default()).await;
        let (_, global) = store(&t, &t.owner, "github", GLOBAL).await;
        let (_, scoped) = store(&t, &t.owner, "npm", APP).await;
        // Nothing of an owner's is hidden: another provider, another project, an owner, one's own and a colleague's.
        for (bearer, provider, scope) in [
            (&t.member, "gitlab", GLOBAL),
            (&t.member, "gitlab", APP),
            (&second, "gitlab", APP),
            (&t.member, "npm", OTHER),
            (&t.owner, "github", OTHER),
        ] {
            assert_eq!(store(&t, bearer, provider, scope).await.0, 201, "{provider} {scope}");
        }
        let mut hidden = Vec::new();
        for (provider, scope, of) in
            [("npm", APP, &scoped), ("github", GLOBAL, &global), ("github", APP, &global)]
        {
            let (status, made) = store(&t, &t.member, provider, scope).await;
            assert_eq!(status, if may { 201 } else { 409 }, "{provider} {scope}: {made}");
            if !may {
                assert_eq!(made["code"], "would_shadow");
            }
            hidden.push((made["id"].clone(), of["id"].clone()));
        }
        let events = t.send("GET", "/sfp/api/audit?action=integration.shadow", &t.owner, "").await.json();
        let events = events.as_array().unwrap();
        assert_eq!(events.len(), if may { 3 } else { 0 }, "{events:?}");
        for (event, (id, of)) in events.iter().rev().zip(&hidden) {
            assert_eq!(&event["integrationId"], id);
            assert_eq!(event["actor"], "user:member@example.com");
            assert!(event["detail"]["integrations"].as_array().unwrap().contains(of), "{event}");
        }
    }
}
