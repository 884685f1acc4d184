//! Every stable error code, with its status and what it means.
//!
//! The one list: the document's enum is made from it, and a test finds each code of the sources here.

/// A code, the status that it comes with, and when it comes.
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
    code(400, "malformed_json", "the body is no strict JSON"),
    code(400, "missing_field", "a field that must be there is not"),
    code(400, "unknown_field", "a field that the request does not have"),
    code(400, "duplicate_field", "a field in both of its spellings"),
    code(400, "invalid_field", "a field, a parameter or the name in the path breaks its rule"),
    code(400, "invalid_scope", "neither or both of `isGlobal` and `projects`"),
    code(400, "broken_body", "the body did not arrive whole"),
    code(400, "invalid_host", "no `Host` header, two of them, or one that is no host"),
    code(400, "invalid_target", "path or query are not percent-encoded UTF-8"),
    code(400, "unknown_parameter", "a query parameter that the route does not have"),
    code(400, "repeated_parameter", "a query parameter is given twice"),
    code(400, "empty_parameter", "a query parameter is empty"),
    code(400, "invalid_parameter", "a number or cursor in the query breaks its rule"),
    code(400, "out_of_range", "the log has no such sequence or size"),
    code(400, "invalid_if_match", "`If-Match` is no revision"),
    code(400, "project_not_registered", "a project in the body is not registered"),
    code(400, "expiry_past", "`expiresAt` lies in the past"),
    code(400, "name_needed", "a `custom` integration keeps its name"),
    code(400, "too_many_matches", "more than 1000 integrations match: narrow the filters, or page"),
    code(401, "unauthorized", "no valid token"),
    code(401, "token_expired", "the token is genuine but past its end"),
    code(401, "bad_login", "wrong e-mail or password"),
    code(403, "forbidden", "the caller's role or narrowing does not allow it"),
    code(403, "wrong_password", "`currentPassword` is wrong"),
    code(404, "route_not_found", "there is no such route"),
    code(404, "integration_not_found", "no such integration, or none matches"),
    code(404, "revision_not_found", "that revision is not kept"),
    code(404, "project_not_found", "no such project"),
    code(404, "token_not_found", "no such application token"),
    code(404, "user_not_found", "no such user"),
    code(405, "method_not_allowed", "the route does not have that method"),
    code(408, "request_timeout", "the body did not arrive in time"),
    code(409, "project_exists", "the project exists already"),
    code(409, "project_in_use", "integrations are scoped to the project"),
    code(409, "user_exists", "the e-mail is taken"),
    code(409, "last_owner", "the last enabled owner stays"),
    code(410, "archived", "the range begins in records that were moved to an archive"),
    code(412, "revision_conflict", "another revision is current"),
    code(413, "body_too_large", "the body has more bytes than the limit"),
    code(415, "unsupported_media_type", "the body is not JSON by its header"),
    code(429, "too_many_tries", "too many failed logins; try again later"),
    code(500, "tampered", "a stored row does not open"),
    code(500, "internal", "a defect; the log has it under the request id"),
    code(503, "locked", "the vault is locked"),
    code(503, "overloaded", "too many requests wait"),
    code(503, "audit_unavailable", "the audit log cannot be written; the outcome of a write is unknown"),
    code(503, "disk_low", "the disk is almost full: nothing is added or disclosed"),
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

    /// What stands between the quotation marks of a text, as far as it looks like a code.
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
