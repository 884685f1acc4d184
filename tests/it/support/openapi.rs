//! Holds every answer of the tests against the OpenAPI document.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

use jsonschema::Validator;
use sealroom::http::{
    openapi::{document, path_of},
    routes::{Found, find},
};
use serde_json::{Value, json};

use super::server::Reply;

pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(document()).unwrap());

/// Headers of the protocol itself; every other one must be documented.
const PROTOCOL: &[&str] = &["content-type", "content-length", "transfer-encoding", "date", "connection"];

/// Returns the schema at a place of the document, compiled once.
pub fn validator(pointer: &str) -> Arc<Validator> {
    static COMPILED: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let make = || {
        // The document's references need its components beside the schema.
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

pub fn valid(pointer: &str, value: &Value) {
    let errors: Vec<String> = validator(pointer)
        .iter_errors(value)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{pointer}: {}\n{value}", errors.join("\n"));
}

pub fn escaped(path: &str) -> String {
    path.replace('~', "~0").replace('/', "~1")
}

/// Follows the reference at a place of the document, if it holds one.
pub fn resolved(pointer: String) -> String {
    match DOCUMENT.pointer(&pointer).and_then(|value| value["$ref"].as_str()) {
        Some(reference) => reference.trim_start_matches('#').to_owned(),
        None => pointer,
    }
}

/// Checks an answer against the document: status, headers, content type and body.
pub fn check(method: &str, target: &str, reply: &Reply) {
    if reply.header("x-request-id").is_none() {
        // hyper answers what is not HTTP before our code sees it.
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
        // The server checks the form of a request before its route.
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
