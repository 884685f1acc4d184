//! Schema of the work-list of rotations.

use serde_json::{Value, json};

use super::values::{array_of, object, or_null, reference, text, truth};

pub(super) fn schema() -> Value {
    let number = || json!({ "type": "integer", "minimum": 0 });
    let days = || json!({ "type": "integer", "minimum": 1, "description": "Days." });
    let counts = object(
        &["ending", "endedRead", "notRotated", "tokensEnding", "tokensUnused"].map(|name| (name, number())),
        &[],
    );
    let list = |items: &Value, description: &str| json!({ "type": "array", "maxItems": 1000, "items": items, "description": description });
    let (credential, token) = (credential(), token());
    object(
        &[
            ("time", reference("Time")),
            ("withinDays", days()),
            ("olderThanDays", days()),
            ("tokensWithinDays", days()),
            ("unusedDays", days()),
            ("counts", counts),
            ("ending", list(&credential, "Credentials that end soon, the nearest end first.")),
            ("endedRead", list(&credential, "Credentials read after their end, the earliest end first.")),
            ("notRotated", list(&credential, "Credentials not rotated for long, the oldest first.")),
            ("tokensEnding", list(&token, "Active tokens that end soon, the nearest end first.")),
            ("tokensUnused", list(&token, "Active tokens not used for long, the longest first.")),
        ],
        &[],
    )
}

fn credential() -> Value {
    object(
        &[
            ("id", reference("Id")),
            ("provider", reference("Provider")),
            ("authType", reference("AuthType")),
            ("name", or_null(reference("Name"))),
            ("isGlobal", truth()),
            ("projects", array_of("ProjectIdentifier")),
            ("expiresAt", or_null(reference("Time"))),
            ("rotatedAt", reference("Time")),
            ("lastAccessedAt", or_null(reference("Time"))),
            ("lastAccessedBy", or_null(actor())),
        ],
        &[],
    )
}

fn token() -> Value {
    object(
        &[
            ("id", reference("Id")),
            ("name", reference("Name")),
            ("role", reference("TokenRole")),
            ("createdBy", actor()),
            ("createdAt", reference("Time")),
            ("expiresAt", reference("Time")),
            ("lastUsedAt", or_null(reference("Time"))),
            ("lastUsedFrom", or_null(text())),
            ("rolledTo", or_null(reference("Id"))),
        ],
        &[],
    )
}

fn actor() -> Value {
    json!({ "type": "string", "pattern": "^(?:user|app|host):.+$" })
}
