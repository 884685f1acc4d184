//! `GET /integrations/{id}/revisions`: the metadata object, and each kept credential, byte for byte.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::{IntegrationBody, LastAccess, Text};
use crate::domain::{Integration, KeptRevision, Role, Secret, Timestamp};

/// The answer; goes out by `to_secret_json`.
#[derive(Serialize)]
pub struct RevisionsBody<'a> {
    integration: IntegrationBody<'a>,
    revisions: Vec<RevisionBody<'a>>,
}

/// One kept revision.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RevisionBody<'a> {
    revision: u64,
    expires_at: Option<Text<Timestamp>>,
    credentials: Verbatim<'a>,
}

/// Stored JSON.
struct Verbatim<'a>(&'a Secret);

impl Serialize for Verbatim<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // JSON is checked on its way in; another text would be a damaged row, which does not open.
        let raw: &RawValue = serde_json::from_slice(self.0.expose()).unwrap_or(RawValue::NULL);
        raw.serialize(serializer)
    }
}

impl<'a> RevisionsBody<'a> {
    /// Creates the answer from an integration and its opened revisions, the current one first.
    pub fn new(
        integration: &'a Integration,
        last_access: Option<&'a LastAccess>,
        revisions: &[(KeptRevision, &'a Secret)],
    ) -> Self {
        let body = |(kept, secret): &(KeptRevision, &'a Secret)| RevisionBody {
            revision: kept.revision.number(),
            expires_at: kept.expires_at.map(Text),
            credentials: Verbatim(secret),
        };
        Self {
            // Only owners read revisions.
            integration: IntegrationBody::new(integration, last_access).marked_for(Role::Owner),
            revisions: revisions.iter().map(body).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{NOW, NOW_TEXT, integration, text},
        *,
    };
    use crate::domain::Revision;

    #[test]
    fn each_revision_goes_out_byte_for_byte_with_its_own_expiry() {
        let (new, old) =
            (Secret::from(r#"{ "b":1e999 }"#.to_owned()), Secret::from(r#"{"a":"\u0041"}"#.to_owned()));
        let kept = |number, expires_at| KeptRevision {
            revision: Revision::new(number),
            expires_at,
            stored_at: None,
        };
        let stored = integration();
        let body = RevisionsBody::new(&stored, None, &[(kept(2, None), &new), (kept(1, Some(NOW)), &old)]);
        let text = text(&body);
        assert!(text.starts_with(r#"{"integration":{"id":"#), "{text}");
        let end = format!(
            r#""revisions":[{{"revision":2,"expiresAt":null,"credentials":{{ "b":1e999 }}}},{{"revision":1,"expiresAt":"{NOW_TEXT}","credentials":{{"a":"\u0041"}}}}]}}"#
        );
        assert!(text.ends_with(&end), "{text}");
    }
}
