//! Schemas of `GET /audit/exposure`. `required` is in the order in which the server writes the members.

use serde_json::{Map, Value, json};

use super::{
    responses::{actor, revision},
    values::{array_of, object, or_null, reference, sequence, text, truth},
};

pub(super) fn all() -> Map<String, Value> {
    [
        ("Exposure", exposure()),
        ("ExposedValue", value()),
        ("Disclosures", disclosures()),
        ("MintedToken", minted()),
        ("MadeActor", made()),
    ]
    .into_iter()
    .map(|(name, schema)| (name.to_owned(), schema))
    .collect()
}

fn exposure() -> Value {
    let left = ["live", "deleted", "minted", "made"].map(|list| (list, count(0)));
    let backups = [("count", count(1)), ("sequence", sequence()), ("last", reference("Time"))];
    object(
        &[
            ("actor", or_null(actor())),
            ("known", described(truth(), "`false` if neither a record nor a row names the actor.")),
            ("nearest", or_null(actor())),
            ("size", described(count(1), "The number of records that the answer covers.")),
            ("live", described(array_of("ExposedValue"), "Values that an integration still has.")),
            (
                "deleted",
                described(
                    array_of("ExposedValue"),
                    "The last values of deleted integrations; the provider may still honour them.",
                ),
            ),
            ("minted", array_of("MintedToken")),
            ("made", array_of("MadeActor")),
            ("backups", or_null(object(&backups, &[]))),
            ("left", described(object(&left, &[]), "The number of entries that each list leaves out.")),
        ],
        &[],
    )
}

fn value() -> Value {
    let stored = [
        ("sequence", sequence()),
        ("time", reference("Time")),
        ("action", json!({ "type": "string", "enum": ["integration.create", "integration.rotate"] })),
    ];
    object(
        &[
            ("actor", actor()),
            ("integrationId", reference("Id")),
            ("provider", reference("Provider")),
            ("name", or_null(reference("Name"))),
            ("revision", revision()),
            ("expiresAt", or_null(reference("Time"))),
            ("deletedAt", or_null(reference("Time"))),
            ("received", or_null(reference("Disclosures"))),
            ("stored", or_null(object(&stored, &[]))),
        ],
        &[],
    )
}

fn disclosures() -> Value {
    let texts = |items: Value| json!({ "type": "array", "items": items, "maxItems": 16 });
    object(
        &[
            ("count", count(1)),
            ("firstSequence", sequence()),
            ("first", reference("Time")),
            ("lastSequence", sequence()),
            ("last", reference("Time")),
            ("peers", texts(text())),
            ("morePeers", truth()),
            ("projects", texts(reference("ProjectIdentifier"))),
            ("moreProjects", truth()),
        ],
        &[],
    )
}

fn minted() -> Value {
    let hash = json!({ "type": "string", "pattern": "^[0-9A-Za-z+/]{43}=$" });
    let hash = described(hash, "The base64 of the token's SHA-256: `hashed_token` in GitHub's audit log.");
    object(
        &[
            ("actor", actor()),
            ("integrationId", reference("Id")),
            ("hashedToken", hash),
            ("expiresAt", reference("Time")),
            ("received", reference("Disclosures")),
        ],
        &[],
    )
}

fn made() -> Value {
    let statuses = json!(["active", "expired", "revoked", "disabled", "removed", null]);
    object(
        &[
            ("actor", actor()),
            ("by", actor()),
            ("sequence", sequence()),
            ("time", reference("Time")),
            ("name", or_null(reference("Name"))),
            ("role", or_null(text())),
            ("status", json!({ "enum": statuses })),
        ],
        &[],
    )
}

fn count(least: u64) -> Value {
    json!({ "type": "integer", "minimum": least })
}

fn described(mut schema: Value, description: &str) -> Value {
    schema["description"] = description.into();
    schema
}
