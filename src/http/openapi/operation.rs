//! One operation: what its author writes, and what follows from its route.

use serde_json::{Map, Value, json};

use super::{
    codes::{CODES, Code},
    examples, schemas,
};
use crate::{
    audit::receipt,
    auth::policy::Verb,
    domain::Role,
    http::routes::{Access, Endpoint, Route},
};

/// The headers that every answer of ours carries.
const ALWAYS: &[&str] = &["x-request-id", "cache-control", "x-content-type-options"];

/// What is written by hand of an operation.
pub(super) struct Operation {
    tag: &'static str,
    summary: &'static str,
    description: &'static str,
    parameters: Vec<Value>,
    numbers: bool,
    body: Option<(&'static str, Value)>,
    replies: Vec<Reply>,
    codes: Vec<&'static str>,
}

impl Operation {
    pub(super) const fn new(tag: &'static str, summary: &'static str, description: &'static str) -> Self {
        Self {
            tag,
            summary,
            description,
            parameters: Vec::new(),
            numbers: false,
            body: None,
            replies: Vec::new(),
            codes: Vec::new(),
        }
    }

    /// The name in the path.
    pub(super) fn path(mut self, name: &str, schema: Value, description: &str) -> Self {
        self.parameters.push(json!({
            "name": name, "in": "path", "required": true, "schema": schema, "description": description,
        }));
        self
    }

    /// A query parameter.
    pub(super) fn query(mut self, name: &str, schema: Value, description: &str) -> Self {
        self.numbers |= matches!(name, "limit" | "cursor");
        self.parameters
            .push(json!({ "name": name, "in": "query", "schema": schema, "description": description }));
        self
    }

    /// A request header.
    pub(super) fn header(mut self, name: &str, schema: Value, description: &str) -> Self {
        self.parameters
            .push(json!({ "name": name, "in": "header", "schema": schema, "description": description }));
        self
    }

    /// A JSON body, by its component and with an example.
    pub(super) fn takes(mut self, schema: &'static str, example: Value) -> Self {
        self.body = Some((schema, example));
        self
    }

    /// An answer that is no error.
    pub(super) fn answers(mut self, reply: Reply) -> Self {
        self.replies.push(reply);
        self
    }

    /// The codes that it can answer beside those that follow from its route.
    pub(super) fn codes(mut self, codes: &[&'static str]) -> Self {
        self.codes.extend(codes);
        self
    }

    /// The operation object; `earlier` counts the routes before this one that lead to the same endpoint.
    pub(super) fn to_json(&self, route: &Route, earlier: usize) -> Value {
        let roles = roles(route);
        let mut operation = json!({
            "operationId": operation_id(route.endpoint, earlier),
            "tags": [self.tag],
            "summary": self.summary,
            "description": self.description,
            "responses": self.responses(route, &roles),
            "security": security(route.access, &roles),
        });
        if !roles.is_empty() {
            operation["x-roles"] = roles.iter().map(|role| role.as_str()).collect();
        }
        if !self.parameters.is_empty() {
            operation["parameters"] = self.parameters.clone().into();
        }
        if let Some((schema, example)) = &self.body {
            operation["requestBody"] = json!({
                "required": true,
                "content": { "application/json": { "schema": schemas::reference(schema), "example": example } },
            });
        }
        operation
    }

    fn responses(&self, route: &Route, roles: &[Role]) -> Value {
        let ends = roles.iter().any(|role| !role.is_user_role());
        let mut responses = Map::new();
        for reply in &self.replies {
            responses.insert(reply.status.to_string(), reply.to_json(ends));
        }
        let codes = self.all_codes(route);
        let mut statuses: Vec<u16> = codes.iter().map(|code| code.status).collect();
        statuses.dedup();
        for status in statuses {
            let of_status: Vec<&Code> = codes.iter().filter(|code| code.status == status).copied().collect();
            responses.insert(status.to_string(), error(status, &of_status));
        }
        responses.into()
    }

    /// What follows from the route, and what was written by hand; in the order of the one list.
    fn all_codes(&self, route: &Route) -> Vec<&'static Code> {
        let mut names = vec!["invalid_host", "invalid_target", "unknown_parameter"];
        if route.access != Access::Open {
            names.extend(["internal", "tampered", "locked", "overloaded", "audit_unavailable"]);
        }
        if matches!(route.access, Access::Needs(_) | Access::OwnOr(..) | Access::Local(_)) {
            names.extend(["unauthorized", "token_expired", "forbidden"]);
        }
        if self.body.is_some() {
            names.extend([
                "malformed_json",
                "missing_field",
                "unknown_field",
                "invalid_field",
                "broken_body",
            ]);
            names.extend(["request_timeout", "body_too_large", "unsupported_media_type"]);
        }
        let stands = |place: &str| self.parameters.iter().any(|parameter| parameter["in"] == place);
        if stands("query") {
            names.extend(["repeated_parameter", "empty_parameter", "invalid_field"]);
        }
        if stands("path") {
            names.push("invalid_field");
        }
        if self.numbers {
            names.push("invalid_parameter");
        }
        names.extend(&self.codes);
        CODES.iter().filter(|code| names.contains(&code.name)).collect()
    }
}

/// An answer that is no error.
pub(super) struct Reply {
    status: u16,
    description: &'static str,
    content: Vec<(&'static str, Value, Value)>,
    headers: Vec<&'static str>,
}

impl Reply {
    /// A JSON body, by its schema and with an example.
    pub(super) fn json(status: u16, description: &'static str, schema: Value, example: Value) -> Self {
        let content = vec![("application/json", schema, example)];
        Self { status, description, content, headers: Vec::new() }
    }

