//! The OpenAPI 3.1 document, generated from the route table: a route without a description does not compile.
//!
//! Roles come from the policy, closed sets from the domain, request fields from their types. The tests check every real
//! answer against the document.

mod codes;
mod error_reply;
mod examples;
mod headers;
mod operation;
mod operations;
mod schemas;

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::routes::{ROUTES, Route};

/// Returns the document as compact JSON.
pub fn document() -> &'static str {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| build().to_string());
    &DOCUMENT
}

/// Returns a route's path in the document's syntax: `{identifier...}` becomes `{identifier}`.
pub fn path_of(route: &Route) -> String {
    route.path.replace("...}", "}")
}

const DESCRIPTION: &str = "Keeps the credentials of teams and pipelines in one encrypted file and records every \
    disclosure.\n\nUnknown, repeated and empty query parameters are rejected with 400, and so are unknown fields of \
    a body. `HEAD` is supported wherever `GET` is, except where credentials or the log are disclosed. An unknown path \
    returns 404 `route_not_found`; an unsupported method returns 405 `method_not_allowed` with `Allow`. A request that \
    is not valid HTTP, or whose header block is too large, may get a 400, 414 or 431 without a body.";

fn build() -> Value {
    let errors = ROUTES.iter().flat_map(|route| operations::describe(route.endpoint).shared_errors(route));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "sealroom",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{ "url": "/" }],
        "tags": operations::TAGS
            .iter()
            .map(|(name, description)| json!({ "name": name, "description": description }))
            .collect::<Vec<_>>(),
        "paths": paths(),
        "components": {
            "schemas": schemas::all(),
            "headers": headers::all(),
            "responses": error_reply::components(errors),
            "securitySchemes": {
                "user": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "sfp_usr_…",
                    "description": "The access token of a user's session (owners and members).",
                },
                "application": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "sfp_app_…",
                    "description": "An application token (roles `application`, `auditor` and `operator`).",
                },
            },
        },
    })
}

fn paths() -> Map<String, Value> {
    let mut paths = Map::new();
    for (at, route) in ROUTES.iter().enumerate() {
        let earlier = ROUTES[..at].iter().filter(|other| other.endpoint == route.endpoint).count();
        let item = paths.entry(path_of(route)).or_insert_with(|| json!({}));
        item[route.method.to_ascii_lowercase()] =
            operations::describe(route.endpoint).to_json(route, earlier);
    }
    paths
}
