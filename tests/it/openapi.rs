//! The OpenAPI document: golden, whole, and true of every answer that these tests get.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex},
};

use jsonschema::Validator;
use sealroom::{
    domain::{Action, Actor, Event},
    http::{
        openapi::{document, path_of},
        routes::{Found, ROUTES, find},
    },
};
use serde_json::{Value, json};

use super::server::{Reply, TestServer};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(document()).unwrap());

/// Headers of the protocol itself; every other one must be documented.
const PROTOCOL: &[&str] = &["content-type", "content-length", "transfer-encoding", "date", "connection"];

/// Codes that no test of this folder names yet. A test below fails once one of them is no longer needed here.
const UNTESTED: &[&str] =
    // Nothing archives yet; an internal error is a defect that nobody knows how to provoke: a client's test has it.
    &["archived"];

/// The schema at a place of the document, compiled once.
fn validator(pointer: &str) -> Arc<Validator> {
    static COMPILED: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let make = || {
        // References of the document stay true where its components stand beside the one that is asked for.
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$ref": format!("#{}", pointer.replace('{', "%7B").replace('}', "%7D")),
            "paths": DOCUMENT["paths"],
            "components": DOCUMENT["components"],
        });
        let options = jsonschema::options().should_validate_formats(true);
        Arc::new(options.build(&schema).unwrap_or_else(|error| panic!("{pointer}: {error}")))
    };
    Arc::clone(compiled.entry(pointer.to_owned()).or_insert_with(make))
}

fn valid(pointer: &str, value: &Value) {
    let errors: Vec<String> = validator(pointer)
        .iter_errors(value)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{pointer}: {}\n{value}", errors.join("\n"));
}

fn escaped(path: &str) -> String {
    path.replace('~', "~0").replace('/', "~1")
}

/// Follows the reference at a place of the document, if it holds one.
fn resolved(pointer: String) -> String {
    match DOCUMENT.pointer(&pointer).and_then(|value| value["$ref"].as_str()) {
        Some(reference) => reference.trim_start_matches('#').to_owned(),
        None => pointer,
    }
}

/// Holds an answer against the document: status, headers, content type and body.
pub fn check(method: &str, target: &str, reply: &Reply) {
    if reply.header("x-request-id").is_none() {
        // What is no HTTP is answered by hyper itself, before anything of ours.
        assert!(matches!(reply.status, 400 | 414 | 431) && reply.body.is_empty(), "{}", reply.head);
        return;
    }
    let path = target.split('?').next().unwrap();
    let at = match find(method, path) {
        Found::Route(route, _) => format!(
            "/paths/{}/{}/responses/{}",
            escaped(&path_of(route)),
            route.method.to_ascii_lowercase(),
            reply.status
        ),
        // Its form is looked at before its route.
        Found::OtherMethod(_) | Found::Nothing if reply.status == 400 => {
            "/components/responses/Malformed".to_owned()
        }
        Found::OtherMethod(_) => "/components/responses/MethodNotAllowed".to_owned(),
        Found::Nothing => "/components/responses/RouteNotFound".to_owned(),
    };
    let at = resolved(at);
    let response = DOCUMENT.pointer(&at);
    let response =
        response.unwrap_or_else(|| panic!("{method} {path}: {at} is not documented: {}", reply.body));
    check_headers(&format!("{method} {path}"), response, reply);
    let Some(content) = response["content"].as_object() else {
        assert!(reply.body.is_empty() && reply.header("content-type").is_none(), "{at} has a body");
        return;
    };
    let said = reply.header("content-type").unwrap_or_default();
    let kind = said.split(';').next().unwrap();
    assert!(content.contains_key(kind), "{at} is {said}");
    if method != "HEAD" {
        let text = || Value::String(reply.body.clone());
        let body = if kind == "application/json" { reply.json() } else { text() };
        valid(&format!("{at}/content/{}/schema", escaped(kind)), &body);
    }
}

fn check_headers(what: &str, response: &Value, reply: &Reply) {
    let documented = response["headers"].as_object().unwrap();
    for (name, reference) in documented {
        let pointer = reference["$ref"].as_str().unwrap().trim_start_matches('#');
        let header = DOCUMENT.pointer(pointer).unwrap();
        let Some(text) = reply.header(name) else {
            assert_eq!(header["required"], json!(false), "{what}: {} has no {name}", reply.status);
            continue;
        };
        let number = header["schema"]["type"] == "integer";
        let value = if number { json!(text.parse::<u64>().unwrap()) } else { json!(text) };
        valid(&format!("{pointer}/schema"), &value);
    }
    for line in reply.head.lines().skip(1).filter(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap().to_ascii_lowercase();
        let known = documented.contains_key(&name) || PROTOCOL.contains(&&*name);
        assert!(known, "{what}: {} has {name}, which is not documented", reply.status);
    }
}

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
    let errors = DOCUMENT["components"]["responses"].as_object().unwrap().values();
    let codes = errors.filter_map(|response| {
        response["content"]["application/json"]["schema"]["properties"]["code"]["enum"].as_array()
    });
    codes.flatten().map(|code| code.as_str().unwrap()).collect()
}

#[test]
fn every_code_stands_in_an_answer_and_in_a_test() {
    let all = DOCUMENT["components"]["schemas"]["Error"]["properties"]["code"]["enum"].as_array().unwrap();
    let all: BTreeSet<&str> = all.iter().map(|code| code.as_str().unwrap()).collect();
    assert_eq!(codes_in_answers(), all);
    let tests: Vec<String> = fs::read_dir(root().join("tests/it"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name() != Path::new(file!()).file_name())
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
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