    /// Plain text.
    pub(super) fn text(description: &'static str, schema: Value, example: &str) -> Self {
        Self::empty(200, description).or("text/plain", schema, example)
    }

    /// Text of one more type.
    pub(super) fn or(mut self, media_type: &'static str, schema: Value, example: &str) -> Self {
        self.content.push((media_type, schema, example.into()));
        self
    }

    /// No body.
    pub(super) const fn empty(status: u16, description: &'static str) -> Self {
        Self { status, description, content: Vec::new(), headers: Vec::new() }
    }

    /// A header of its own.
    pub(super) fn with(mut self, header: &'static str) -> Self {
        self.headers.push(header);
        self
    }

    fn to_json(&self, ends: bool) -> Value {
        let soon = ends.then_some("token-expires-at");
        let mut reply = json!({
            "description": self.description,
            "headers": references(self.headers.iter().copied().chain(soon)),
        });
        for (media_type, schema, example) in &self.content {
            reply["content"][media_type] = json!({ "schema": schema, "example": example });
        }
        reply
    }
}

/// An error answer: the one shape, with the codes that can stand in it here.
fn error(status: u16, codes: &[&Code]) -> Value {
    let meanings: Vec<String> =
        codes.iter().map(|code| format!("`{}`: {}", code.name, code.meaning)).collect();
    let names: Vec<&str> = codes.iter().map(|code| code.name).collect();
    let own = match status {
        401 => Some("www-authenticate"),
        405 => Some("allow"),
        429 | 503 => Some("retry-after"),
        _ => None,
    };
    json!({
        "description": format!("{}.", meanings.join("; ")),
        "headers": references(own.into_iter()),
        "content": { "application/json": {
            "schema": {
                "allOf": [schemas::reference("Error")],
                "properties": { "statusCode": { "const": status }, "code": { "enum": names } },
            },
            "example": examples::error(status, codes[0].name, codes[0].meaning),
        } },
    })
}

/// The answers to what is no operation: another path, another method.
pub(super) fn off_the_routes() -> Value {
    let only =
        |names: &[&str]| -> Vec<&Code> { CODES.iter().filter(|code| names.contains(&code.name)).collect() };
    json!({
        "Malformed": error(400, &only(&["invalid_host", "invalid_target"])),
        "RouteNotFound": error(404, &only(&["route_not_found"])),
        "MethodNotAllowed": error(405, &only(&["method_not_allowed"])),
    })
}

fn references(own: impl Iterator<Item = &'static str>) -> Value {
    let names = ALWAYS.iter().copied().chain(own);
    let entry = |name: &str| (name.to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }));
    Value::Object(names.map(entry).collect())
}

/// The header components.
pub(super) fn headers() -> Value {
    let header = |required: bool, schema: Value, description: &str| json!({ "required": required, "schema": schema, "description": description });
    let text = json!({ "type": "string" });
    json!({
        "x-request-id": header(true, schemas::id(), "The id of the request, in the log and the audit log too."),
        "cache-control": header(true, json!({ "type": "string", "const": "no-store" }), "Nothing is kept."),
        "x-content-type-options": header(true, json!({ "type": "string", "const": "nosniff" }), "The type is as said."),
        "www-authenticate": header(true, json!({ "type": "string", "const": "Bearer" }), "How to authenticate."),
        "retry-after": header(true, json!({ "type": "integer", "minimum": 1 }), "In how many seconds to try again."),
        "allow": header(true, text.clone(), "The methods that the route has."),
        "x-next-cursor": header(false, text, "The `cursor` of the next page; only while more remain."),
        "audit-receipt": header(
            false,
            json!({ "type": "string", "pattern": receipt::PATTERN }),
            "`<sequence>:<leafHash>` of each disclosure, in the order of the array; for more than 16 one value for \
             them all, `<first>-<last>:<base64 of SHA-256 over the leaf hashes>`.",
        ),
        "token-expires-at": header(
            false,
            schemas::time(),
            "When the application token ends; only in its last 7 days.",
        ),
    })
}

/// The roles that the policy lets in, in the order of the contract.
fn roles(route: &Route) -> Vec<Role> {
    let verbs: Vec<Verb> = match route.access {
        Access::Open | Access::Login => Vec::new(),
        Access::Needs(verb) | Access::Local(verb) => vec![verb],
        Access::OwnOr(own, other) => vec![own, other],
    };
    let named = |role: &Role| verbs.iter().any(|verb| verb.allowed().contains(role));
    Role::ALL.iter().copied().filter(named).collect()
}

/// The schemes whose tokens have one of these roles; none is needed where it is open to some.
fn security(access: Access, roles: &[Role]) -> Value {
    let nobody = matches!(access, Access::Local(_)).then(|| json!({}));
    let of = |scheme: &str, people: bool| {
        roles.iter().any(|role| role.is_user_role() == people).then(|| json!({ scheme: [] }))
    };
    nobody.into_iter().chain(of("user", true)).chain(of("application", false)).collect()
}

/// The endpoint's name; a further route to it has a number behind.
fn operation_id(endpoint: Endpoint, earlier: usize) -> String {
    let name = format!("{endpoint:?}");
    let number = if earlier == 0 { String::new() } else { (earlier + 1).to_string() };
    format!("{}{}{number}", name[..1].to_ascii_lowercase(), &name[1..])
}
