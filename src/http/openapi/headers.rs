//! The response headers, each a component.

use serde_json::{Value, json};

use super::schemas;
use crate::audit::receipt;

/// The headers of every answer.
const ALWAYS: &[&str] = &["x-request-id", "cache-control", "x-content-type-options"];

/// Returns references to the headers of every answer and to these.
pub(super) fn references(own: impl Iterator<Item = &'static str>) -> Value {
    let names = ALWAYS.iter().copied().chain(own);
    let entry = |name: &str| (name.to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }));
    Value::Object(names.map(entry).collect())
}

/// Returns the header components.
pub(super) fn all() -> Value {
    let header = |required: bool, schema: Value, description: &str| json!({ "required": required, "schema": schema, "description": description });
    let text = json!({ "type": "string" });
    json!({
        "x-request-id": header(true, schemas::id(), "The request id; the server log and the audit log carry it too."),
        "cache-control": header(true, json!({ "type": "string", "const": "no-store" }), "Answers must not be cached."),
        "x-content-type-options": header(true, json!({ "type": "string", "const": "nosniff" }), "Disables content sniffing."),
        "www-authenticate": header(true, json!({ "type": "string", "const": "Bearer" }), "The authentication scheme."),
        "retry-after": header(true, json!({ "type": "integer", "minimum": 1 }), "Seconds to wait before retrying."),
        "allow": header(true, text.clone(), "The methods of the route."),
        "x-next-cursor": header(false, text, "The `cursor` of the next page; absent on the last page."),
        "audit-receipt": header(
            false,
            json!({ "type": "string", "pattern": receipt::PATTERN }),
            "`<sequence>:<leafHash>` of each disclosure, in the order of the array. More than 16 disclosures share one \
             value, `<first>-<last>:<base64 of SHA-256 over the leaf hashes>`.",
        ),
        "token-expires-at": header(
            false,
            schemas::time(),
            "The expiry of the application token; present in its last 7 days.",
        ),
    })
}
