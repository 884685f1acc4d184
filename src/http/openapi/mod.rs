//! The OpenAPI 3.1 document, made from the route table itself: a route without its description does not compile.
//!
//! Owns what a client may know of each route before it calls. Who is let in comes from the policy, closed sets from the
//! domain, fields of requests from their types; the tests hold the rest against real answers.

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

/// The document, as JSON without white space between its tokens.
pub fn document() -> &'static str {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| build().to_string());
    &DOCUMENT
}

/// A route's path as the document spells it: `{identifier...}` becomes `{identifier}`.
pub fn path_of(route: &Route) -> String {
    route.path.replace("...}", "}")
}

const DESCRIPTION: &str = "Keeps the credentials of teams and pipelines in one encrypted file and records every \
    disclosure.\n\nA query parameter that is unknown, repeated or empty is a 400, and so is a field that the request \
    does not have. `HEAD` works wherever `GET` does, but where something is disclosed. A path that does not exist is a \
    404 `route_not_found`, a method that a path does not have a 405 `method_not_allowed` with `Allow`. A request that \
    is no HTTP, or whose header block is too large, may be answered with a 400, 414 or 431 without a body.";

fn build() -> Value {
    let errors = ROUTES.iter().flat_map(|route| operations::describe(route.endpoint).errors(route));
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
                    "description": "The access token of a login, for people: owners and members.",
                },
                "application": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "sfp_app_…",
                    "description": "An application token, for machines: applications, auditors and operators.",
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
