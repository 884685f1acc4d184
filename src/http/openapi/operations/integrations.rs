//! Contract §3: integrations.

use serde_json::json;

use crate::http::openapi::{
    examples,
    operation::{Operation, Reply},
    schemas::{array_of, id, if_match, kept_limit, limit, reference},
};

pub(super) const TAG: &str = "Integrations";

pub(super) fn list() -> Operation {
    listing("List integrations", "Metadata only, newest first; never a credential.")
}

pub(super) fn list_own() -> Operation {
    listing("List your integrations", "Metadata of the integrations that the caller created, newest first.")
}

fn listing(summary: &'static str, description: &'static str) -> Operation {
    let example = [examples::integration()].into_iter().collect();
    let listing = Operation::new(TAG, summary, description)
        .query(
            "provider",
            reference("Provider"),
            "The provider; `azure-devops` and `azuredevops` are equivalent.",
        )
        .query("name", reference("Name"), "The exact name.");
    paged(listing)
        .answers(Reply::json(200, "The metadata.", array_of("Integration"), example).with("x-next-cursor"))
        .codes(&["disk_low"])
}

pub(super) fn create() -> Operation {
    Operation::new(
        TAG,
        "Store an integration",
        "Scope: either `isGlobal: true` or `projects`. Several integrations may share provider and scope. `auth_type` \
         and `is_global` are accepted as aliases of `authType` and `isGlobal`.",
    )
    .takes(examples::create_integration())
    .answers(Reply::json(
        201,
        "The metadata of the new integration.",
        reference("CreatedIntegration"),
        examples::created_integration(),
    ))
    .codes(&["duplicate_field", "invalid_scope", "project_not_registered", "expiry_past", "disk_low", "would_shadow"])
    .codes(&["outside_projects", "outside_providers"])
}

pub(super) fn read_credentials() -> Operation {
    let reading = Operation::new(
        TAG,
        "Read credentials",
        "With `project`: for each provider, the integrations scoped to that project, or the global ones if there are \
         none. Without `project`: all that match and that the caller may read. Newest first. Each disclosure is an \
         audit event that is durable before the answer is sent.",
    )
    .query("provider", reference("Provider"), "The provider; `azure-devops` and `azuredevops` are equivalent.")
    .query("project", reference("ProjectIdentifier"), "The project; it must be registered.")
    .query("name", reference("Name"), "The exact name.");
    let reply = Reply::json(200, "The credentials.", array_of("DisclosedCredential"), examples::disclosed());
    paged(reading).answers(reply.with("audit-receipt").with("x-next-cursor")).codes(&[
        "outside_projects",
        "outside_providers",
        "integration_not_found",
        "project_not_found",
        "too_many_matches",
        "too_many_disclosures",
        "disk_low",
    ])
}

pub(super) fn repository_token() -> Operation {
    Operation::new(
        TAG,
        "Get a token for a repository",
        "From the integrations with provider `github` that a read for this project finds: a token that the newest \
         GitHub App mints for this one repository, else the newest personal access token. A minted token is reused \
         until 10 minutes before its end. Its issue is an audit event that is durable before the answer is sent.",
    )
    .required_query("repositoryIdentifier", reference("ProjectIdentifier"), "The project; it must be registered.")
    .answers(
        Reply::json(200, "The token.", reference("RepositoryToken"), examples::repository_token())
            .with("audit-receipt"),
    )
    .codes(&["invalid_parameter", "outside_projects", "outside_providers", "integration_not_found"])
    .codes(&["project_not_found", "app_not_installed", "provider_unreachable", "outgoing_disabled", "disk_low"])
    .codes(&["too_many_disclosures"])
}

pub(super) fn show() -> Operation {
    metadata(Operation::new(TAG, "Show an integration", "Metadata only; never the credential."))
        .codes(&["disk_low"])
}

pub(super) fn update() -> Operation {
    metadata(Operation::new(
        TAG,
        "Change an integration's metadata",
        "Absent fields keep their value; `null` clears `name`, `config` or `expiresAt`. The revision does not change. \
         `is_global` is accepted as an alias of `isGlobal`. Members may change the name, expiry and `config.env` of integrations \
         that they created.",
    ))
    .takes(examples::update_integration())
    .codes(&["not_creator", "outside_projects", "outside_providers", "would_shadow"])
    .codes(&["duplicate_field", "invalid_scope", "project_not_registered", "expiry_past", "name_needed"])
    .codes(&["disk_low"])
}

pub(super) fn delete() -> Operation {
    with_path(Operation::new(
        TAG,
        "Delete an integration",
        "Deletes all revisions of the credential. This cannot be undone.",
    ))
    .answers(Reply::json(
        200,
        "The integration was deleted.",
        reference("RemovedById"),
        examples::removed_by_id(),
    ))
    .codes(&["integration_not_found"])
}

pub(super) fn rotate() -> Operation {
    metadata(Operation::new(
        TAG,
        "Rotate a credential",
        "Stores the next revision under the same id and scope; the current and four older revisions are kept. Members \
         may rotate integrations that they created.",
    ))
    .header("If-Match", if_match(), "The revision that must be current, as `3` or `\"3\"`; `*` matches any.")
    .takes(examples::rotate_credentials())
    .codes(&["not_creator", "outside_projects", "outside_providers"])
    .codes(&["invalid_if_match", "revision_conflict", "expiry_past", "disk_low"])
}

pub(super) fn rollback() -> Operation {
    metadata(Operation::new(
        TAG,
        "Roll back a credential",
        "Stores an older revision, with its expiry, as the newest one. Members may roll back integrations that they created.",
    ))
    .takes(json!({ "revision": 1 }))
    .codes(&["not_creator", "outside_projects", "outside_providers", "revision_not_found", "disk_low"])
}

pub(super) fn revisions() -> Operation {
    with_path(Operation::new(
        TAG,
        "Read the kept revisions of a credential",
        "Discloses the current credential and the older ones that a rollback could restore, newest first, each with its \
         own expiry, for an export. Each disclosure is an audit event that is durable before the answer is sent.",
    ))
    .query("limit", kept_limit(), "Maximum number of revisions; 1 reads only the current one.")
    .answers(
        Reply::json(200, "The metadata and the revisions.", reference("Revisions"), examples::revisions())
            .with("audit-receipt"),
    )
    .codes(&["integration_not_found", "outside_projects", "outside_providers", "too_many_disclosures", "disk_low"])
}

/// One integration, answered with its metadata.
fn metadata(operation: Operation) -> Operation {
    with_path(operation)
        .answers(Reply::json(200, "The metadata.", reference("Integration"), examples::integration()))
        .codes(&["integration_not_found"])
}

fn with_path(operation: Operation) -> Operation {
    operation.path("id", id(), "The integration's id.")
}

fn paged(operation: Operation) -> Operation {
    operation.query("limit", limit(), "Maximum number of results.").query(
        "cursor",
        id(),
        "The `x-next-cursor` of the previous page.",
    )
}
