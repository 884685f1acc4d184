//! A member's integration that pipelines read in the place of an owner's: recorded, and refused where a setting says so.

use sealroom::{
    domain::Role,
    http::Limits,
    vault::{Settings, Vault},
};
use serde_json::Value;

use crate::support::{
    memory_disk::shared,
    server::{TestServer, plan, settings},
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
