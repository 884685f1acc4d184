//! The work-list of rotations (ours).

use serde_json::json;

use crate::http::openapi::{
    examples,
    operation::{Operation, Reply},
    schemas::{limit, reference},
};

pub(super) const TAG: &str = "Rotation";

pub(super) fn list() -> Operation {
    let days = || json!({ "type": "integer", "minimum": 1, "maximum": 3650 });
    Operation::new(
        TAG,
        "List what is due",
        "Credentials that end soon, that were read after their end, or that nobody rotated for long; active tokens that \
         end soon, with the address of their last use, or that nobody used for 90 days. Each list has the most urgent \
         first and at most `limit` entries; `counts` is of everything.",
    )
    .query("within", days(), "Days within which a credential ends; 30 by default. Tokens: 7 days at most.")
    .query("olderThan", days(), "Days since the last rotation of a credential; 180 by default.")
    .query("limit", limit(), "Maximum number of entries in each list; 100 by default.")
    .answers(Reply::json(200, "What is due.", reference("Due"), examples::due()))
    .codes(&["invalid_parameter", "outside_projects", "disk_low"])
}
