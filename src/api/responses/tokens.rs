//! Contract §5: application tokens.

use serde::Serialize;

use super::{Exposed, Text, texts};
use crate::domain::{
    Actor, ApplicationToken, IntegrationId, Name, ProjectId, Provider, Role, Secret, Timestamp, TokenId,
    TokenStatus,
};

/// The answer to a create, the only one that shows the token; goes out by `to_secret_json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedToken<'a> {
    id: Text<TokenId>,
    name: Text<&'a Name>,
    role: Text<Role>,
    token: Exposed<'a>,
    created_at: Text<Timestamp>,
    expires_at: Text<Timestamp>,
}

impl<'a> CreatedToken<'a> {
    /// Creates the answer from the row and the token's text.
    pub const fn new(row: &'a ApplicationToken, text: &'a Secret) -> Self {
        Self {
            id: Text(row.id),
            name: Text(&row.name),
            role: Text(row.role),
            token: Exposed(text),
            created_at: Text(row.created_at),
            expires_at: Text(row.expires_at),
        }
    }
}

/// The answer to a roll; goes out by `to_secret_json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RolledToken<'a> {
    #[serde(flatten)]
    successor: CreatedToken<'a>,
    rolls: Predecessor,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Predecessor {
    id: Text<TokenId>,
    expires_at: Text<Timestamp>,
}

impl<'a> RolledToken<'a> {
    /// Creates the answer from the new token's row and text, and the row of the token before.
    pub const fn new(row: &'a ApplicationToken, text: &'a Secret, before: &ApplicationToken) -> Self {
        let rolls = Predecessor { id: Text(before.id), expires_at: Text(before.expires_at) };
        Self { successor: CreatedToken::new(row, text), rolls }
    }
}

/// A token in the list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenBody<'a> {
    id: Text<TokenId>,
    name: Text<&'a Name>,
    role: Text<Role>,
    projects: Option<Vec<Text<&'a ProjectId>>>,
    providers: Option<Vec<Text<&'a Provider>>>,
    integrations: Option<Vec<Text<&'a IntegrationId>>>,
    created_by: Text<&'a Actor>,
    created_at: Text<Timestamp>,
    expires_at: Text<Timestamp>,
    last_used_at: Option<Text<Timestamp>>,
    status: Text<TokenStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rolls: Option<Text<TokenId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rolled_to: Option<Text<TokenId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_used_at: Option<Text<Timestamp>>,
}

impl<'a> TokenBody<'a> {
    /// Creates the entry from a row, its last audited use, and the current time.
    pub fn new(row: &'a ApplicationToken, last_used_at: Option<Timestamp>, now: Timestamp) -> Self {
        Self {
            id: Text(row.id),
            name: Text(&row.name),
            role: Text(row.role),
            projects: row.scope.projects.as_deref().map(texts),
            providers: row.scope.providers.as_deref().map(texts),
            integrations: row.scope.integrations.as_deref().map(texts),
            created_by: Text(&row.created_by),
            created_at: Text(row.created_at),
            expires_at: Text(row.expires_at),
            last_used_at: last_used_at.map(Text),
            status: Text(row.status(now)),
            rolls: row.roll.predecessor.map(Text),
            rolled_to: row.roll.successor.map(Text),
            first_used_at: row.roll.first_used_at.map(Text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{ID, NOW, NOW_TEXT, text},
        *,
    };
    use crate::domain::{AccessScope, Digest, Roll, days};

    fn row() -> ApplicationToken {
        ApplicationToken {
            id: TokenId::from_bytes([0x11; 16]),
            digest: Digest([7; 32]),
            name: "ci".parse().unwrap(),
            role: Role::Application,
            scope: AccessScope::default(),
            created_by: "user:ada@acme.com".parse().unwrap(),
            created_at: NOW,
            expires_at: NOW.plus(days(1)),
            revoked_at: None,
            roll: Roll::default(),
            version: 1,
        }
    }

    #[test]
    fn a_created_token_is_shown() {
        assert_eq!(
            text(&CreatedToken::new(&row(), &Secret::from("sfp_app_x".to_owned()))),
            format!(
                r#"{{"id":"{ID}","name":"ci","role":"application","token":"sfp_app_x","createdAt":"{NOW_TEXT}","expiresAt":"2025-11-25T16:00:00.000Z"}}"#
            )
        );
    }

    #[test]
    fn a_listed_token_has_every_key_in_its_order() {
        assert_eq!(
            text(&TokenBody::new(&row(), None, NOW)),
            format!(
                r#"{{"id":"{ID}","name":"ci","role":"application","projects":null,"providers":null,"integrations":null,"createdBy":"user:ada@acme.com","createdAt":"{NOW_TEXT}","expiresAt":"2025-11-25T16:00:00.000Z","lastUsedAt":null,"status":"active"}}"#
            )
        );
    }

    #[test]
    fn narrowing_use_and_status_are_shown() {
        let mut row = row();
        row.scope.projects = Some(vec!["acme/app".parse().unwrap()]);
        row.scope.providers = Some(Vec::new());
        row.scope.integrations = Some(vec![IntegrationId::from_bytes([0x11; 16])]);
        let body = text(&TokenBody::new(&row, Some(NOW), NOW.plus(days(1))));
        let scope = format!(r#""projects":["acme/app"],"providers":[],"integrations":["{ID}"],"#);
        assert!(body.contains(&scope), "{body}");
        assert!(body.ends_with(&format!(r#""lastUsedAt":"{NOW_TEXT}","status":"expired"}}"#)), "{body}");
    }

    #[test]
    fn a_roll_shows_both_of_its_tokens() {
        let (secret, mut successor) = (Secret::from("sfp_app_x".to_owned()), row());
        let body = text(&RolledToken::new(&successor, &secret, &row()));
        let rolls = format!(r#","rolls":{{"id":"{ID}","expiresAt":"2025-11-25T16:00:00.000Z"}}}}"#);
        assert!(body.contains(r#""token":"sfp_app_x""#) && body.ends_with(&rolls), "{body}");
        let id = Some(TokenId::from_bytes([0x11; 16]));
        successor.roll = Roll { predecessor: id, successor: id, first_used_at: Some(NOW) };
        let listed = text(&TokenBody::new(&successor, None, NOW));
        let roll = format!(r#","rolls":"{ID}","rolledTo":"{ID}","firstUsedAt":"{NOW_TEXT}"}}"#);
        assert!(listed.ends_with(&roll), "{listed}");
    }
}
