//! A member's own integrations: it lists and changes those, and no other.

use sealroom::{
    domain::{AccessScope, NewMembersSee, Role},
    http::Limits,
    vault::{Settings, Vault},
};
use serde_json::json;

use crate::support::{
    memory_disk::shared,
    server::{TestServer, plan, settings},
};

const MINE: &str = "/sfp/api/integrations/mine";

fn github(name: &str) -> String {
    json!({ "provider": "github", "authType": "pat", "credentials": { "token": "ghp_example" }, "isGlobal": true,
            "name": name })
    .to_string()
}

#[tokio::test]
async fn a_member_can_see_and_change_only_what_it_created() {
    let t = TestServer::start().await;
    t.project("acme/app").await;
    let ada = t.user("ada@example.com", Role::Member, AccessScope::default()).await;
    let bob = t.user("bob@example.com", Role::Member, AccessScope::default()).await;
    let mut ids = Vec::new();
    for (bearer, name) in [(&ada, "of ada"), (&bob, "of bob"), (&t.owner, "of owner")] {
        let made = t.send("POST", "/sfp/api/integrations", bearer, &github(name)).await;
        ids.push(made.json()["id"].as_str().unwrap().to_owned());
    }
    for (bearer, id) in [(&ada, &ids[0]), (&bob, &ids[1]), (&t.owner, &ids[2])] {
        let listed = t.send("GET", MINE, bearer, "").await.json();
        assert_eq!((listed.as_array().unwrap().len(), listed[0]["id"].as_str()), (1, Some(id.as_str())));
    }
    for query in ["?name=of%20bob", "?provider=jira", &format!("?cursor={}", ids[0])] {
        assert_eq!(t.send("GET", &format!("{MINE}{query}"), &ada, "").await.body, "[]", "{query}");
    }
    // Its own name, expiry and config; never its scope, which an owner may have narrowed.
    let path = |id: &str| format!("/sfp/api/integrations/{id}");
    let change = r#"{"name":"renamed","expiresAt":"2099-01-31T00:00:00Z","config":{"env":{"token":"T"}}}"#;
    let changed = t.send("PATCH", &path(&ids[0]), &ada, change).await;
    assert_eq!((changed.status, changed.json()["name"].as_str()), (200, Some("renamed")));
    for scope in [r#"{"projects":["acme/app"]}"#, r#"{"isGlobal":true}"#, r#"{"name":"x","isGlobal":true}"#] {
        let refused = t.send("PATCH", &path(&ids[0]), &ada, scope).await;
        assert_eq!((refused.status, refused.json()["code"].as_str()), (403, Some("forbidden")), "{scope}");
    }
    // An owner's options stay, whatever the creator says of its names.
    let options = r#"{"config":{"region":"eu","env":{"token":"T"}}}"#;
    assert_eq!(t.send("PATCH", &path(&ids[0]), &t.owner, options).await.status, 200);
    assert_eq!(t.send("GET", MINE, &ada, "").await.json()[0]["config"]["region"], "eu");
    for (config, status) in [
        (r#"{"config":{"region":"eu","env":{"token":"OTHER"}}}"#, 200),
        (r#"{"config":{"env":{"token":"T"}}}"#, 403),
        (r#"{"config":{"region":"us"}}"#, 403),
        (r#"{"config":null}"#, 403),
        (r#"{"config":{"region":"eu"}}"#, 200),
    ] {
        assert_eq!(t.send("PATCH", &path(&ids[0]), &ada, config).await.status, status, "{config}");
    }
    // Another's, an owner's and none are the same refusal, also for whoever may create nothing.
    let none = "01a21198-0ea8-7d5a-987c-6ee7878c59a0";
    let refusals = [&ids[1], &ids[2], none].map(|id| (path(id), r#"{"name":"taken"}"#));
    for (path, body) in &refusals {
        let refused = t.send("PATCH", path, &ada, body).await;
        assert_eq!((refused.status, refused.json()["code"].as_str()), (403, Some("not_creator")), "{path}");
    }
    for (method, path) in [("GET", path(&ids[0])), ("DELETE", path(&ids[0])), ("GET", path(none))] {
        assert_eq!(t.send(method, &path, &ada, "").await.status, 403, "{method}");
    }
    for role in [Role::Application, Role::Auditor, Role::Operator] {
        let token = t.token(role, AccessScope::default()).await;
        for (method, path, body) in
            [("GET", MINE.to_owned(), ""), ("PATCH", path(&ids[0]), r#"{"name":"x"}"#)]
        {
            let refused = t.send(method, &path, &token, body).await;
            assert_eq!((refused.status, refused.json()["code"].as_str()), (403, Some("forbidden")), "{role}");
        }
    }
    // A user of the same address is another user.
    assert_eq!(t.send("DELETE", "/sfp/api/users/ada@example.com", &t.owner, "").await.status, 200);
    let ada = t.user("ada@example.com", Role::Member, AccessScope::default()).await;
    assert_eq!(t.send("GET", MINE, &ada, "").await.body, "[]");
    assert_eq!(t.send("PATCH", &path(&ids[0]), &ada, r#"{"name":"back"}"#).await.status, 403);
    // Lists and changes are on record, each under its own actor.
    let log = t.send("GET", "/sfp/api/audit?actor=user:ada@example.com&limit=100", &t.owner, "").await;
    for action in ["integration.list", "integration.update"] {
        assert!(log.body.contains(&format!(r#""action":"{action}","outcome":"allowed""#)), "{action}");
    }
    assert_eq!(log.body.matches(r#""action":"integration.update","outcome":"denied""#).count(), 10);
}

#[tokio::test]
async fn a_new_member_never_sees_more_than_its_creator_or_the_setting_gives() {
    for (setting, by_default) in [(NewMembersSee::All, json!(null)), (NewMembersSee::None, json!([]))] {
        let (_, disk) = shared(&[]);
        Vault::create(disk.clone(), 1 << 20, &plan()).map_err(drop).unwrap();
        let settings = Settings { new_members_see: setting, ..settings() };
        let vault = Vault::open(disk, settings).map_err(drop).unwrap();
        let t = TestServer::over(vault, Limits::STANDARD, "127.0.0.1:0", false).await;
        t.project("acme/app").await;
        t.github("ghp_example", r#""isGlobal":true"#).await;
        for (n, (projects, sees)) in [
            ("", by_default.clone()),
            (r#","projects":[]"#, json!([])),
            (r#","projects":null"#, json!(null)),
            (r#","projects":["acme/app"]"#, json!(["acme/app"])),
            (r#","role":"member""#, by_default.clone()),
            (r#","role":"owner""#, json!(null)),
        ]
        .into_iter()
        .enumerate()
        {
            let body = format!(r#"{{"email":"u{n}@example.com","password":"password-example"{projects}}}"#);
            let made = t.send("POST", "/sfp/api/users", &t.owner, &body).await;
            assert_eq!((made.status, &made.json()["projects"]), (201, &sees), "{setting} {projects}");
            let bearer = t.login(&format!("u{n}@example.com")).await;
            let read = t.send("GET", "/sfp/api/integrations/credentials?provider=github", &bearer, "").await;
            assert_eq!(read.status, if sees == json!([]) { 404 } else { 200 }, "{setting} {projects}");
        }
        // An owner who becomes a member keeps what an owner sees, until it is narrowed.
        let narrowed = t.send("PUT", "/sfp/api/users/u2@example.com", &t.owner, r#"{"projects":[]}"#).await;
        assert_eq!(narrowed.json()["user"]["projects"], json!([]), "{}", narrowed.body);
        let bearer = t.login("u2@example.com").await;
        for path in
            ["/sfp/api/integrations/credentials", "/sfp/api/integrations/credentials?project=acme/app"]
        {
            assert!(matches!(t.send("GET", path, &bearer, "").await.status, 403 | 404), "{path}");
        }
        let refused = t.send("POST", "/sfp/api/integrations", &bearer, &github("x")).await;
        assert_eq!(refused.status, 403, "{}", refused.body);
    }
}

/// A member could store a custom integration under a free name and give it an owner's afterwards.
#[tokio::test]
async fn a_new_name_can_never_hide_what_a_new_integration_could_not() {
    let custom = |name: &str, projects: &str| {
        format!(
            r#"{{"provider":"custom","authType":"api_key","credentials":{{"value":"x"}},"name":"{name}",{projects}}}"#
        )
    };
    for may_shadow in [true, false] {
        let (_, disk) = shared(&[]);
        Vault::create(disk.clone(), 1 << 20, &plan()).map_err(drop).unwrap();
        let settings = Settings { members_may_shadow: may_shadow, ..settings() };
        let vault = Vault::open(disk, settings).map_err(drop).unwrap();
        let t = TestServer::over(vault, Limits::STANDARD, "127.0.0.1:0", false).await;
        t.project("acme/app").await;
        let create = |bearer: &str, body: String| {
            let bearer = bearer.to_owned();
            let t = &t;
            async move { t.send("POST", "/sfp/api/integrations", &bearer, &body).await }
        };
        assert_eq!(create(&t.owner, custom("prod", r#""isGlobal":true"#)).await.status, 201);
        for scope in [r#""isGlobal":true"#, r#""projects":["acme/app"]"#] {
            let made = create(&t.member, custom("free", scope)).await;
            let path = format!("/sfp/api/integrations/{}", made.json()["id"].as_str().unwrap());
            let renamed = t.send("PATCH", &path, &t.member, r#"{"name":"prod"}"#).await;
            let expected = if may_shadow { (200, None) } else { (409, Some("would_shadow")) };
            assert_eq!((renamed.status, renamed.json()["code"].as_str()), expected, "{scope}");
            // A change that hides nothing new is no event.
            assert_eq!(t.send("PATCH", &path, &t.member, r#"{"expiresAt":null}"#).await.status, 200);
        }
        let log = t.send("GET", "/sfp/api/audit?action=integration.shadow", &t.owner, "").await.json();
        assert_eq!(log.as_array().unwrap().len(), if may_shadow { 2 } else { 0 });
    }
}

/// An owner moved a member's integration to a project that the member may not name, with options of its own.
#[tokio::test]
async fn a_member_never_sees_what_an_owner_moved_past_its_narrowing_nor_who_reads() {
    let t = TestServer::start().await;
    t.project("acme/app").await;
    t.project("secret/deal").await;
    let ada = t.user("ada@example.com", Role::Member, AccessScope::default()).await;
    let made = t.send("POST", "/sfp/api/integrations", &ada, &github("of ada")).await;
    let path = format!("/sfp/api/integrations/{}", made.json()["id"].as_str().unwrap());
    assert_eq!(t.send("GET", "/sfp/api/integrations/credentials", &t.owner, "").await.status, 200);
    let listed = t.send("GET", MINE, &ada, "").await.json();
    assert!(listed[0]["lastAccessedAt"].is_string() && listed[0]["lastAccessedBy"].is_null(), "{listed}");
    t.change_user("ada@example.com", r#"{"projects":["acme/app"]}"#).await;
    let ada = t.login("ada@example.com").await;
    for scope in [
        r#"{"projects":["secret/deal"]}"#,
        r#"{"projects":["acme/app","secret/deal"]}"#,
        r#"{"isGlobal":true}"#,
    ] {
        assert_eq!(t.send("PATCH", &path, &t.owner, scope).await.status, 200);
        assert_eq!(t.send("GET", MINE, &ada, "").await.body, "[]", "{scope}");
    }
    assert_eq!(t.send("PATCH", &path, &t.owner, r#"{"projects":["acme/app"]}"#).await.status, 200);
    assert_eq!(t.send("GET", MINE, &ada, "").await.json().as_array().unwrap().len(), 1);
}
