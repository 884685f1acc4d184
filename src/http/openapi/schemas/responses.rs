//! Schemas of response bodies. `required` is in the order of the contract; the tests compare it with real bodies.

use serde_json::{Map, Value, json};

use super::values::{IN_EMAIL, any_object, object, or_null, reference, text, truth};
use crate::domain::Integration;

pub(super) fn all() -> Map<String, Value> {
    [
        ("Health", health()),
        ("Login", login()),
        ("User", user(&[("otp", has_otp())])),
        ("CreatedUser", user(&[("initialPassword", initial_password())])),
        ("BegunOtp", begun_otp()),
        ("OneTimeCodes", one_time_codes()),
        ("UpdatedUser", object(&[("success", success_flag()), ("user", reference("User"))], &[])),
        ("Integration", integration(&[("canary", canary())])),
        ("CreatedIntegration", integration(&[("canary", canary()), ("shadows", shadows())])),
        ("DisclosedCredential", disclosed()),
        ("Revisions", revisions()),
        ("RepositoryToken", repository_token()),
        ("Project", project()),
        ("ApplicationToken", token()),
        ("CreatedApplicationToken", created_token()),
        ("RolledApplicationToken", rolled_token()),
        ("LeftUser", left_user()),
        ("RemovedById", object(&[("success", success_flag()), ("id", reference("Id"))], &[])),
        (
            "RemovedProject",
            object(&[("success", success_flag()), ("identifier", reference("ProjectIdentifier"))], &[]),
        ),
        ("RemovedUser", object(&[("success", success_flag()), ("email", address())], &[])),
        ("Event", event()),
    ]
    .into_iter()
    .map(|(name, schema)| (name.to_owned(), schema))
    .collect()
}

fn health() -> Value {
    object(
        &[
            ("status", json!({ "type": "string", "enum": ["healthy", "unhealthy"] })),
            ("version", text()),
            ("locked", truth()),
            ("audit", json!({ "type": "string", "enum": ["writable", "unavailable", "locked"] })),
            ("uptimeSeconds", json!({ "type": "integer", "minimum": 0 })),
        ],
        &[(
            "detail",
            json!({ "type": "array", "items": { "enum": ["disk_low", "rolled_back", "checkpoint_lost", "backup_failed", "archive_failed", "witness_refused", "witness_silent", "file_gone", "log_flawed"] } }),
        )],
    )
}

fn login() -> Value {
    let who = object(&[("id", reference("Id")), ("email", address()), ("role", reference("UserRole"))], &[]);
    let token = |prefix: &str| json!({ "type": "string", "pattern": format!("^{prefix}[0-9A-Za-z]+$") });
    object(
        &[
            ("success", success_flag()),
            ("access_token", token("sfp_usr_")),
            ("refresh_token", token("sfp_ref_")),
            ("expires_in", json!({ "type": "integer", "minimum": 0, "description": "Seconds." })),
            ("user", who),
        ],
        &[],
    )
}

fn user(optional: &[(&str, Value)]) -> Value {
    object(
        &[
            ("id", reference("Id")),
            ("email", address()),
            ("firstName", or_null(reference("Name"))),
            ("lastName", or_null(reference("Name"))),
            ("role", reference("UserRole")),
            ("projects", narrowed("ProjectIdentifier")),
            ("disabled", truth()),
            ("createdAt", reference("Time")),
            ("lastLoginAt", or_null(reference("Time"))),
        ],
        optional,
    )
}

fn has_otp() -> Value {
    json!({ "const": true, "description": "Present where the user has a second factor." })
}

fn begun_otp() -> Value {
    let secret = json!({ "type": "string", "description": "The shared secret in base32 (RFC 4648), without padding." });
    let uri = json!({ "type": "string", "description": "The same as an `otpauth:` URI, for a QR code." });
    object(&[("secret", secret), ("uri", uri)], &[])
}

fn one_time_codes() -> Value {
    let codes = json!({ "type": "array", "items": { "type": "string" }, "minItems": 10, "maxItems": 10 });
    object(&[("codes", codes)], &[])
}

fn initial_password() -> Value {
    json!({ "type": "string", "description": "The generated password, returned once; absent if the request had one." })
}

fn integration(optional: &[(&str, Value)]) -> Value {
    object(
        &[
            ("id", reference("Id")),
            ("provider", reference("Provider")),
            ("authType", reference("AuthType")),
            ("name", or_null(reference("Name"))),
            ("isGlobal", truth()),
            ("projects", super::values::array_of("ProjectIdentifier")),
            ("config", any_object()),
            ("expiresAt", or_null(reference("Time"))),
            ("revision", revision()),
            ("createdAt", reference("Time")),
            ("createdBy", actor()),
            ("updatedAt", reference("Time")),
            ("lastAccessedAt", or_null(reference("Time"))),
            ("lastAccessedBy", or_null(actor())),
        ],
        optional,
    )
}

fn canary() -> Value {
    json!({ "const": true, "description": "Each read of the credential raises an alarm; shown to owners only." })
}

fn shadows() -> Value {
    json!({
        "type": "array", "items": reference("Id"), "minItems": 1,
        "description": "Other integrations of the same provider with an overlapping scope.",
    })
}

