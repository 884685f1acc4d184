//! Contract §3: the metadata object. It never holds a credential, nor the length or hash of one.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Text, texts, verbatim_or_empty};
use crate::domain::{
    Actor, AuthType, Integration, IntegrationId, Name, ProjectId, Provider, Role, Scope, Timestamp,
};

/// The last disclosure of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAccess {
    /// The time.
    pub at: Timestamp,
    /// The reader.
    pub by: Actor,
}

/// The metadata object of list, create, get, patch, rotate and rollback (contract §3).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationBody<'a> {
    id: Text<IntegrationId>,
    provider: Text<Provider>,
    auth_type: Text<AuthType>,
    name: Option<Text<&'a Name>>,
    is_global: bool,
    projects: Vec<Text<&'a ProjectId>>,
    config: &'a RawValue,
    expires_at: Option<Text<Timestamp>>,
    revision: u64,
    created_at: Text<Timestamp>,
    created_by: Text<&'a Actor>,
    updated_at: Text<Timestamp>,
    last_accessed_at: Option<Text<Timestamp>>,
    last_accessed_by: Option<Text<&'a Actor>>,
    /// Present only in an owner's answer about a canary.
    #[serde(skip_serializing_if = "Option::is_none")]
    canary: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shadows: Vec<Text<IntegrationId>>,
    #[serde(skip)]
    is_canary: bool,
}

impl<'a> IntegrationBody<'a> {
    /// Creates the object from an integration and its last disclosure.
    pub fn new(integration: &'a Integration, last_access: Option<&'a LastAccess>) -> Self {
        Self {
            id: Text(integration.id),
            provider: Text(integration.provider),
            auth_type: Text(integration.auth_type),
            name: integration.name.as_ref().map(Text),
            is_global: integration.scope == Scope::Global,
            projects: texts(integration.scope.projects()),
            config: verbatim_or_empty(integration.config.as_ref()),
            expires_at: integration.expires_at().map(Text),
            revision: integration.revision().number(),
            created_at: Text(integration.created_at),
            created_by: Text(&integration.created_by),
            updated_at: Text(integration.updated_at),
            last_accessed_at: last_access.map(|access| Text(access.at)),
            last_accessed_by: last_access.map(|access| Text(&access.by)),
            canary: None,
            shadows: Vec::new(),
            is_canary: integration.is_canary,
        }
    }

    /// Marks a canary, for an owner; without this call no answer does.
    #[must_use]
    pub fn marked_for(self, reader: Role) -> Self {
        let canary = (self.is_canary && reader == Role::Owner).then_some(true);
        Self { canary, ..self }
    }

    /// Leaves the provider's options out, unless the reader is an owner.
    #[must_use]
    pub fn for_owner(self, is_owner: bool) -> Self {
        if is_owner { self } else { Self { config: verbatim_or_empty(None), ..self } }
    }

    /// Leaves out who read the credential last.
    #[must_use]
    pub fn without_reader(self) -> Self {
        Self { last_accessed_by: None, ..self }
    }

    /// Adds the ids of integrations with the same provider and an overlapping scope.
    #[must_use]
    pub fn with_shadows(mut self, shadows: &[IntegrationId]) -> Self {
        self.shadows = shadows.iter().copied().map(Text).collect();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{ID, NOW, NOW_TEXT, integration, text},
        *,
    };
    use crate::domain::{Json, KeptRevision, Revision};

    #[test]
    fn the_metadata_object_has_every_key_in_its_order() {
        assert_eq!(
            text(&IntegrationBody::new(&integration(), None)),
            format!(
                r#"{{"id":"{ID}","provider":"jira","authType":"basic_auth","name":null,"isGlobal":true,"projects":[],"config":{{}},"expiresAt":null,"revision":1,"createdAt":"{NOW_TEXT}","createdBy":"user:ada@acme.com","updatedAt":"{NOW_TEXT}","lastAccessedAt":null,"lastAccessedBy":null}}"#
            )
        );
    }

    #[test]
    fn a_canary_is_marked_for_owners_and_looks_like_any_other_to_everybody_else() {
        let plain = integration();
        let canary = Integration { is_canary: true, ..plain.clone() };
        let shown =
            |stored: &Integration, reader| text(&IntegrationBody::new(stored, None).marked_for(reader));
        for reader in Role::ALL {
            let is_owner = *reader == Role::Owner;
            assert_eq!(shown(&canary, *reader).contains(r#","canary":true}"#), is_owner, "{reader}");
            assert_eq!(shown(&canary, *reader) == shown(&plain, *reader), !is_owner, "{reader}");
        }
        assert_eq!(text(&IntegrationBody::new(&canary, None)), text(&IntegrationBody::new(&plain, None)));
    }

    #[test]
    fn what_is_set_is_shown() {
        let mut stored = integration();
        stored.name = Some("deploy \"key\"".parse().unwrap());
        stored.scope = Scope::Projects(vec!["acme/app".parse().unwrap()]);
        stored.config = Some(Json::new_checked("{\"b\":1.50,\"a\":2}".to_owned()));
        stored
            .kept
            .insert(0, KeptRevision { revision: Revision::new(2), expires_at: Some(NOW), stored_at: None });
        let access = LastAccess { at: NOW, by: "host:root".parse().unwrap() };
        let body = IntegrationBody::new(&stored, Some(&access)).with_shadows(&[stored.id]);
        assert_eq!(
            text(&[body]),
            format!(
                r#"[{{"id":"{ID}","provider":"jira","authType":"basic_auth","name":"deploy \"key\"","isGlobal":false,"projects":["acme/app"],"config":{{"b":1.50,"a":2}},"expiresAt":"{NOW_TEXT}","revision":2,"createdAt":"{NOW_TEXT}","createdBy":"user:ada@acme.com","updatedAt":"{NOW_TEXT}","lastAccessedAt":"{NOW_TEXT}","lastAccessedBy":"host:root","shadows":["{ID}"]}}]"#
            )
        );
    }
}
