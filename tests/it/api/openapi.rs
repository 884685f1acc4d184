//! The OpenAPI document: golden, whole, and true of every answer that these tests get.

use std::{collections::BTreeSet, fs, path::PathBuf};

use sealroom::{
    domain::{Action, Actor, Event},
    http::{
        openapi::{document, path_of},
        routes::ROUTES,
    },
};
use serde_json::{Value, json};

use crate::support::{
    openapi::{DOCUMENT, check, escaped, resolved, valid},
    server::{Reply, TestServer},
    source::files,
};

/// Codes that no test of this folder names yet. A test below fails once one of them is no longer needed here.
const UNTESTED: &[&str] =
    // An internal error is a defect that nobody knows how to provoke: a client's test has it.
    &[];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_document_is_the_committed_one() {
    let path = root().join("tests/golden/openapi.json");
    let now = format!("{:#}\n", *DOCUMENT);
    if std::env::var_os("SEALROOM_UPDATE").is_some() {
        fs::write(&path, &now).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap();
    assert!(committed == now, "the document changed: SEALROOM_UPDATE=1 writes {}", path.display());
}

#[test]
fn every_route_is_in_the_document_and_nothing_else_is() {
    let routes: BTreeSet<(String, String)> =
        ROUTES.iter().map(|route| (path_of(route), route.method.to_ascii_lowercase())).collect();
    let documented: BTreeSet<(String, String)> =
        operations().map(|(path, method, _)| (path, method)).collect();
    assert_eq!(documented, routes);
    let ids: BTreeSet<String> = operations().map(|(_, _, one)| one["operationId"].to_string()).collect();
    assert_eq!(ids.len(), ROUTES.len());
}

fn operations() -> impl Iterator<Item = (String, String, &'static Value)> {
    DOCUMENT["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(method, one)| (path.clone(), method.clone(), one))
    })
}

#[test]
fn every_example_is_valid() {
    let mut seen = 0;
    for (path, method, operation) in operations() {
        let base = format!("/paths/{}/{method}", escaped(&path));
        let body = operation.get("requestBody").map(|_| format!("{base}/requestBody"));
        let statuses = operation["responses"].as_object().unwrap().keys();
        let responses = statuses.map(|status| format!("{base}/responses/{status}"));
        for place in responses.chain(body).map(resolved) {
            let content = DOCUMENT.pointer(&place).unwrap()["content"].as_object();
            for (kind, media) in content.into_iter().flatten() {
                valid(&format!("{place}/content/{}/schema", escaped(kind)), &media["example"]);
                seen += 1;
            }
        }
    }
    assert!(seen > 200, "{seen}");
}

#[test]
fn every_reference_leads_to_a_component_and_every_response_component_is_used() {
    fn collect<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| collect(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    collect(&DOCUMENT, &mut found);
    for reference in &found {
        assert!(DOCUMENT.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    let off_the_routes = ["Malformed", "RouteNotFound", "MethodNotAllowed"];
    for name in DOCUMENT["components"]["responses"].as_object().unwrap().keys() {
        let used = found.contains(&*format!("#/components/responses/{name}"));
        assert!(used || off_the_routes.contains(&&**name), "{name}");
    }
}

/// Returns the codes of all error answers; `Error`, their common shape, lists every code and does not count.
fn codes_in_answers() -> BTreeSet<&'static str> {
    let shared = DOCUMENT["components"]["responses"].as_object().unwrap().values();
    let paths = DOCUMENT["paths"].as_object().unwrap().values();
    let operations = paths.flat_map(|path| path.as_object().unwrap().values());
    let own =
        operations.filter_map(|operation| operation["responses"].as_object()).flat_map(|all| all.values());
    let codes = shared.chain(own).filter_map(|response| {
        response["content"]["application/json"]["schema"]["properties"]["code"]["enum"].as_array()
    });
    codes.flatten().map(|code| code.as_str().unwrap()).collect()
}

#[test]
fn every_code_stands_in_an_answer_and_in_a_test() {
    let all = DOCUMENT["components"]["schemas"]["Error"]["properties"]["code"]["enum"].as_array().unwrap();
    let all: BTreeSet<&str> = all.iter().map(|code| code.as_str().unwrap()).collect();
    assert_eq!(codes_in_answers(), all);
    let tests = files("tests/it").into_iter().filter(|(path, _)| path != "api/openapi.rs");
    let tests: Vec<String> = tests.map(|(_, text)| text).collect();
    let named = |code: &str| {
        let (plain, quoted) = (format!("\"{code}\""), format!("\"{code}\\\""));
        tests.iter().any(|text| text.contains(&plain) || text.contains(&quoted))
    };
    let untested: Vec<&str> = all.into_iter().filter(|code| !named(code)).collect();
    assert_eq!(untested, UNTESTED, "left: without a test; right: listed as such");
}

#[tokio::test]
async fn the_document_is_served_to_anybody_also_while_the_vault_is_locked() {
    let t = TestServer::start().await;
    let open = t.send("GET", "/sfp/apidocs-json", "", "").await;
    assert_eq!((open.status, &*open.body), (200, document()));
    assert_eq!(t.send("HEAD", "/sfp/apidocs-json", "", "").await.status, 200);
    assert_eq!(t.send("GET", "/sfp/apidocs-json?x=1", "", "").await.status, 400);
    t.vault
        .lock(Event::new(t.clock.now(), Actor::host("test"), Action::VaultLock))
        .await
        .map_err(drop)
        .unwrap();
    assert_eq!(t.send("GET", "/sfp/apidocs-json/", "", "").await.body, document());
    assert_eq!(t.send("GET", "/sfp/api/projects", "", "").await.json()["code"], "locked");
}

#[test]
fn an_answer_that_is_not_as_documented_is_noticed() {
    const ID: &str = "0192f5a4-7c1e-7b3a-9d52-3f1c8e6a4b70";
    let answer = |status: u16, kind: &str, own: &str, body: Value| Reply {
        status,
        head: format!(
            "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nX-Request-Id: {ID}\r\n{own}\r\n"
        ),
        body: body.to_string(),
    };
    let error = |status: u16, code: &str| json!({"statusCode": status, "error": "X", "code": code, "message": "x", "requestId": ID});
    let (path, json, bearer) = ("/sfp/api/projects", "application/json", "WWW-Authenticate: Bearer\r\n");
    check("GET", path, &answer(200, json, "", json!([])));
    check("GET", path, &answer(401, json, bearer, error(401, "unauthorized")));
    for wrong in [
        answer(418, json, "", json!([])),
        answer(200, "text/plain", "", json!([])),
        answer(200, json, "X-Other: 1\r\n", json!([])),
        answer(200, json, "", json!([{}])),
        answer(401, json, "", error(401, "unauthorized")),
        answer(401, json, bearer, error(401, "bad_login")),
        answer(401, json, bearer, error(403, "unauthorized")),
    ] {
        let noticed = std::panic::catch_unwind(|| check("GET", path, &wrong)).is_err();
        assert!(noticed, "{}{}", wrong.head, wrong.body);
    }
}
