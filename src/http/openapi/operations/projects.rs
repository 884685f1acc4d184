//! Contract §4: projects.

use crate::http::openapi::{
    examples,
    operation::{Operation, Reply},
    schemas::{array_of, reference},
};

pub(super) const TAG: &str = "Projects";

pub(super) fn list() -> Operation {
    let example = [examples::project()].into_iter().collect();
    Operation::new(TAG, "List projects", "Callers limited to projects see only those.").answers(Reply::json(
        200,
        "The projects.",
        array_of("Project"),
        example,
    ))
}

pub(super) fn create() -> Operation {
    let mut example = examples::project();
    example["integrations"] = serde_json::json!([]);
    Operation::new(TAG, "Register a project", "Credentials can be scoped only to registered projects.")
        .takes(examples::create_project())
        .answers(Reply::json(201, "The new project.", reference("Project"), example))
        .codes(&["project_exists", "disk_low"])
}

pub(super) fn read() -> Operation {
    with_path(Operation::new(TAG, "Show a project", "By identifier."))
        .answers(Reply::json(200, "The project.", reference("Project"), examples::project()))
        .codes(&["outside_projects", "project_not_found"])
}

pub(super) fn delete() -> Operation {
    with_path(Operation::new(TAG, "Delete a project", "Fails while integrations are scoped to it."))
        .answers(Reply::json(
            200,
            "The project was deleted.",
            reference("RemovedProject"),
            examples::removed_project(),
        ))
        .codes(&["project_not_found", "project_in_use"])
}

fn with_path(operation: Operation) -> Operation {
    operation.path(
        "identifier",
        reference("ProjectIdentifier"),
        "The project's identifier; slashes may be percent-encoded as `%2F`.",
    )
}
