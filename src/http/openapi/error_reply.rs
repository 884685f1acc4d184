//! The error answers. Each set of codes under one status is a component that the operations reference.

use serde_json::{Map, Value, json};

use super::{
    codes::{CODES, Code},
    examples, headers, schemas,
};

/// A target or host that is refused before the route is known.
const MALFORMED: &[&str] = &["invalid_host", "invalid_target"];
/// A target that is refused on every route.
pub(super) const BAD_TARGET: &[&str] =
    &["invalid_host", "invalid_forwarded_for", "invalid_target", "unknown_parameter"];
/// A query that is refused where parameters exist.
pub(super) const BAD_QUERY: &[&str] = &["repeated_parameter", "empty_parameter", "invalid_field"];
/// A body that is refused.
pub(super) const BAD_BODY: &[&str] =
    &["malformed_json", "missing_field", "unknown_field", "invalid_field", "broken_body"];
/// A caller without a valid token.
pub(super) const UNAUTHENTICATED: &[&str] = &["unauthorized", "token_expired"];
/// A defect or a damaged row.
pub(super) const INTERNAL: &[&str] = &["tampered", "internal"];
/// A server that cannot serve now.
pub(super) const UNAVAILABLE: &[&str] = &["locked", "overloaded", "audit_unavailable"];

/// Names of code sets, larger sets before their subsets.
const SETS: &[(&str, &[&str])] = &[
    ("BadBody", BAD_BODY),
    ("BadQuery", BAD_QUERY),
    ("BadTarget", BAD_TARGET),
    ("Malformed", MALFORMED),
    ("Unauthenticated", UNAUTHENTICATED),
    ("InternalError", INTERNAL),
    ("Unavailable", UNAVAILABLE),
];

/// The error answer of one status, with the codes that it can carry.
pub(super) struct ErrorReply(pub(super) Vec<&'static Code>);

impl ErrorReply {
    pub(super) fn status(&self) -> u16 {
        self.0[0].status
    }

    /// Returns the component's name: the sets and single codes that it covers, joined by `Or`.
    pub(super) fn name(&self) -> String {
        let mut left: Vec<&str> = self.0.iter().map(|code| code.name).collect();
        let mut names = Vec::new();
        for (name, codes) in SETS {
            if codes.iter().all(|code| left.contains(code)) {
                left.retain(|code| !codes.contains(code));
                names.push((*name).to_owned());
            }
        }
        names.extend(left.into_iter().map(to_pascal_case));
        names.join("Or")
    }

    /// Returns the schema of the body, with an example.
    pub(super) fn content(&self) -> Value {
        let (status, first) = (self.status(), self.0[0]);
        let names: Vec<&str> = self.0.iter().map(|code| code.name).collect();
        json!({
            "schema": {
                "allOf": [schemas::reference("Error")],
                "properties": { "statusCode": { "const": status }, "code": { "enum": names } },
            },
            "example": examples::error(status, first.name, first.meaning),
        })
    }

    fn to_json(&self) -> Value {
        let status = self.status();
        let meanings: Vec<String> =
            self.0.iter().map(|code| format!("`{}`: {}", code.name, code.meaning)).collect();
        let own = match status {
            401 => Some("www-authenticate"),
            405 => Some("allow"),
            429 | 502 | 503 => Some("retry-after"),
            _ => None,
        };
        // Every other one may answer an application token that lets its caller in.
        let soon = (!matches!(status, 401 | 405)).then_some("token-expires-at");
        json!({
            "description": format!("{}.", meanings.join("; ")),
            "headers": headers::references(own.into_iter().chain(soon)),
            "content": { "application/json": self.content() },
        })
    }
}

/// Returns the response components: those of the operations, and those of requests that match no operation.
pub(super) fn components(of_operations: impl Iterator<Item = ErrorReply>) -> Map<String, Value> {
    let only = |names: &[&str]| ErrorReply(CODES.iter().filter(|code| names.contains(&code.name)).collect());
    let off_the_routes = [only(MALFORMED), only(&["route_not_found"]), only(&["method_not_allowed"])];
    off_the_routes.into_iter().chain(of_operations).map(|error| (error.name(), error.to_json())).collect()
}

fn to_pascal_case(code: &str) -> String {
    code.split('_').map(|word| [&word[..1].to_ascii_uppercase(), &word[1..]].concat()).collect()
}
