//! C2SP `tlog-witness`: this vault as a witness of other vaults' logs.

use serde_json::{Value, json};

use crate::http::openapi::{
    examples,
    operation::{Operation, Reply},
};

pub(super) const TAG: &str = "Witness";

const ANYBODY: &[&str] = &["route_not_found", "locked", "overloaded", "witness_unavailable", "internal"];

fn lines() -> Value {
    json!({ "type": "string", "pattern": "^(— [^ ]+ [0-9A-Za-z+/=]+\\n)+$" })
}

pub(super) fn add_checkpoint() -> Operation {
    let size = json!({ "type": "string", "pattern": "^(0|[1-9][0-9]*)\\n$" });
    Operation::new(
        TAG,
        "Cosign a checkpoint",
        "C2SP `tlog-witness`, `add-checkpoint`; a 404 unless `--witness-for` names logs. The body, of any type, is `old`, \
         a space and the size of the checkpoint that this witness cosigned last, the lines of a consistency proof from \
         there, an empty line, and the new checkpoint. The witness keeps it durably before it answers. Needs no token: \
         the log's signature is what counts.",
    )
    .answers(Reply::text("The signature line of this witness.", lines(), &examples::cosignature()))
    .answers(
        Reply::empty(409, "Another checkpoint was cosigned last: its size. Or an error: another root of the same size.").or("text/x.tlog.size", size, "41\n"),
    )
    .codes(ANYBODY)
    .codes(&[
        "malformed_checkpoint",
        "broken_body",
        "unsigned_checkpoint",
        "log_not_found",
        "request_timeout",
        "body_too_large",
        "unproven_checkpoint",
        "forked_checkpoint",
        "too_many_tries",
    ])
}

pub(super) fn checkpoint() -> Operation {
    let note = json!({ "type": "string", "pattern": "^[^\\n]+\\n[0-9]+\\n[0-9A-Za-z+/]{43}=\\n" });
    let hash = json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" });
    Operation::new(
        TAG,
        "Show the checkpoint that was cosigned last",
        "C2SP `tlog-witness`, monitoring: the newest checkpoint of a log with the signatures of the log and of this \
         witness.",
    )
    .path("origin", hash, "The SHA-256 of the log's origin, in hexadecimal.")
    .answers(Reply::text("The checkpoint.", note, &examples::checkpoint()))
    .codes(&["route_not_found", "log_not_found"])
}

pub(super) fn key() -> Operation {
    let key = json!({ "type": "string", "pattern": "^[^+]+\\+[0-9a-f]{8}\\+[0-9A-Za-z+/=]+\\n$" });
    Operation::new(
        TAG,
        "Show the verifier key of this witness",
        "`<name>+<hash>+<base64>`, for Ed25519 cosignatures. Compare it with the one in the server's log.",
    )
    .answers(Reply::text("The key.", key, &examples::witness_key()))
    .codes(ANYBODY)
}
