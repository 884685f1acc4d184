//! Rotations, rollbacks and moves of what is stored.

use crate::support::server::TestServer;

const GLOBAL: &str = r#""isGlobal":true"#;
const CREDENTIALS: &str = "/sfp/api/integrations/credentials";

#[tokio::test]
async fn a_rotation_may_insist_on_the_revision_that_it_replaces() {
    let t = TestServer::start().await;
    let path = format!("/sfp/api/integrations/{}/credentials", t.github("ghp_example_1", GLOBAL).await);
    for (if_match, status) in [
        ("1", 200),
        (r#""2""#, 200),
        ("*", 200),
        ("3", 412),
        ("04x", 400),
        ("W/\"4\"", 400),
        ("", 400),
        ("4", 200),
    ] {
        let headers = format!("Content-Type: application/json\r\nIf-Match: {if_match}\r\n");
        let body = format!(r#"{{"credentials":{{"token":"after-{}"}}}}"#, status);
        let reply = t.send_with("PUT", &path, &t.owner, &headers, &body).await;
        assert_eq!(reply.status, status, "{if_match}: {}", reply.body);
    }
    let read = t.send("GET", CREDENTIALS, &t.app, "").await.json();
    assert_eq!(read[0]["credentials"]["token"], "after-200", "no refused rotation took place");
}

#[tokio::test]
async fn a_rollback_brings_the_expiry_back_and_its_event_names_the_revision() {
    let t = TestServer::start().await;
    let body = r#"{"provider":"npm","authType":"pat","credentials":{"token":"one"},"isGlobal":true,"expiresAt":"2030-01-01T00:00:00Z"}"#;
    let created = t.send("POST", "/sfp/api/integrations", &t.owner, body).await.json();
    let path = format!("/sfp/api/integrations/{}", created["id"].as_str().unwrap());
    let rotated =
        t.send("PUT", &format!("{path}/credentials"), &t.owner, r#"{"credentials":{"token":"two"}}"#).await;
    assert!(rotated.json()["expiresAt"].is_null());
    let back = t.send("POST", &format!("{path}/rollback"), &t.owner, r#"{"revision":1}"#).await.json();
    assert_eq!((&back["revision"], &back["expiresAt"]), (&3.into(), &"2030-01-01T00:00:00.000Z".into()));
    let event = t.send("GET", "/sfp/api/audit?action=integration.rollback", &t.owner, "").await.json();
    assert!(event[0]["detail"].as_object().unwrap().values().any(|value| *value == 1), "{event}");
    let read = t.send("GET", CREDENTIALS, &t.app, "").await.json();
    assert_eq!(
        (&read[0]["credentials"]["token"], &read[0]["expires_at"]),
        (&"one".into(), &back["expiresAt"])
    );
}

#[tokio::test]
async fn a_patch_moves_a_scope_and_never_widens_it_by_accident() {
    let t = TestServer::start().await;
    t.project("acme/app").await;
    let path = format!("/sfp/api/integrations/{}", t.github("ghp_example", GLOBAL).await);
    for (body, status) in [
        (r#"{"projects":["acme/app"],"isGlobal":true}"#, 400),
        (r#"{"isGlobal":false}"#, 400),
        (r#"{"projects":[]}"#, 400),
        (r#"{"projects":["x/y"]}"#, 400),
        (r#"{"projects":["acme/app"],"name":"deploy"}"#, 200),
    ] {
        let reply = t.send("PATCH", &path, &t.owner, body).await;
        assert_eq!(reply.status, status, "{body}: {}", reply.body);
    }
    let cleared = t.send("PATCH", &path, &t.owner, r#"{"name":null}"#).await.json();
    assert_eq!((&cleared["name"], &cleared["revision"]), (&serde_json::Value::Null, &1.into()));
    assert_eq!((&cleared["isGlobal"], &cleared["projects"][0]), (&false.into(), &"acme/app".into()));
    let in_use = t.send("DELETE", "/sfp/api/projects/acme/app", &t.owner, "").await;
    assert_eq!(in_use.status, 409);
    assert!(in_use.json()["message"].as_str().unwrap().starts_with("1 "), "it counts them: {}", in_use.body);
    assert_eq!(t.send("PATCH", &path, &t.owner, r#"{"isGlobal":true}"#).await.json()["isGlobal"], true);
    assert_eq!(t.send("DELETE", "/sfp/api/projects/acme/app", &t.owner, "").await.status, 200);
}

#[tokio::test]
async fn a_custom_integration_is_found_by_its_name_of_today_and_shadows_those_of_that_name() {
    let t = TestServer::start().await;
    t.project("acme/app").await;
    let body = |name: &str, value: &str| {
        format!(
            r#"{{"provider":"custom","authType":"api_key","name":"{name}","credentials":{{"token":"{value}"}},"projects":["acme/app"]}}"#
        )
    };
    let create = async |name: &str, value: &str| {
        let reply = t.send("POST", "/sfp/api/integrations", &t.owner, &body(name, value)).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.json()
    };
    let named = async |name: &str| {
        let query = format!("{CREDENTIALS}?provider=custom&project=acme/app&name={name}");
        let read = t.send("GET", &query, &t.app, "").await.json();
        let values = read.as_array().map(|all| all.iter().map(|one| one["credentials"]["token"].clone()));
        values.map(|values| values.map(|value| value.as_str().unwrap().to_owned()).collect::<Vec<_>>())
    };
    let first = create("one", "first").await;
    let other = create("two", "other").await;
    assert!(first["shadows"].is_null() && other["shadows"].is_null(), "{first} {other}");
    assert_eq!(
        (named("one").await, named("two").await),
        (Some(vec!["first".into()]), Some(vec!["other".into()]))
    );
    let path = format!("/sfp/api/integrations/{}", first["id"].as_str().unwrap());
    assert_eq!(t.send("PATCH", &path, &t.owner, r#"{"name":"three"}"#).await.status, 200);
    assert_eq!((named("one").await, named("three").await), (None, Some(vec!["first".into()])));
    let again = create("three", "again").await;
    assert_eq!((&again["shadows"][0], &again["shadows"][1]), (&first["id"], &serde_json::Value::Null));
    assert_eq!(t.send("DELETE", &path, &t.owner, "").await.status, 200);
    assert_eq!(named("three").await, Some(vec!["again".into()]));
}
