//! One operation: its hand-written part, and the part that follows from its route.

use serde_json::{Map, Value, json};

use super::{
    codes::{CODES, Code},
    error_reply::{BAD_BODY, BAD_QUERY, BAD_TARGET, ErrorReply, INTERNAL, UNAUTHENTICATED, UNAVAILABLE},
    headers, schemas,
};
use crate::{
    auth::policy::Verb,
    domain::Role,
    http::routes::{Access, Endpoint, Route},
};

/// The hand-written part of an operation.
pub(super) struct Operation {
    tag: &'static str,
    summary: &'static str,
    description: &'static str,
    parameters: Vec<Value>,
    numbers: bool,
    body_example: Value,
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
            body_example: Value::Null,
            replies: Vec::new(),
            codes: Vec::new(),
        }
    }

    /// Adds the parameter in the path.
    pub(super) fn path(mut self, name: &str, schema: Value, description: &str) -> Self {
        self.parameters.push(json!({
            "name": name, "in": "path", "required": true, "schema": schema, "description": description,
        }));
        self
    }

    /// Adds a query parameter.
    pub(super) fn query(mut self, name: &str, schema: Value, description: &str) -> Self {
        self.numbers |= matches!(name, "limit" | "cursor");
        self.parameters
            .push(json!({ "name": name, "in": "query", "schema": schema, "description": description }));
        self
    }

    /// Adds a query parameter that is required.
    pub(super) fn required_query(mut self, name: &str, schema: Value, description: &str) -> Self {
        self.parameters.push(json!({
            "name": name, "in": "query", "required": true, "schema": schema, "description": description,
        }));
        self
    }

    /// Adds a request header.
    pub(super) fn header(mut self, name: &str, schema: Value, description: &str) -> Self {
        self.parameters
            .push(json!({ "name": name, "in": "header", "schema": schema, "description": description }));
        self
    }

    /// Adds the example of the JSON body; its schema follows from the route.
    pub(super) fn takes(mut self, example: Value) -> Self {
        self.body_example = example;
        self
    }

    /// Adds a success answer.
    pub(super) fn answers(mut self, reply: Reply) -> Self {
        self.replies.push(reply);
        self
    }

    /// Adds error codes beyond those that follow from the route.
    pub(super) fn codes(mut self, codes: &[&'static str]) -> Self {
        self.codes.extend(codes);
        self
    }

    /// Renders the operation object; `earlier` counts the preceding routes to the same endpoint.
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
        if let Some(body) = route.body {
            let schema = schemas::reference(&format!("{}Request", body.name));
            operation["requestBody"] = json!({
                "required": true,
                "content": { "application/json": { "schema": schema, "example": self.body_example } },
            });
        }
        operation
    }

    fn responses(&self, route: &Route, roles: &[Role]) -> Value {
        let ends = roles.iter().any(|role| !role.is_user_role());
        let replies = self.replies.iter().map(|reply| (reply.status.to_string(), reply.to_json(ends)));
        let mut responses: Map<_, _> = replies.collect();
        for error in self.errors(route) {
            let status = error.status().to_string();
            if let Some(reply) = responses.get_mut(&status) {
                // A status that answers otherwise too, with another media type.
                reply["content"]["application/json"] = error.content();
            } else {
                let name = error.name();
                responses.insert(status, json!({ "$ref": format!("#/components/responses/{name}") }));
            }
        }
        responses.into()
    }

    /// Returns the error answers of a route that are components: those whose status has no other answer.
    pub(super) fn shared_errors(&self, route: &Route) -> Vec<ErrorReply> {
        let has_own = |error: &ErrorReply| self.replies.iter().any(|reply| reply.status == error.status());
        let mut errors = self.errors(route);
        errors.retain(|error| !has_own(error));
        errors
    }

    /// Returns the error answers of a route, one for each status.
    fn errors(&self, route: &Route) -> Vec<ErrorReply> {
        let codes = self.codes_of(route);
        codes
            .chunk_by(|one, next| one.status == next.status)
            .map(|codes| ErrorReply(codes.to_vec()))
            .collect()
    }

    /// Returns the codes that follow from the route and those listed by hand, in the order of [`CODES`].
    fn codes_of(&self, route: &Route) -> Vec<&'static Code> {
        let mut names = BAD_TARGET.to_vec();
        names.push("misdirected");
        if route.changes_state() {
            names.push("foreign_origin");
        }
        if route.access != Access::Open {
            names.extend([INTERNAL, UNAVAILABLE].concat());
        }
        if matches!(route.access, Access::Needs(_) | Access::OwnOr(..) | Access::Local(_)) {
            names.extend(UNAUTHENTICATED);
            names.extend(["forbidden", "otp_enrolment_required"]);
        }
        if route.body.is_some() {
            names.extend(BAD_BODY);
            names.extend(["request_timeout", "body_too_large", "unsupported_media_type"]);
        }
        let has_parameter = |place: &str| self.parameters.iter().any(|parameter| parameter["in"] == place);
        if has_parameter("query") {
            names.extend(BAD_QUERY);
        }
        if has_parameter("path") {
            names.push("invalid_field");
        }
        if self.numbers {
            names.push("invalid_parameter");
        }
        names.extend(&self.codes);
        // A low disk refuses additions. It has a budget: disclosures their own, and the rest that of writes.
        if names.contains(&"disk_low") && !names.contains(&"too_many_disclosures") {
            names.push("too_many_writes");
        }
        CODES.iter().filter(|code| names.contains(&code.name)).collect()
    }
}