fn disclosed() -> Value {
    let credentials =
        json!({ "type": "object", "minProperties": 1, "description": "The credential, verbatim as stored." });
    let label = json!({ "type": "string", "description": "Only for `custom`, whose integrations are distinguished by name." });
    object(
        &[
            ("integration_id", reference("Id")),
            ("provider", reference("Provider")),
            ("auth_type", reference("AuthType")),
            ("credentials", credentials),
        ],
        &[("config", any_object()), ("expires_at", reference("Time")), ("name", label)],
    )
}

fn revisions() -> Value {
    let one = object(
        &[
            ("revision", revision()),
            ("expiresAt", or_null(reference("Time"))),
            (
                "credentials",
                json!({ "type": "object", "minProperties": 1, "description": "Verbatim as stored." }),
            ),
        ],
        &[],
    );
    let list = json!({
        "type": "array", "items": one, "minItems": 1, "maxItems": Integration::KEPT_MAX,
        "description": "The current revision first.",
    });
    object(&[("integration", reference("Integration")), ("revisions", list)], &[])
}

fn repository_token() -> Value {
    let kind = json!({
        "type": "string", "enum": ["pat", "installation"],
        "description": "`installation` is a token that a GitHub App minted for this repository alone.",
    });
    object(
        &[
            ("token", text()),
            ("expiresAt", or_null(reference("Time"))),
            ("type", kind),
            ("provider", json!({ "const": "github" })),
            ("scope", reference("ProjectIdentifier")),
        ],
        &[],
    )
}

fn project() -> Value {
    let scoped = object(
        &[
            ("id", reference("Id")),
            ("provider", reference("Provider")),
            ("authType", reference("AuthType")),
            ("created_at", reference("Time")),
        ],
        &[],
    );
    object(
        &[
            ("identifier", reference("ProjectIdentifier")),
            ("remoteUrl", or_null(text())),
            ("platform", reference("Platform")),
            ("createdAt", reference("Time")),
            ("updatedAt", reference("Time")),
            ("version", json!({ "type": "integer", "minimum": 1 })),
            ("configuration", any_object()),
            (
                "integrations",
                json!({ "type": "array", "items": scoped, "description": "Empty except for owners." }),
            ),
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
            ("projects", narrowed("ProjectIdentifier")),
            ("providers", narrowed("Provider")),
            ("integrations", narrowed("Id")),
            ("createdBy", actor()),
            ("createdAt", reference("Time")),
            ("expiresAt", reference("Time")),
            ("lastUsedAt", or_null(reference("Time"))),
            ("status", reference("TokenStatus")),
        ],
        &[
            ("rolls", described("Id", "The token that this one succeeds.")),
            ("rolledTo", described("Id", "The token that succeeds this one.")),
            ("firstUsedAt", described("Time", "The first audited use of a token that succeeds another.")),
        ],
    )
}

fn described(name: &str, description: &str) -> Value {
    json!({ "allOf": [reference(name)], "description": description })
}

fn rolled_token() -> Value {
    let mut schema = created_token();
    let rolls = object(&[("id", reference("Id")), ("expiresAt", reference("Time"))], &[]);
    schema["properties"]["rolls"] = rolls;
    if let Some(required) = schema["required"].as_array_mut() {
        required.push("rolls".into());
    }
    schema
}

fn left_user() -> Value {
    let token = object(&[("id", reference("Id")), ("name", reference("Name"))], &[]);
    let tokens = json!({ "type": "array", "items": token });
    object(
        &[
            ("success", success_flag()),
            ("user", reference("User")),
            ("revokedTokens", tokens.clone()),
            ("keptTokens", tokens),
        ],
        &[],
    )
}

fn created_token() -> Value {
    let token = json!({
        "type": "string", "pattern": "^sfp_app_[0-9A-Za-z]+$", "description": "Returned once.",
    });
    object(
        &[
            ("id", reference("Id")),
            ("name", reference("Name")),
            ("role", reference("TokenRole")),
            ("token", token),
            ("createdAt", reference("Time")),
            ("expiresAt", reference("Time")),
        ],
        &[],
    )
}

fn event() -> Value {
    object(
        &[
            ("v", json!({ "const": 1 })),
            ("sequence", super::values::sequence()),
            ("time", reference("Time")),
            ("actor", actor()),
            ("action", reference("Action")),
            ("outcome", reference("Outcome")),
            ("integrationId", or_null(reference("Id"))),
            ("revision", or_null(revision())),
            ("provider", or_null(reference("Provider"))),
            ("project", or_null(reference("ProjectIdentifier"))),
            ("requestId", or_null(reference("Id"))),
            ("peer", or_null(json!({ "type": "string", "description": "An IP address, or `unix`." }))),
            ("detail", any_object()),
            ("leafHash", json!({ "type": "string", "pattern": "^[0-9A-Za-z+/]{43}=$" })),
        ],
        &[],
    )
}

pub(super) fn revision() -> Value {
    json!({ "type": "integer", "minimum": 1 })
}

fn success_flag() -> Value {
    json!({ "const": true })
}

fn address() -> Value {
    json!({ "type": "string", "maxLength": 254, "pattern": format!("^{IN_EMAIL}@{IN_EMAIL}$") })
}

pub(super) fn actor() -> Value {
    json!({ "type": "string", "pattern": "^(?:user|app|host):.+$" })
}

/// An access limit; `null` means none.
fn narrowed(items: &str) -> Value {
    json!({
        "type": ["array", "null"], "items": reference(items),
        "description": "`null` means no limit; an empty list permits nothing.",
    })
}
