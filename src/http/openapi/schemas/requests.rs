//! Schemas of request bodies. A test compares their fields with those of the request types.

use serde_json::{Map, Value, json};

use super::values::{REVISION_MAX, any_object, object, or_null, reference, text, truth};
use crate::{
    api::requests::{INTEGRATIONS_MAX, OVERLAP_SECS_MAX, PROJECTS_MAX},
    domain::{AuthType, FieldRule, Provider, field_rule},
};

pub(super) fn all() -> Map<String, Value> {
    [
        ("LoginRequest", login()),
        ("RefreshRequest", refresh()),
        ("CreateUserRequest", create_user()),
        ("UpdateUserRequest", update_user()),
        ("BeginOtpRequest", object(&[("currentPassword", secret())], &[])),
        ("ConfirmOtpRequest", object(&[("otp", otp())], &[])),
        ("OwnOtpRequest", object(&[("currentPassword", secret()), ("otp", otp())], &[])),
        ("DeleteUserRequest", object(&[("email", reference("Email"))], &[])),
        ("CreateIntegrationRequest", create_integration()),
        ("UpdateIntegrationRequest", update_integration()),
        ("RotateCredentialsRequest", rotate_credentials()),
        ("RollbackCredentialsRequest", rollback_credentials()),
        ("CreateProjectRequest", create_project()),
        ("CreateTokenRequest", create_token()),
        ("RollTokenRequest", roll_token()),
        ("LeaveUserRequest", leave_user()),
    ]
    .into_iter()
    .map(|(name, schema)| (name.to_owned(), schema))
    .collect()
}

fn login() -> Value {
    let code = with_description(or_null(otp()), "Needed for a user with a second factor.");
    object(&[("email", text()), ("password", secret())], &[("otp", code)])
}

fn refresh() -> Value {
    object(&[("refresh_token", secret())], &[])
}

