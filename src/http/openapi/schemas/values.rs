//! Schemas of shared values, and constructors of object schemas.

use std::fmt::Display;

use serde_json::{Map, Value, json};

use crate::{
    domain::{Integration, Role, UNSEEN},
    http::openapi::codes::CODES,
};

/// A UUID in any case.
const UUID: &str = "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}";
/// The year 1970 or later; the last day before it still counts where the offset is west of Greenwich.
const TIME: &str = "^(?:1969-12-31|19[7-9][0-9]-|[2-9][0-9]{3}-)";
/// Characters of an e-mail address.
pub(super) const IN_EMAIL: &str = "[!#-'*+\\-./0-9=?A-Z^-~]+";
/// Blanks of Unicode that are no control characters.
const BLANK: &str = r" \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000";
/// Control characters.
const CONTROL: &str = r"\u0000-\u001f\u007f-\u009f";
/// The largest revision.
pub(super) const REVISION_MAX: u64 = u64::MAX;

/// A component by its name.
pub(in crate::http::openapi) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// An array of a component.
pub(in crate::http::openapi) fn array_of(name: &str) -> Value {
    json!({ "type": "array", "items": reference(name) })
}

/// An id, as the parser accepts it.
pub(in crate::http::openapi) fn id() -> Value {
    json!({
        "type": "string", "format": "uuid", "pattern": format!("^{UUID}$"),
        "description": "A hyphenated UUID; accepted in any case, returned in lower case.",
    })
}

/// A time, as the parser accepts it.
pub(in crate::http::openapi) fn time() -> Value {
    json!({
        "type": "string", "format": "date-time", "pattern": TIME,
        "description": "RFC 3339, 1970 or later; returned in UTC with milliseconds.",
    })
}

/// An application token or its id.
pub(in crate::http::openapi) fn token_or_id() -> Value {
    json!({ "type": "string", "pattern": format!("^(?:{UUID}|sfp_app_[0-9A-Za-z]+)$") })
}

/// An actor.
pub(in crate::http::openapi) fn actor() -> Value {
    let pattern = format!("^(?:user:{}|app:{UUID}|host:[0-9A-Za-z._-]{{1,32}})$", email_as_read());
    json!({ "type": "string", "pattern": pattern })
}

/// A page's size.
pub(in crate::http::openapi) fn limit() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": 1000 })
}

/// The number of revisions to read.
pub(in crate::http::openapi) fn kept_limit() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": Integration::KEPT_MAX })
}

/// A revision in `If-Match`.
pub(in crate::http::openapi) fn if_match() -> Value {
    json!({ "type": "string", "pattern": r#"^(?:\*|[0-9]{1,20}|"[0-9]{1,20}")$"# })
}

/// A sequence in the audit log.
pub(in crate::http::openapi) fn sequence() -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX })
}

pub(super) fn email() -> Value {
    // No `format`: the parser accepts some addresses outside RFC 5321.
    json!({
        "type": "string", "maxLength": 254,
        "pattern": format!("^{}$", email_as_read()),
        "description": "ASCII; surrounding blanks are removed, and it is compared and returned in lower case.",
    })
}

/// Invisible characters, as members of a class. Those past the basic plane stand for themselves: an escape of them reads
/// differently with and without ECMA-262's flag `u`.
fn unseen() -> String {
    let spelt = |c: char| if c > '\u{ffff}' { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) };
    UNSEEN.iter().flat_map(|(first, last)| [spelt(*first), "-".to_owned(), spelt(*last)]).collect()
}

/// An e-mail address, with surrounding blanks, which the parser removes.
fn email_as_read() -> String {
    let blanks = format!(r"[\t-\r\u0085{BLANK}]*");
    format!("{blanks}{IN_EMAIL}@[0-9A-Za-z.-]+{blanks}")
}

pub(super) fn name() -> Value {
    let unseen = unseen();
    json!({
        "type": "string", "minLength": 1, "maxLength": 100,
        "pattern": format!("^[^{CONTROL}{unseen}]*[^{CONTROL}{unseen}{BLANK}][^{CONTROL}{unseen}]*$"),
        "description": "A label; no control or invisible characters, and not only blanks.",
    })
}

pub(super) fn project() -> Value {
    // Printable ASCII except `/` and `%`; no leading or trailing blank, neither `.` nor `..`.
    let (any, end, dotless) = ("[ -$&-.0-~]", "[!-$&-.0-~]", r"[!-$&-\-0-~]");
    let rest = format!("(?:{any}*{end})?");
    let segment = format!(r"(?:{dotless}{rest}|\.{{1,2}}(?:{dotless}{rest}| {any}*{end})|\.{{3}}{rest})");
    json!({
        "type": "string", "minLength": 1, "maxLength": 200,
        "pattern": format!("^{segment}(?:/{segment}){{0,19}}$"),
        "description": "`org/repo`, `org/project/repo`, `payments` or a number: 1 to 20 segments, exact and case-sensitive. \
                        No leading or trailing blanks in a segment; no `%`.",
    })
}

pub(super) fn closed<T: Display>(values: &[T], description: &str) -> Value {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    json!({ "type": "string", "enum": values, "description": description })
}

pub(super) fn roles(of_people: bool) -> Vec<Role> {
    Role::ALL.iter().copied().filter(|role| role.is_user_role() == of_people).collect()
}

pub(super) fn error() -> Value {
    let codes: Vec<&str> = CODES.iter().map(|code| code.name).collect();
    object(
        &[
            ("statusCode", json!({ "type": "integer", "minimum": 400, "maximum": 599 })),
            ("error", json!({ "type": "string", "description": "The reason phrase of the status." })),
            (
                "code",
                json!({ "type": "string", "enum": codes, "description": "A stable code for programs." }),
            ),
            ("message", json!({ "type": "string", "description": "A sentence for people; it may change." })),
            ("requestId", reference("Id")),
        ],
        &[],
    )
}

/// An object with these members and no others; `required` keeps the order in which they are written.
pub(super) fn object(required: &[(&str, Value)], optional: &[(&str, Value)]) -> Value {
    let member = |(name, schema): &(&str, Value)| ((*name).to_owned(), schema.clone());
    let properties: Map<String, Value> = required.iter().chain(optional).map(member).collect();
    let required: Vec<&str> = required.iter().map(|(name, _)| *name).collect();
    json!({
        "type": "object", "additionalProperties": false, "properties": properties, "required": required,
    })
}

/// Returns the schema, made nullable.
pub(super) fn or_null(schema: Value) -> Value {
    match schema["type"].as_str() {
        // An `enum` would have to list `null` too.
        Some(kind) if schema.get("enum").is_none() => {
            let kinds = json!([kind, "null"]);
            let Value::Object(mut members) = schema else { return schema };
            members.insert("type".to_owned(), kinds);
            members.into()
        }
        _ => json!({ "anyOf": [schema, { "type": "null" }] }),
    }
}

pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

pub(super) fn truth() -> Value {
    json!({ "type": "boolean" })
}

pub(super) fn any_object() -> Value {
    json!({ "type": "object" })
}
