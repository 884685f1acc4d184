//! Every stable error code, with its status and its meaning.
//!
//! The document's enum is generated from this list, and a test compares it with the codes in the sources.

/// An error code, its status and its meaning.
pub(super) struct Code {
    pub(super) status: u16,
    pub(super) name: &'static str,
    pub(super) meaning: &'static str,
}

const fn code(status: u16, name: &'static str, meaning: &'static str) -> Code {
    Code { status, name, meaning }
}

/// All codes, by status.
#[rustfmt::skip]
pub(super) const CODES: &[Code] = &[
    code(400, "malformed_checkpoint", "the body is no old size, proof and signed checkpoint"),
    code(400, "malformed_json", "the body is not valid JSON, has a duplicate key, or is nested too deeply"),
    code(400, "missing_field", "a required field is missing"),
    code(400, "unknown_field", "the body has an unknown field"),
    code(400, "duplicate_field", "a field occurs in both of its spellings"),
    code(400, "invalid_field", "a field, a query parameter or the path parameter is invalid"),
    code(400, "invalid_scope", "specify either `isGlobal` or `projects`"),
    code(400, "broken_body", "the connection ended before the whole body arrived"),
    code(400, "invalid_host", "the `Host` header is missing, repeated or invalid"),
    code(400, "invalid_forwarded_for", "the proxy does not name the client in `X-Forwarded-For`"),
    code(400, "invalid_target", "the path or query is not percent-encoded UTF-8"),
    code(400, "unknown_parameter", "the query has an unknown parameter"),
    code(400, "repeated_parameter", "a query parameter is repeated"),
    code(400, "empty_parameter", "a query parameter is empty"),
    code(400, "invalid_parameter", "a number or cursor in the query is invalid"),
    code(400, "out_of_range", "the log has no such sequence or size"),
    code(400, "invalid_if_match", "`If-Match` is not a revision"),
    code(400, "project_not_registered", "a project in the body is not registered"),
    code(400, "expiry_past", "`expiresAt` is in the past"),
    code(400, "name_needed", "a `custom` integration must have a name"),
    code(400, "too_many_matches", "more integrations match than one answer may hold; narrow the filters, or page"),
    code(401, "unauthorized", "the token is missing or invalid"),
    code(401, "token_expired", "the token has expired"),
    code(401, "bad_login", "wrong e-mail or password"),
    code(401, "otp_required", "the password is right; a code of the user's second factor is needed too"),
    code(401, "bad_otp", "the password is right; `otp` is wrong, or was used before"),
    code(403, "forbidden", "the caller's role does not permit this"),
    code(403, "outside_projects", "the caller is restricted to other projects"),
    code(403, "outside_providers", "the caller is restricted to other providers"),
    code(403, "not_creator", "only an owner or the user who created the integration may change it"),
    code(403, "wrong_password", "`currentPassword` is wrong"),
    code(403, "wrong_otp", "`otp` is wrong, or was used before"),
    code(403, "otp_enrolment_required", "owners need a second factor here, and this one has none"),
    code(403, "unsigned_checkpoint", "no key that this witness trusts for the log signed the checkpoint"),
    code(403, "foreign_origin", "a page of another origin made the request"),
    code(404, "route_not_found", "no such route"),
    code(404, "integration_not_found", "no such integration, or none matches"),
    code(404, "revision_not_found", "that revision is not stored"),
    code(404, "project_not_found", "no such project"),
    code(404, "app_not_installed", "the GitHub App is not installed for that repository"),
    code(404, "token_not_found", "no such application token"),
    code(404, "user_not_found", "no such user"),
    code(404, "log_not_found", "this witness does not know the log, or has cosigned none of its checkpoints"),
    code(404, "otp_not_set", "the user has no second factor"),
    code(405, "method_not_allowed", "the route does not support this method"),
    code(408, "request_timeout", "the body did not arrive in time"),
    code(409, "project_exists", "the project already exists"),
    code(409, "project_in_use", "integrations are scoped to the project"),
    code(409, "would_shadow", "the integration would be read in the place of an owner's"),
    code(409, "user_exists", "the e-mail is taken"),
    code(409, "last_owner", "the last enabled owner cannot be removed, disabled or demoted"),
    code(409, "own_leave", "another owner has to make this user leave"),
    code(409, "token_ended", "the token has ended or was revoked"),
    code(409, "token_rolled", "the token has a successor that is active"),
    code(409, "otp_set", "the user has a second factor already"),
    code(409, "otp_not_begun", "no second factor was begun in the last ten minutes"),
    code(409, "forked_checkpoint", "the log signed two roots of one size"),
    code(410, "archived", "the range starts in records that were moved to an archive"),
    code(412, "revision_conflict", "another revision is current"),
    code(413, "body_too_large", "the body exceeds the size limit"),
    code(415, "unsupported_media_type", "the `Content-Type` is not `application/json`"),
    code(421, "misdirected", "`Host` names another server"),
    code(422, "unproven_checkpoint", "the proof does not lead from the checkpoint that was cosigned last to this one"),
    code(429, "too_many_tries", "too many failed logins or refused checkpoints; try again later"),
    code(429, "too_many_disclosures", "the caller read too many credentials in this minute"),
    code(429, "too_many_writes", "the caller stored and asked too much in this minute"),
    code(500, "tampered", "a stored record failed authentication"),
    code(500, "internal", "internal error; the server log has the cause under the request id"),
    code(502, "provider_unreachable", "the provider gave no token: unreachable, slow, or another answer"),
    code(503, "locked", "the vault is locked"),
    code(503, "overloaded", "too many requests are waiting"),
    code(503, "shutting_down", "the server is shutting down"),
    code(503, "audit_unavailable", "the audit log cannot be written; a change may or may not have been stored"),
    code(503, "outgoing_disabled", "`[outgoing]` in the server's config file does not allow the call"),
    code(503, "witness_unavailable", "the witness cannot keep its state; nothing was cosigned"),
    code(503, "disk_low", "the disk is almost full; nothing is stored or disclosed"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::bad_request;

    #[test]
    fn each_code_is_listed_once_by_status() {
        assert!(CODES.is_sorted_by_key(|code| code.status));
        for code in CODES {
            assert_eq!(CODES.iter().filter(|other| other.name == code.name).count(), 1, "{}", code.name);
        }
    }

    /// Returns the quoted texts that look like a code.
    fn words(text: &str) -> impl Iterator<Item = &str> {
        let word = |text: &&str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        text.split('"').skip(1).step_by(2).filter(word)
    }

    /// The code in each `bad("code", …)`.
    fn codes_of_calls(text: &str) -> impl Iterator<Item = &str> {
        text.split("bad(").skip(1).filter_map(|call| {
            let (code, _) = call.trim_start().strip_prefix('"')?.split_once('"')?;
            Some(code)
        })
    }

    #[test]
    fn the_list_is_what_the_sources_answer() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
        let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let rust = files.filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
        let sources: Vec<String> = rust.map(|path| std::fs::read_to_string(path).unwrap()).collect();
        let errors = include_str!("../error.rs").split_once("fn describe").expect("the table of answers").1;
        let mut found: Vec<&str> = words(errors)
            .chain(sources.iter().flat_map(|source| codes_of_calls(source)))
            .chain(bad_request::CODES.iter().copied())
            .collect();
        found.sort_unstable();
        found.dedup();
        let mut listed: Vec<&str> = CODES.iter().map(|code| code.name).collect();
        listed.sort_unstable();
        assert_eq!(listed, found);
    }
}
