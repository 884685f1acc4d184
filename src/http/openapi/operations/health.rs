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
        "Tell the state",
        "Depends on nothing outside the host; answers while the vault is locked too.",
    )
    .answers(Reply::json(200, "Events can be recorded.", reference("Health"), examples::health(true)))
    .answers(Reply::json(
        503,
        "The vault is locked, the disk is low, or the audit log cannot be written.",
        reference("Health"),
        examples::health(false),
    ))
}

pub(super) fn ping() -> Operation {
    Operation::new(TAG, "Answer a ping", "Answers while the vault is locked too.").answers(Reply::text(
        "The server runs.",
        json!({ "type": "string", "const": "pong" }),
        "pong",
    ))
}

pub(super) fn metrics() -> Operation {
    Operation::new(
        TAG,
        "Count",
        "Prometheus text. Open where only this host can come in and no proxy stands before it, also while the vault \
         is locked; elsewhere for owners and operators.",
    )
    .answers(Reply::text(
        "The numbers.",
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
    Operation::new(TAG, "Describe this API", "Answers while the vault is locked too.").answers(Reply::json(
        200,
        "This document.",
        document,
        example,
    ))
}
