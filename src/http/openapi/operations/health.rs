//! Contract §7 and §11, and this document.

use serde_json::json;

use crate::http::openapi::{
    examples,
    operation::{Operation, Reply},
    schemas::reference,
};

pub(super) const TAG: &str = "Health";

pub(super) fn health() -> Operation {
    Operation::new(
        TAG,
        "Show the server's health",
        "Checks nothing outside the host. Available while the vault is locked.",
    )
    .answers(Reply::json(
        200,
        "Healthy: the audit log is writable.",
        reference("Health"),
        examples::health(true),
    ))
    .answers(Reply::json(
        503,
        "The vault is locked, the disk is low, or the audit log cannot be written.",
        reference("Health"),
        examples::health(false),
    ))
}

pub(super) fn ping() -> Operation {
    Operation::new(TAG, "Ping", "Available while the vault is locked.").answers(Reply::text(
        "The server is running.",
        json!({ "type": "string", "const": "pong" }),
        "pong",
    ))
}

pub(super) fn metrics() -> Operation {
    Operation::new(
        TAG,
        "Show metrics",
        "Prometheus text format. Open on loopback and Unix-socket listeners without a proxy, also while the vault is \
         locked; elsewhere owners and operators only.",
    )
    .answers(Reply::text(
        "The metrics.",
        json!({ "type": "string" }),
        "# HELP sealroom_locked Whether the vault is locked.\n# TYPE sealroom_locked gauge\nsealroom_locked 0\n# EOF\n",
    ))
}

pub(super) fn api_docs() -> Operation {
    let document = json!({
        "type": "object",
        "required": ["openapi", "info", "paths", "components"],
        "properties": { "openapi": { "type": "string", "const": "3.1.0" } },
    });
    let example =
        json!({ "openapi": "3.1.0", "info": { "title": "sealroom" }, "paths": {}, "components": {} });
    Operation::new(TAG, "Show this document", "Available while the vault is locked.").answers(Reply::json(
        200,
        "This document.",
        document,
        example,
    ))
}
