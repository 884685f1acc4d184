//! The bodies that come in: each has the fields of its type, held together by a test.

use serde_json::{Map, Value, json};

use super::values::{REVISION_MAX, any_object, object, or_null, reference, text, truth};
use crate::{
    api::requests::PROJECTS_MAX,
    domain::{AuthType, FieldRule, Provider, field_rule},
};

pub(super) fn all() -> Map<String, Value> {
    [
        ("LoginRequest", login()),
        ("RefreshRequest", refresh()),
        ("CreateUserRequest", create_user()),
        ("UpdateUserRequest", update_user()),
        ("DeleteUserRequest", object(&[("email", reference("Email"))], &[])),
        ("CreateIntegrationRequest", create_integration()),
        ("UpdateIntegrationRequest", update_integration()),
        ("RotateCredentialsRequest", rotate_credentials()),
        ("RollbackCredentialsRequest", rollback_credentials()),
        ("CreateProjectRequest", create_project()),
        ("CreateTokenRequest", create_token()),
    ]
    .into_iter()
    .map(|(name, schema)| (name.to_owned(), schema))
    .collect()
}

fn login() -> Value {
    object(&[("email", text()), ("password", secret())], &[])
}

fn refresh() -> Value {
    object(&[("refresh_token", secret())], &[])
}

fn create_user() -> Value {
    let mut schema = object(
        &[("email", reference("Email"))],
        &[
            ("role", described(or_null(reference("UserRole")), "`member` where it is absent.")),
            ("firstName", or_null(reference("Name"))),
            ("lastName", or_null(reference("Name"))),
            (
                "password",
                described(new_password(), &format!("{PASSWORD_RULE} One is generated where it is absent.")),
            ),
            ("projects", described(projects_or_null(), "Narrows a member to these; an owner has them all.")),
        ],
    );
    schema["anyOf"] = json!([
        { "properties": { "projects": { "type": "null" } } },
        { "properties": { "role": { "enum": ["member", null] } } },
    ]);
    schema
}

fn update_user() -> Value {
    let mut schema = object(
        &[],
        &[
            ("firstName", described(or_null(reference("Name")), "`null` clears it.")),
            ("lastName", described(or_null(reference("Name")), "`null` clears it.")),
            ("role", described(or_null(reference("UserRole")), "An owner's to change, and never one's own.")),
            ("disabled", described(or_null(truth()), "An owner's to change.")),
            ("projects", described(projects_or_null(), "An owner's to change; `null` means all.")),
            ("password", new_password()),
            ("currentPassword", described(or_null(secret()), "Needed for a new password of one's own.")),
        ],
    );
    schema["anyOf"] = json!([
        { "required": ["firstName"] },
        { "required": ["lastName"] },
        { "required": ["projects"] },
        { "required": ["role"], "properties": { "role": { "type": "string" } } },
        { "required": ["disabled"], "properties": { "disabled": { "type": "boolean" } } },
        { "required": ["password"], "properties": { "password": { "type": "string" } } },
    ]);
    schema
}

fn create_integration() -> Value {
    let mut schema = object(
        &[
            ("provider", described(reference("Provider"), "`custom` needs a `name`.")),
            ("authType", described(reference("AuthType"), "Also read as `auth_type`.")),
            ("credentials", credentials()),
        ],
        &[
            ("isGlobal", described(or_null(truth()), "This or `projects`. Also read as `is_global`.")),
            ("projects", described(or_null(scope()), "This or `isGlobal`; each must be registered.")),
            ("config", described(or_null(any_object()), "Provider options, shown to owners.")),
            ("name", or_null(reference("Name"))),
            (
                "expiresAt",
                described(or_null(reference("Time")), "When the credential ends at the provider; not past."),
            ),
        ],
    );
    schema["anyOf"] = json!([
        {
            "required": ["isGlobal"],
            "properties": {
                "isGlobal": { "const": true },
                "projects": { "type": ["array", "null"], "maxItems": 0 },
            },
        },
        {
            "required": ["projects"],
            "properties": {
                "isGlobal": { "enum": [false, null] },
                "projects": { "type": "array", "minItems": 1 },
            },
        },
    ]);
    schema["allOf"] = rules();
    schema
}

/// What follows from provider and auth type: the name of a `custom` one, and the documented fields of a pair.
///
/// One chain of `else`: as a list of equals, each would double what a generator of test data has to try.
fn rules() -> Value {
    let named = json!({
        "if": { "required": ["provider"], "properties": { "provider": { "const": "custom" } } },
        "then": { "required": ["name"], "properties": { "name": { "type": "string" } } },
    });
    let pairs =
        Provider::ALL.iter().flat_map(|provider| AuthType::ALL.iter().map(move |kind| (*provider, *kind)));
    let pair = |(provider, kind): (Provider, AuthType)| {
        let rule = field_rule(provider, kind)?;
        let properties =
            json!({ "provider": { "const": provider.as_str() }, "authType": { "const": kind.as_str() } });
        Some(json!({
            "if": { "required": ["provider", "authType"], "properties": properties },
            "then": { "properties": { "credentials": fields(&rule) } },
        }))
    };
    let rules: Vec<Value> = std::iter::once(named).chain(pairs.filter_map(pair)).collect();
    let before = |rest: Value, mut rule: Value| {
        rule["else"] = rest;
        rule
    };
    rules.into_iter().rev().reduce(before).into_iter().collect()
}

