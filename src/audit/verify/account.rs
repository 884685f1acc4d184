//! The event that accounts for records which a log no longer holds.

/// The state of the search for the event that took earlier records away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    /// The log begins with its first record.
    NotNeeded,
    /// No event so far.
    Missing,
    /// The event is in the log.
    Found,
}

/// Returns whether this record is of the archive that ended before sequence `first`.
pub(super) fn archives_before(bytes: &[u8], first: u64) -> bool {
    archived_end(bytes) == Some(first)
}

/// Returns the sequence after the last record that this record's event archived.
pub(in crate::audit) fn archived_end(bytes: &[u8]) -> Option<u64> {
    const ACTION: &[u8] = br#""action":"audit.archive","outcome":"allowed""#;
    const LAST: &[u8] = br#""lastSequence":"#;
    // Within a string of JSON, a quotation mark is escaped: these bytes are members.
    let find = |part: &[u8]| bytes.windows(part.len()).position(|window| window == part);
    find(ACTION)?;
    let digits = bytes.get(find(LAST)? + LAST.len()..)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse::<u64>().ok()?.checked_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_allowed_archive_accounts_for_missing_records() {
        let event = |outcome: &str, detail: &str| {
            let text = format!(r#"{{"action":"audit.archive","outcome":"{outcome}","detail":{detail}}}"#);
            archived_end(text.as_bytes())
        };
        let detail = r#"{"firstSequence":0,"lastSequence":511}"#;
        assert_eq!(event("allowed", detail), Some(512));
        assert_eq!((event("failed", detail), event("allowed", "{}")), (None, None));
        assert_eq!(event("allowed", r#"{"name":"\"lastSequence\":511"}"#), None);
        assert!(archives_before(br#""action":"audit.archive","outcome":"allowed","lastSequence":255}"#, 256));
        assert!(!archives_before(
            br#""action":"audit.archive","outcome":"allowed","lastSequence":2555}"#,
            256
        ));
    }
}
