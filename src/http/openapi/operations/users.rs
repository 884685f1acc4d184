//! Contract §6: users.

use crate::http::openapi::{
    examples,
    operation::{Operation, Reply},
    schemas::{array_of, reference},
};

pub(super) const TAG: &str = "Users";

pub(super) fn own() -> Operation {
    Operation::new(TAG, "Show the current user", "The user of the session.").answers(Reply::json(
        200,
        "The user.",
        reference("User"),
        examples::user(),
    ))
}

pub(super) fn list() -> Operation {
    Operation::new(TAG, "List users", "Sorted by e-mail.")
        .answers(Reply::json(200, "The users.", array_of("User"), [examples::user()].into_iter().collect()))
        .codes(&["disk_low"])
}

pub(super) fn create() -> Operation {
    Operation::new(
        TAG,
        "Add a user",
        "Without a password, one is generated and returned once as `initialPassword`. `projects` limits a member.",
    )
    .takes(examples::create_user())
    .answers(Reply::json(201, "The new user.", reference("CreatedUser"), examples::created_user()))
    .codes(&["user_exists", "project_not_registered", "disk_low"])
}

pub(super) fn read() -> Operation {
    with_path(Operation::new(TAG, "Show a user", "By e-mail."))
        .answers(Reply::json(200, "The user.", reference("User"), examples::user()))
        .codes(&["user_not_found", "disk_low"])
}

pub(super) fn update() -> Operation {
    let example = serde_json::json!({ "success": true, "user": examples::user() });
    with_path(Operation::new(
        TAG,
        "Change a user",
        "Users may change their own names and, with `currentPassword`, their own password; everything else requires an \
         owner. A change of password, role or `disabled` ends the user's sessions.",
    ))
    .takes(examples::update_user())
    .answers(Reply::json(200, "The user after the change.", reference("UpdatedUser"), example))
    .codes(&["user_not_found", "wrong_password", "too_many_tries", "last_owner"])
    .codes(&["project_not_registered", "disk_low"])
}

pub(super) fn leave() -> Operation {
    let token = serde_json::json!([{ "id": examples::TOKEN_ID, "name": "ci" }]);
    let example = serde_json::json!({
        "success": true, "user": examples::user(), "revokedTokens": token, "keptTokens": [],
    });
    with_path(Operation::new(
        TAG,
        "Make a user leave",
        "In one commit: disables the user, ends the sessions, and revokes the tokens that the user created, unless \
         `keepTokens` is true.",
    ))
    .takes(serde_json::json!({ "keepTokens": false }))
    .answers(Reply::json(200, "The user, and the tokens that it created.", reference("LeftUser"), example))
    .codes(&["user_not_found", "last_owner", "own_leave"])
}

pub(super) fn delete() -> Operation {
    with_path(Operation::new(TAG, "Remove a user", "Ends all sessions of the user."))
        .answers(Reply::json(
            200,
            "The user was removed.",
            reference("RemovedUser"),
            examples::removed_user(),
        ))
        .codes(&["user_not_found", "last_owner"])
}

pub(super) fn delete_by_body() -> Operation {
    Operation::new(TAG, "Remove a user named in the body", "Ends all sessions of the user.")
        .takes(serde_json::json!({ "email": "grace@example.com" }))
        .answers(Reply::json(
            200,
            "The user was removed.",
            reference("RemovedUser"),
            examples::removed_user(),
        ))
        .codes(&["user_not_found", "last_owner"])
}

fn with_path(operation: Operation) -> Operation {
    operation.path("email", reference("Email"), "The user's e-mail.")
}
