//! Contract §7: health.

use serde::Serialize;

/// The state of the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditState {
    /// Events can be recorded.
    Writable,
    /// The disk is full or a commit failed.
    Unavailable,
    /// The vault is locked.
    Locked,
}

/// The health object.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Health<'a> {
    status: &'static str,
    version: &'a str,
    locked: bool,
    audit: AuditState,
    uptime_seconds: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    detail: Vec<&'static str>,
}

impl<'a> Health<'a> {
    /// Creates the object; healthy means that the audit log is writable and the disk is not low.
    pub const fn new(version: &'a str, audit: AuditState, disk_low: bool, uptime_seconds: u64) -> Self {
        let healthy = matches!(audit, AuditState::Writable) && !disk_low;
        Self {
            status: if healthy { "healthy" } else { "unhealthy" },
            version,
            locked: matches!(audit, AuditState::Locked),
            audit,
            uptime_seconds,
            detail: Vec::new(),
        }
    }

    /// Adds a condition that needs the operator: `disk_low`, `rolled_back`, `checkpoint_lost`, `backup_failed`,
    /// `archive_failed`, `witness_refused`, `witness_silent`, `file_gone` or `log_flawed`.
    #[must_use]
    pub fn with_detail(mut self, detail: &'static str) -> Self {
        self.detail.push(detail);
        self
    }

    /// Returns the HTTP status: 200 or 503.
    pub fn status_code(&self) -> u16 {
        if self.status == "healthy" { 200 } else { 503 }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::text, *};

    #[test]
    fn a_server_is_healthy_where_it_can_record() {
        let health = Health::new("1.2.3", AuditState::Writable, false, 7);
        assert_eq!(
            text(&health),
            r#"{"status":"healthy","version":"1.2.3","locked":false,"audit":"writable","uptimeSeconds":7}"#
        );
        assert_eq!(health.status_code(), 200);
        let detailed = text(&health.with_detail("disk_low"));
        assert!(detailed.ends_with(r#","uptimeSeconds":7,"detail":["disk_low"]}"#), "{detailed}");
        for (audit, disk_low, expected) in [
            (AuditState::Locked, false, r#""locked":true,"audit":"locked""#),
            (AuditState::Unavailable, false, r#""locked":false,"audit":"unavailable""#),
            (AuditState::Writable, true, r#""locked":false,"audit":"writable""#),
        ] {
            let health = Health::new("1.2.3", audit, disk_low, 7);
            assert!(text(&health).contains(expected) && text(&health).contains("unhealthy"));
            assert_eq!(health.status_code(), 503);
        }
    }
}
