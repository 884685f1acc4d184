//! Contract §5: application tokens.

use crate::http::openapi::{
    examples,
    operation::{Operation, Reply},
    schemas::{array_of, reference, token_or_id},
};

pub(super) const TAG: &str = "Application tokens";

pub(super) fn list() -> Operation {
    let example = [examples::token()].into_iter().collect();
    Operation::new(TAG, "List application tokens", "Metadata only; never the token itself.")
        .answers(Reply::json(200, "The tokens.", array_of("ApplicationToken"), example))
        .codes(&["disk_low"])
}

pub(super) fn create() -> Operation {
    Operation::new(
        TAG,
        "Create an application token",
        "The token is returned once. `projects`, `providers` and `integrations` limit what it may read.",
    )
    .takes(examples::create_token())
    .answers(Reply::json(
        201,
        "The new token.",
        reference("CreatedApplicationToken"),
        examples::created_token(),
    ))
    .codes(&["project_not_registered", "disk_low"])
}

pub(super) fn revoke() -> Operation {
    Operation::new(TAG, "Revoke an application token", "Takes effect at once and cannot be undone.")
        .path("token", token_or_id(), "The token's id, or the token itself.")
        .answers(Reply::json(
            200,
            "The token was revoked.",
            reference("RemovedById"),
            examples::removed_by_id(),
        ))
        .codes(&["token_not_found"])
}

pub(super) fn roll() -> Operation {
    Operation::new(
        TAG,
        "Roll an application token",
        "Creates a successor with the same name, role, limits and lifetime, and returns it once. The token before ends \
         after the overlap, and never later than it would have. The list of tokens shows the successor's first use.",
    )
    .path("token", token_or_id(), "The token's id, or the token itself.")
    .takes(serde_json::json!({ "overlapSeconds": 3600 }))
    .answers(Reply::json(
        201,
        "The successor, and the end of the token before.",
        reference("RolledApplicationToken"),
        examples::rolled_token(),
    ))
    .codes(&["token_not_found", "token_ended", "token_rolled", "disk_low"])
}
