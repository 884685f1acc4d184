//! Contract §3 and §8: the answers that disclose.

use std::io::Write;

use serde::Serialize;

use super::{Exposed, Text};
use crate::domain::{Integration, Name, ProjectId, Provider, Secret, Timestamp};

/// An upper bound of an element without credential, config and label: names, punctuation, id, provider, auth type, time.
const ELEMENT_BYTES: usize = 256;
/// A character of a label becomes two at most: a quote or a backslash gets one before it, and controls are refused.
const LABEL_GROWTH: usize = 2;

/// `GET /integrations/credentials` (contract §3): the stored JSON bytes, unparsed, each between its metadata.
///
/// Each item is an integration and the bytes of its opened credential.
pub fn credentials_array<'a>(
    items: impl IntoIterator<Item = (&'a Integration, &'a Secret), IntoIter: Clone>,
) -> Secret {
    let items = items.into_iter();
    let config_len = |of: &Integration| of.config.as_ref().map_or(0, |config| config.as_str().len());
    let label_len = |of: &Integration| label(of).map_or(0, |label| label.as_str().len() * LABEL_GROWTH);
    let element_len =
        |(of, secret): (&Integration, &Secret)| secret.expose().len() + config_len(of) + label_len(of);
    let total: usize = items.clone().map(|item| element_len(item) + ELEMENT_BYTES).sum();
    let mut array = Vec::with_capacity(total + 2);
    array.push(b'[');
    for (index, (integration, credentials)) in items.enumerate() {
        if index > 0 {
            array.push(b',');
        }
        push_element(&mut array, integration, credentials);
    }
    array.push(b']');
    Secret::new(array)
}

/// Returns the label of a `custom` integration (contract §3): a reader without access to the metadata distinguishes
/// them by nothing else. The published shape of the other providers stays.
fn label(integration: &Integration) -> Option<&Name> {
    integration.name.as_ref().filter(|_| integration.provider == Provider::Custom)
}

/// Only the label needs escapes: ids, closed sets and times are plain ASCII, and the rest is JSON.
fn push_element(array: &mut Vec<u8>, integration: &Integration, credentials: &Secret) {
    let Integration { id, provider, auth_type, config, .. } = integration;
    let head = write!(
        array,
        r#"{{"integration_id":"{id}","provider":"{provider}","auth_type":"{auth_type}","credentials":"#
    );
    array.extend_from_slice(credentials.expose());
    if let Some(config) = config {
        array.extend_from_slice(b",\"config\":");
        array.extend_from_slice(config.as_str().as_bytes());
    }
    let end = integration.expires_at().map_or(Ok(()), |end| write!(array, r#","expires_at":"{end}""#));
    let name = label(integration).map_or(Ok(()), |label| {
        array.extend_from_slice(b",\"name\":");
        serde_json::to_writer(&mut *array, label.as_str())
    });
    array.push(b'}');
    head.and(end).and(name.map_err(Into::into)).expect("writing text to memory cannot fail");
}

/// The kind of a repository's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// A stored personal access token.
    Pat,
    /// A GitHub App's token, minted for that repository.
    Installation,
}

/// `GET /repository/auth-token` (contract §8); goes out by `to_secret_json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryToken<'a> {
    token: Exposed<'a>,
    expires_at: Option<Text<Timestamp>>,
    r#type: TokenKind,
    provider: Text<Provider>,
    scope: Text<&'a ProjectId>,
}

impl<'a> RepositoryToken<'a> {
    /// Creates the answer for a repository.
    pub fn new(
        token: &'a Secret,
        kind: TokenKind,
        expires_at: Option<Timestamp>,
        repository: &'a ProjectId,
    ) -> Self {
        Self {
            token: Exposed(token),
            expires_at: expires_at.map(Text),
            r#type: kind,
            provider: Text(Provider::Github),
            scope: Text(repository),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{ID, NOW, NOW_TEXT, integration, text},
        *,
    };
    use crate::domain::{AuthType, Json, KeptRevision, Revision};

    fn plain(secret: &Secret) -> &str {
        std::str::from_utf8(secret.expose()).unwrap()
    }

    #[test]
    fn a_credential_goes_out_byte_for_byte() {
        let credentials = Secret::from(r#"{ "b":1e999, "a":"\u0041" }"#.to_owned());
        let stored = integration();
        assert_eq!(
            plain(&credentials_array([(&stored, &credentials)])),
            format!(
                r#"[{{"integration_id":"{ID}","provider":"jira","auth_type":"basic_auth","credentials":{{ "b":1e999, "a":"\u0041" }}}}]"#
            )
        );
        assert_eq!(plain(&credentials_array([])), "[]");
    }

    #[test]
    fn config_and_end_follow_only_where_they_are_set() {
        let credentials = Secret::from("{}".to_owned());
        let mut stored = integration();
        stored.config = Some(Json::new_checked("{\"x\":1.0}".to_owned()));
        stored.kept[0].expires_at = Some(NOW);
        let array = credentials_array([(&stored, &credentials), (&integration(), &credentials)]);
        assert!(plain(&array).contains(&format!(
            r#""credentials":{{}},"config":{{"x":1.0}},"expires_at":"{NOW_TEXT}"}},{{"integration_id""#
        )));
        assert!(serde_json::from_str::<serde_json::Value>(plain(&array)).is_ok());
    }

    #[test]
    fn the_label_of_a_custom_one_follows_and_no_other_does() {
        let credentials = Secret::from("{}".to_owned());
        let mut stored = integration();
        stored.name = Some("say \"x\" \\ é".parse().unwrap());
        assert!(plain(&credentials_array([(&stored, &credentials)])).ends_with(r#""credentials":{}}]"#));
        stored.provider = Provider::Custom;
        let array = credentials_array([(&stored, &credentials)]);
        assert!(
            plain(&array).ends_with(r#""credentials":{},"name":"say \"x\" \\ é"}]"#),
            "{}",
            plain(&array)
        );
    }

    #[test]
    fn no_element_outgrows_the_room_that_is_set_aside_for_it() {
        let mut stored = integration();
        stored.config = Some(Json::empty_object());
        stored.name = Some("\"".repeat(100).parse().unwrap());
        stored.kept =
            vec![KeptRevision { revision: Revision::new(u64::MAX), expires_at: Some(NOW), stored_at: None }];
        let credentials = Secret::from("{}".to_owned());
        for provider in Provider::ALL {
            for auth_type in AuthType::ALL {
                (stored.provider, stored.auth_type) = (*provider, *auth_type);
                let array = credentials_array([(&stored, &credentials)]);
                let label = label(&stored).map_or(0, |label| label.as_str().len() * LABEL_GROWTH);
                assert!(array.expose().len() <= ELEMENT_BYTES + label, "{provider} {auth_type}");
            }
        }
    }

    #[test]
    fn a_repository_token_says_what_it_is() {
        let (token, repository) = (Secret::from("ghs_x".to_owned()), "acme/app".parse().unwrap());
        assert_eq!(
            text(&RepositoryToken::new(&token, TokenKind::Installation, Some(NOW), &repository)),
            format!(
                r#"{{"token":"ghs_x","expiresAt":"{NOW_TEXT}","type":"installation","provider":"github","scope":"acme/app"}}"#
            )
        );
        assert!(
            text(&RepositoryToken::new(&token, TokenKind::Pat, None, &repository))
                .contains(r#""expiresAt":null,"type":"pat""#)
        );
    }
}
