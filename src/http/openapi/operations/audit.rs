//! Contract §9: the audit log.

use serde_json::json;

use crate::http::openapi::{
    examples,
    operation::{Operation, Reply},
    schemas::{actor, array_of, id, limit, reference, sequence, time},
};

pub(super) const TAG: &str = "Audit";

pub(super) fn events() -> Operation {
    let example = [examples::event()].into_iter().collect();
    Operation::new(
        TAG,
        "List events",
        "Newest first. Reading the log is itself an event, committed before the answer, so it is the first one listed. \
         Each element is the record's JSON text with `leafHash` appended.",
    )
    .query("actor", actor(), "The actor: `user:<email>`, `app:<token id>` or `host:<os user>`.")
    .query("action", reference("Action"), "The action.")
    .query("integration", id(), "The integration's id.")
    .query("project", reference("ProjectIdentifier"), "The requested project.")
    .query("outcome", reference("Outcome"), "The outcome.")
    .query("from", time(), "From this time on (inclusive).")
    .query("to", time(), "Before this time (exclusive).")
    .query("limit", limit(), "Maximum number of events; 100 by default.")
    .query("cursor", sequence(), "The `x-next-cursor` of the previous page.")
    .answers(Reply::json(200, "The events.", array_of("Event"), example).with("x-next-cursor"))
    .codes(&["outside_projects", "disk_low"])
}

pub(super) fn proof() -> Operation {
    let hash = json!({ "type": "string", "pattern": "^[0-9A-Za-z+/]{43}=$" });
    Operation::new(
        TAG,
        "Prove inclusion or consistency",
        "With `sequence` and `size`: an inclusion proof of that record in the tree of that size. With `from` and `to` \
         (tree sizes): a consistency proof. Hashes are in the order of RFC 6962.",
    )
    .query("sequence", sequence(), "The record's sequence; requires `size`.")
    .query("size", sequence(), "The tree size; requires `sequence`.")
    .query("from", sequence(), "The smaller tree size; requires `to`.")
    .query("to", sequence(), "The larger tree size; requires `from`.")
    .answers(Reply::json(
        200,
        "The hashes.",
        json!({ "type": "array", "items": hash }),
        json!(["47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="]),
    ))
    .codes(&["invalid_parameter", "out_of_range", "archived", "outside_projects", "disk_low"])
}

pub(super) fn exposure() -> Operation {
    Operation::new(
        TAG,
        "List what is exposed",
        "The live values that an actor received or stored: an integration still has each, and nobody has rotated it since. \
         A rotation takes a value off the list, a rollback puts it back. Also what the actor made, minted tokens that have \
         not ended, and the last values of deleted integrations, which the provider may still honour. Never a value. One \
         of `actor`, `token`, `integration` and `since` is required; with `since` alone it is of every actor, with all \
         that they made and the copies of the vault that they took. A question about archived records is a 410, and so \
         is one whose `since` is not after the newest archived record.",
    )
    .query("actor", actor(), "The actor: `user:<email>`, `app:<token id>` or `host:<os user>`.")
    .query("token", id(), "The id of a token; excludes `actor`.")
    .query("integration", id(), "Only values of this integration; without an actor, of every actor.")
    .query("since", time(), "Only what was received, stored or made from this time on (inclusive).")
    .query("until", time(), "Only what was received, stored or made before this time (exclusive).")
    .query(
        "transitive",
        json!({ "type": "boolean" }),
        "Add the tokens and users that the actor made, and what those made; requires `actor` or `token`.",
    )
    .answers(Reply::json(200, "The exposure.", reference("Exposure"), examples::exposure()))
    .codes(&["invalid_parameter", "integration_not_found", "archived", "outside_projects", "disk_low"])
}

pub(super) fn export() -> Operation {
    let text = || json!({ "type": "string" });
    Operation::new(
        TAG,
        "Export the log",
        "Streams the records, oldest first. Each NDJSON line is one record, byte for byte, and can be verified against \
         a checkpoint; CSV cannot. `follow=true` keeps the stream open for new records and excludes `to`.",
    )
    .query("format", json!({ "type": "string", "enum": ["ndjson", "csv"] }), "`ndjson` by default.")
    .query("from", time(), "From this time on (inclusive).")
    .query("to", time(), "Before this time (exclusive).")
    .query("fromSequence", sequence(), "The first record's sequence. By default 0; or the first that is not archived, if `from` is after the newest archived record.")
    .query("follow", json!({ "type": "boolean" }), "Keep the stream open for new records.")
    .answers(
        Reply::empty(200, "The records.").or("application/x-ndjson", text(), "{}\n").or("text/csv", text(), "v\n"),
    )
    .codes(&["invalid_parameter", "out_of_range", "archived", "outside_projects", "disk_low"])
}

pub(super) fn checkpoint() -> Operation {
    let note = json!({ "type": "string", "pattern": "^sealroom/[^\\n]+\\n[0-9]+\\n[0-9A-Za-z+/]{43}=\\n" });
    Operation::new(
        TAG,
        "Show the newest checkpoint",
        "A signed note (C2SP `tlog-checkpoint`): origin, tree size, root hash, signature.",
    )
    .answers(Reply::text("The checkpoint.", note, &examples::checkpoint()))
    .codes(&["outside_projects", "disk_low"])
}

pub(super) fn verifier_key() -> Operation {
    let key = json!({ "type": "string", "pattern": "^[^+]+\\+[0-9a-f]{8}\\+[0-9A-Za-z+/=]+\\n$" });
    Operation::new(TAG, "Show the newest verifier key", "`<name>+<hash>+<base64>`, Ed25519.")
        .answers(Reply::text("The key.", key, &examples::verifier_key()))
        .codes(&["outside_projects", "disk_low"])
}

pub(super) fn backup() -> Operation {
    let bytes = json!({ "type": "string", "format": "binary" });
    Operation::new(
        "Backup",
        "Copy the vault",
        "A complete vault file of one moment, compacted, sealed as the original is, and verified before its first byte \
         leaves, which may take long. One at a time.",
    )
    .answers(Reply::empty(200, "The file.").or("application/octet-stream", bytes, "redb\n"))
    .codes(&["shutting_down", "disk_low"])
}
