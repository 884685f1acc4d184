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
        "Newest first. A read of the log is itself an event, committed first, so it is the first one shown. Each \
         element is the record's own JSON text with its `leafHash` behind.",
    )
    .query("actor", actor(), "Who: `user:<email>`, `app:<token id>` or `host:<os user>`.")
    .query("action", reference("Action"), "What.")
    .query("integration", id(), "Which integration.")
    .query("project", reference("ProjectIdentifier"), "The project asked for.")
    .query("outcome", reference("Outcome"), "How it ended.")
    .query("from", time(), "From this time on (inclusive).")
    .query("to", time(), "Before this time (exclusive).")
    .query("limit", limit(), "How many at most; 100 where it is absent.")
    .query("cursor", sequence(), "What `x-next-cursor` gave.")
    .answers(Reply::json(200, "The events.", array_of("Event"), example).with("x-next-cursor"))
    .codes(&["disk_low"])
}

pub(super) fn proof() -> Operation {
    let hash = json!({ "type": "string", "pattern": "^[0-9A-Za-z+/]{43}=$" });
    Operation::new(
        TAG,
        "Prove",
        "With `sequence` and `size` that a record is in the tree of that size; with `from` and `to` (sizes) that the \
         smaller tree is the beginning of the larger one. In the order of RFC 6962.",
    )
    .query("sequence", sequence(), "The record, beside `size`.")
    .query("size", sequence(), "The size of the tree, beside `sequence`.")
    .query("from", sequence(), "The smaller size, beside `to`.")
    .query("to", sequence(), "The larger size, beside `from`.")
    .answers(Reply::json(
        200,
        "The hashes.",
        json!({ "type": "array", "items": hash }),
        json!(["47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="]),
    ))
    .codes(&["invalid_parameter", "out_of_range", "disk_low"])
}

pub(super) fn export() -> Operation {
    let text = || json!({ "type": "string" });
    Operation::new(
        TAG,
        "Export the log",
        "A stream, oldest first. Each NDJSON line is one record, byte for byte, so that it can be checked against a \
         checkpoint; CSV is for people. `follow=true` keeps the stream open, and takes no `to`.",
    )
    .query("format", json!({ "type": "string", "enum": ["ndjson", "csv"] }), "`ndjson` where it is absent.")
    .query("from", time(), "From this time on (inclusive).")
    .query("to", time(), "Before this time (exclusive).")
    .query("fromSequence", sequence(), "From this record on.")
    .query("follow", json!({ "type": "boolean" }), "Whether to send what comes, too.")
    .answers(
        Reply::empty(200, "The records.").or("application/x-ndjson", text(), "{}\n").or("text/csv", text(), "v\n"),
    )
    .codes(&["invalid_parameter", "out_of_range", "archived", "disk_low"])
}

pub(super) fn checkpoint() -> Operation {
    let note = json!({ "type": "string", "pattern": "^sealroom/[^\\n]+\\n[0-9]+\\n[0-9A-Za-z+/]{43}=\\n" });
    Operation::new(
        TAG,
        "Show the newest checkpoint",
        "A signed note (C2SP `tlog-checkpoint`): origin, tree size, root hash, signature.",
    )
    .answers(Reply::text("The checkpoint.", note, &examples::checkpoint()))
    .codes(&["disk_low"])
}

pub(super) fn verifier_key() -> Operation {
    let key = json!({ "type": "string", "pattern": "^[^+]+\\+[0-9a-f]{8}\\+[0-9A-Za-z+/=]+\\n$" });
    Operation::new(TAG, "Show the newest verifier key", "`<name>+<hash>+<base64>`, Ed25519.")
        .answers(Reply::text("The key.", key, &examples::verifier_key()))
        .codes(&["disk_low"])
}