fn fields(rule: &FieldRule) -> Value {
    let filled = |field: &str| {
        let kinds =
            if rule.number_allowed == Some(field) { json!(["string", "number"]) } else { json!("string") };
        (field.to_owned(), json!({ "type": kinds, "minLength": 1 }))
    };
    let of_set = |set: &&[&str]| {
        let properties: Map<String, Value> = set.iter().map(|field| filled(field)).collect();
        json!({ "required": set, "properties": properties })
    };
    match rule.sets {
        [set] => of_set(set),
        sets => json!({ "anyOf": sets.iter().map(of_set).collect::<Vec<_>>() }),
    }
}

fn update_integration() -> Value {
    let mut schema = object(
        &[],
        &[
            ("name", described(or_null(reference("Name")), "`null` clears it, but for `custom`.")),
            (
                "projects",
                described(list(&reference("ProjectIdentifier"), PROJECTS_MAX), "Scopes it to these."),
            ),
            ("isGlobal", described(truth(), "`true` alone makes it global. Also read as `is_global`.")),
            ("config", described(or_null(any_object()), "`null` clears it.")),
            ("expiresAt", described(or_null(reference("Time")), "`null` clears it; not past.")),
        ],
    );
    schema["minProperties"] = 1.into();
    schema["anyOf"] = json!([
        { "properties": { "isGlobal": { "const": true }, "projects": false } },
        { "required": ["projects"], "properties": { "isGlobal": { "const": false } } },
    ]);
    schema
}

fn rotate_credentials() -> Value {
    object(
        &[("credentials", credentials())],
        &[("expiresAt", described(or_null(reference("Time")), "Without it the end is not known; not past."))],
    )
}

fn rollback_credentials() -> Value {
    let revision = json!({
        "type": "integer", "minimum": 1, "maximum": REVISION_MAX,
        "description": "The older revision that becomes current, as a new one.",
    });
    object(&[("revision", revision)], &[])
}

fn create_project() -> Value {
    let remote_url = json!({
        "type": ["string", "null"], "minLength": 1, "maxLength": 2000, "pattern": "^[!-~]+:[!-~]+$",
        "description": "http(s), ssh, or `user@host:org/repo.git`; never with a password, with a user name only for ssh.",
    });
    let platform = described(
        or_null(reference("Platform")),
        "Read off the host where it is absent; `other` without a `remoteUrl`.",
    );
    object(
        &[("identifier", reference("ProjectIdentifier"))],
        &[("remoteUrl", remote_url), ("platform", platform), ("configuration", or_null(any_object()))],
    )
}

fn create_token() -> Value {
    let days = json!({
        "type": ["integer", "null"], "minimum": 1, "maximum": 3650, "description": "Days; 30 where it is absent.",
    });
    object(
        &[("name", reference("Name"))],
        &[
            ("expiresIn", days),
            ("role", described(or_null(reference("TokenRole")), "`application` where it is absent.")),
            ("projects", described(projects_or_null(), "Narrows it to these; each must be registered.")),
            (
                "providers",
                described(or_null(list(&reference("Provider"), Provider::ALL.len())), "Narrows it to these."),
            ),
        ],
    )
}

/// A credential; what a documented pair must hold follows from the integration.
fn credentials() -> Value {
    json!({
        "type": "object", "minProperties": 1,
        "description": "Stored and returned verbatim. A documented pair carries its documented fields.",
    })
}

/// Where an empty list beside `isGlobal: true` names no project, and is let pass.
fn scope() -> Value {
    json!({
        "type": "array", "items": reference("ProjectIdentifier"), "maxItems": PROJECTS_MAX, "uniqueItems": true,
    })
}

fn list(items: &Value, most: usize) -> Value {
    json!({ "type": "array", "items": items, "minItems": 1, "maxItems": most, "uniqueItems": true })
}

fn projects_or_null() -> Value {
    or_null(list(&reference("ProjectIdentifier"), PROJECTS_MAX))
}

fn secret() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

fn new_password() -> Value {
    let schema = json!({ "type": ["string", "null"], "minLength": 12, "maxLength": 256 });
    described(schema, PASSWORD_RULE)
}

const PASSWORD_RULE: &str =
    "12 to 256 characters, stored in NFC; no control characters, no blanks at its ends.";

fn described(mut schema: Value, description: &str) -> Value {
    schema["description"] = description.into();
    schema
}