/// A success answer.
pub(super) struct Reply {
    status: u16,
    description: &'static str,
    content: Vec<(&'static str, Value, Value)>,
    headers: Vec<&'static str>,
}

impl Reply {
    /// Creates an answer with a JSON body.
    pub(super) fn json(status: u16, description: &'static str, schema: Value, example: Value) -> Self {
        let content = vec![("application/json", schema, example)];
        Self { status, description, content, headers: Vec::new() }
    }

    /// Creates an answer of plain text.
    pub(super) fn text(description: &'static str, schema: Value, example: &str) -> Self {
        Self::empty(200, description).or("text/plain", schema, example)
    }

    /// Adds a text body of another media type.
    pub(super) fn or(mut self, media_type: &'static str, schema: Value, example: &str) -> Self {
        self.content.push((media_type, schema, example.into()));
        self
    }

    /// Creates an answer without a body.
    pub(super) const fn empty(status: u16, description: &'static str) -> Self {
        Self { status, description, content: Vec::new(), headers: Vec::new() }
    }

    /// Adds a response header.
    pub(super) fn with(mut self, header: &'static str) -> Self {
        self.headers.push(header);
        self
    }

    fn to_json(&self, ends: bool) -> Value {
        let soon = ends.then_some("token-expires-at");
        let mut reply = json!({
            "description": self.description,
            "headers": headers::references(self.headers.iter().copied().chain(soon)),
        });
        for (media_type, schema, example) in &self.content {
            reply["content"][media_type] = json!({ "schema": schema, "example": example });
        }
        reply
    }
}

/// Returns the roles that the policy grants the route, in the order of the contract.
fn roles(route: &Route) -> Vec<Role> {
    let verbs: Vec<Verb> = match route.access {
        Access::Open | Access::Login => Vec::new(),
        Access::Needs(verb) | Access::Local(verb) => vec![verb],
        Access::OwnOr(own, other) => vec![own, other],
    };
    let named = |role: &Role| verbs.iter().any(|verb| verb.allowed().contains(role));
    Role::ALL.iter().copied().filter(named).collect()
}

/// Returns the security schemes whose tokens can have one of these roles.
fn security(access: Access, roles: &[Role]) -> Value {
    let nobody = matches!(access, Access::Local(_)).then(|| json!({}));
    let of = |scheme: &str, people: bool| {
        roles.iter().any(|role| role.is_user_role() == people).then(|| json!({ scheme: [] }))
    };
    nobody.into_iter().chain(of("user", true)).chain(of("application", false)).collect()
}

/// Returns the endpoint's name, numbered for each further route to it.
fn operation_id(endpoint: Endpoint, earlier: usize) -> String {
    let name = format!("{endpoint:?}");
    let number = if earlier == 0 { String::new() } else { (earlier + 1).to_string() };
    format!("{}{}{number}", name[..1].to_ascii_lowercase(), &name[1..])
}
