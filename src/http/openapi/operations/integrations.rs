//! Contract §3: integrations.

use serde_json::json;

use crate::http::openapi::{
    examples,
    operation::{Operation, Reply},
    schemas::{array_of, id, if_match, limit, reference},
};

pub(super) const TAG: &str = "Integrations";

pub(super) fn list() -> Operation {
    let example = [examples::integration()].into_iter().collect();
    let listing =
        Operation::new(TAG, "List integrations", "Their metadata, newest first; never a credential.")
            .query("provider", reference("Provider"), "Only this provider, in either of its spellings.")
            .query("name", reference("Name"), "Only this name, exactly.");
    paged(listing)
        .answers(Reply::json(200, "The metadata.", array_of("Integration"), example).with("x-next-cursor"))
        .codes(&["disk_low"])
}

pub(super) fn create() -> Operation {
    Operation::new(
        TAG,
        "Store an integration",
        "For every project (`isGlobal: true`) or for some (`projects`), never both. The same provider and scope may \
         be there twice. `auth_type` and `is_global` are read as `authType` and `isGlobal`.",
    )
    .takes(examples::create_integration())
    .answers(Reply::json(
        201,
        "The metadata of the new integration.",
        reference("CreatedIntegration"),
        examples::created_integration(),
    ))
    .codes(&["duplicate_field", "invalid_scope", "project_not_registered", "expiry_past", "disk_low"])
}

pub(super) fn read_credentials() -> Operation {
    let reading = Operation::new(
        TAG,
        "Read credentials",
        "With `provider` and `project` the integrations scoped to that project, and where there are none the global \
         ones; with `project` alone the same, provider by provider; else all that match and the caller may read. \
         Newest first. Each disclosure is an event, durable before the answer leaves.",
    )
    .query("provider", reference("Provider"), "Only this provider, in either of its spellings.")
    .query("project", reference("ProjectIdentifier"), "For this project, which must be registered.")
    .query("name", reference("Name"), "Only this name, exactly.");
    let reply = Reply::json(200, "The credentials.", array_of("DisclosedCredential"), examples::disclosed());
    paged(reading).answers(reply.with("audit-receipt").with("x-next-cursor")).codes(&[
        "integration_not_found",
        "project_not_found",
        "too_many_matches",
        "disk_low",
    ])
}

pub(super) fn show() -> Operation {
    metadata(Operation::new(TAG, "Show an integration", "Its metadata; never the credential."))
        .codes(&["disk_low"])
}

pub(super) fn update() -> Operation {
    metadata(Operation::new(
        TAG,
        "Change an integration's metadata",
        "An absent field stays, `null` clears `name`, `config` or `expiresAt`. The revision does not change. \
         `is_global` is read as `isGlobal`.",
    ))
    .takes(examples::update_integration())
    .codes(&["duplicate_field", "invalid_scope", "project_not_registered", "expiry_past", "name_needed"])
    .codes(&["disk_low"])
}

pub(super) fn delete() -> Operation {
    named(Operation::new(
        TAG,
        "Delete an integration",
        "With its credential, in all revisions. This cannot be undone.",
    ))
    .answers(Reply::json(
        200,
        "The integration is gone.",
        reference("RemovedById"),
        examples::removed_by_id(),
    ))
    .codes(&["integration_not_found"])
}

pub(super) fn rotate() -> Operation {
    metadata(Operation::new(
        TAG,
        "Rotate a credential in place",
        "Same id and scope, the next revision; the current and four older ones are kept. A member may rotate what it \
         created.",
    ))
    .header("If-Match", if_match(), "The revision that must be current: `3`, `\"3\"` or `*`.")
    .takes(examples::rotate_credentials())
    .codes(&["invalid_if_match", "revision_conflict", "expiry_past", "disk_low"])
}

pub(super) fn rollback() -> Operation {
    metadata(Operation::new(
        TAG,
        "Make an older credential current again",
        "Its expiry included, as a new revision. A member may do so with what it created.",
    ))
    .takes(json!({ "revision": 1 }))
    .codes(&["revision_not_found", "disk_low"])
}

/// One integration, answered with its metadata.
fn metadata(operation: Operation) -> Operation {
    named(operation)
        .answers(Reply::json(200, "The metadata.", reference("Integration"), examples::integration()))
        .codes(&["integration_not_found"])
}

fn named(operation: Operation) -> Operation {
    operation.path("id", id(), "The integration's id.")
}

fn paged(operation: Operation) -> Operation {
    operation.query("limit", limit(), "How many at most.").query(
        "cursor",
        id(),
        "What `x-next-cursor` gave: the id behind which the page begins.",
    )
}