fn create_user() -> Value {
    let mut schema = object(
        &[("email", reference("Email"))],
        &[
            ("role", with_description(or_null(reference("UserRole")), "`member` by default.")),
            ("firstName", or_null(reference("Name"))),
            ("lastName", or_null(reference("Name"))),
            ("password", with_description(new_password(), &format!("{PASSWORD_RULE} Generated if absent."))),
            (
                "projects",
                with_description(
                    some_projects_or_null(),
                    "The only projects a member may access, possibly none; `null` means all projects, and absent \
                     the server's default. Not allowed for owners.",
                ),
            ),
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
            ("firstName", with_description(or_null(reference("Name")), "`null` clears it.")),
            ("lastName", with_description(or_null(reference("Name")), "`null` clears it.")),
            (
                "role",
                with_description(
                    or_null(reference("UserRole")),
                    "Requires an owner; nobody can change their own role.",
                ),
            ),
            ("disabled", with_description(or_null(truth()), "Requires an owner.")),
            (
                "projects",
                with_description(some_projects_or_null(), "Requires an owner; `null` means all projects."),
            ),
            ("password", new_password()),
            (
                "currentPassword",
                with_description(or_null(secret()), "Required to change one's own password."),
            ),
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
            ("provider", with_description(reference("Provider"), "`custom` requires a `name`.")),
            ("authType", with_description(reference("AuthType"), "Alias: `auth_type`.")),
            ("credentials", credentials()),
        ],
        &[
            ("isGlobal", with_description(or_null(truth()), "Excludes `projects`. Alias: `is_global`.")),
            ("projects", with_description(or_null(scope()), "Excludes `isGlobal`; each must be registered.")),
            ("config", with_description(or_null(any_object()), "Provider options, visible to owners.")),
            ("name", or_null(reference("Name"))),
            (
                "expiresAt",
                with_description(
                    or_null(reference("Time")),
                    "The credential's expiry at the provider; must be in the future.",
                ),
            ),
            ("allowExpired", allow_expired()),
            ("canary", canary()),
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

/// Returns the rules for pairs of provider and auth type: the name of `custom`, and the documented fields.
///
/// They form one chain of `else`: as a list, each would double the cases that a test generator has to try.
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
            ("name", with_description(or_null(reference("Name")), "`null` clears it, except for `custom`.")),
            (
                "projects",
                with_description(list(&reference("ProjectIdentifier"), PROJECTS_MAX), "The new scope."),
            ),
            (
                "isGlobal",
                with_description(truth(), "`true` makes the integration global. Alias: `is_global`."),
            ),
            ("config", with_description(or_null(any_object()), "`null` clears it.")),
            (
                "expiresAt",
                with_description(
                    or_null(reference("Time")),
                    "`null` clears it; otherwise it must be in the future.",
                ),
            ),
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
        &[
            (
                "expiresAt",
                with_description(
                    or_null(reference("Time")),
                    "Must be in the future; if absent, the new expiry is unknown.",
                ),
            ),
            ("allowExpired", allow_expired()),
        ],
    )
}

fn allow_expired() -> Value {
    json!({
        "type": ["boolean", "null"],
        "description": "Accepts an `expiresAt` in the past, for an import; owners only.",
    })
}

fn canary() -> Value {
    json!({
        "type": ["boolean", "null"],
        "description": "Raises an alarm at each read of the credential, which readers cannot see; owners only.",
    })
}

fn rollback_credentials() -> Value {
    let revision = json!({
        "type": "integer", "minimum": 1, "maximum": REVISION_MAX,
        "description": "The older revision to restore as the newest one.",
    });
    object(&[("revision", revision)], &[])
}

fn create_project() -> Value {
    let remote_url = json!({
        "type": ["string", "null"], "minLength": 1, "maxLength": 2000, "pattern": "^[!-~]+:[!-~]+$",
        "description": "An http(s) or ssh URL, or `user@host:org/repo.git`; no password, and a user name only for ssh.",
    });
    let platform = with_description(
        or_null(reference("Platform")),
        "Derived from the host of `remoteUrl` if absent; `other` without a `remoteUrl`.",
    );
    object(
        &[("identifier", reference("ProjectIdentifier"))],
        &[("remoteUrl", remote_url), ("platform", platform), ("configuration", or_null(any_object()))],
    )
}

fn create_token() -> Value {
    let days = json!({
        "type": ["integer", "null"], "minimum": 1, "maximum": 3650, "description": "Lifetime in days; 30 by default.",
    });
    object(
        &[("name", reference("Name"))],
        &[
            ("expiresIn", days),
            ("role", with_description(or_null(reference("TokenRole")), "`application` by default.")),
            (
                "projects",
                with_description(
                    projects_or_null(),
                    "The only projects it may read; each must be registered.",
                ),
            ),
            (
                "providers",
                with_description(
                    or_null(list(&reference("Provider"), Provider::ALL.len())),
                    "The only providers it may read.",
                ),
            ),
            (
                "integrations",
                with_description(
                    or_null(list(&reference("Id"), INTEGRATIONS_MAX)),
                    "The only integrations it may read, by id; each must exist.",
                ),
            ),
        ],
    )
}

fn roll_token() -> Value {
    let overlap = json!({
        "type": ["integer", "null"], "minimum": 0, "maximum": OVERLAP_SECS_MAX,
        "description": "Seconds for which the token before stays valid; 3600 by default.",
    });
    object(&[], &[("overlapSeconds", overlap)])
}

fn leave_user() -> Value {
    let keep =
        with_description(or_null(truth()), "Keeps the tokens that the user created; `false` by default.");
    object(&[], &[("keepTokens", keep)])
}

/// A credential; provider and auth type of the integration decide its required fields.
fn credentials() -> Value {
    json!({
        "type": "object", "minProperties": 1,
        "description": "Stored and returned verbatim. Documented pairs of provider and auth type require their documented fields.",
    })
}

/// Projects, possibly none: of a user, or of a scope with `isGlobal: true`.
fn scope() -> Value {
    json!({
        "type": "array", "items": reference("ProjectIdentifier"), "maxItems": PROJECTS_MAX, "uniqueItems": true,
    })
}

fn list(items: &Value, most: usize) -> Value {
    json!({ "type": "array", "items": items, "minItems": 1, "maxItems": most, "uniqueItems": true })
}

fn some_projects_or_null() -> Value {
    or_null(scope())
}

fn projects_or_null() -> Value {
    or_null(list(&reference("ProjectIdentifier"), PROJECTS_MAX))
}

fn secret() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

fn otp() -> Value {
    with_description(
        secret(),
        "The six digits of the authenticator, or a one-time code; blanks and hyphens do not count.",
    )
}

fn new_password() -> Value {
    let schema = json!({ "type": ["string", "null"], "minLength": 12, "maxLength": 256 });
    with_description(schema, PASSWORD_RULE)
}

const PASSWORD_RULE: &str =
    "12 to 256 characters, normalized to NFC; no control characters, no leading or trailing blanks.";

fn with_description(mut schema: Value, description: &str) -> Value {
    schema["description"] = description.into();
    schema
}
