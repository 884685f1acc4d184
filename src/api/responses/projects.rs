//! Contract §4: the project object.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Text, verbatim};
use crate::domain::{
    AuthType, Integration, IntegrationId, Platform, Project, ProjectId, Provider, RemoteUrl, Timestamp,
};

/// A project, with the integrations that are scoped to it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectBody<'a> {
    identifier: Text<&'a ProjectId>,
    remote_url: Option<&'a str>,
    platform: Text<Platform>,
    created_at: Text<Timestamp>,
    updated_at: Text<Timestamp>,
    version: u64,
    configuration: &'a RawValue,
    integrations: Vec<Scoped>,
}

/// An integration of a project; `created_at` is the published spelling.
#[derive(Serialize)]
struct Scoped {
    id: Text<IntegrationId>,
    provider: Text<Provider>,
    #[serde(rename = "authType")]
    auth_type: Text<AuthType>,
    created_at: Text<Timestamp>,
}

impl<'a> ProjectBody<'a> {
    /// Creates the object; `integrations` is empty except for owners.
    pub fn new(project: &'a Project, integrations: &[&Integration]) -> Self {
        Self {
            identifier: Text(&project.identifier),
            remote_url: project.remote_url.as_ref().map(RemoteUrl::as_str),
            platform: Text(project.platform),
            created_at: Text(project.created_at),
            updated_at: Text(project.updated_at),
            version: project.version,
            configuration: verbatim(&project.configuration),
            integrations: integrations.iter().map(|integration| Scoped::new(integration)).collect(),
        }
    }
}

impl Scoped {
    const fn new(integration: &Integration) -> Self {
        Self {
            id: Text(integration.id),
            provider: Text(integration.provider),
            auth_type: Text(integration.auth_type),
            created_at: Text(integration.created_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{ID, NOW, NOW_TEXT, integration, text},
        *,
    };
    use crate::domain::Json;

    #[test]
    fn the_project_object_has_every_key_in_its_order() {
        let project = Project {
            identifier: "acme/app".parse().unwrap(),
            remote_url: Some("https://github.com/acme/app.git".parse().unwrap()),
            platform: Platform::Github,
            configuration: Json::empty_object(),
            created_at: NOW,
            updated_at: NOW,
            version: 1,
        };
        let expected = |integrations: &str| {
            format!(
                r#"{{"identifier":"acme/app","remoteUrl":"https://github.com/acme/app.git","platform":"github","createdAt":"{NOW_TEXT}","updatedAt":"{NOW_TEXT}","version":1,"configuration":{{}},"integrations":[{integrations}]}}"#
            )
        };
        assert_eq!(text(&ProjectBody::new(&project, &[])), expected(""));
        assert_eq!(
            text(&ProjectBody::new(&project, &[&integration()])),
            expected(&format!(
                r#"{{"id":"{ID}","provider":"jira","authType":"basic_auth","created_at":"{NOW_TEXT}"}}"#
            ))
        );
        let bare = text(&ProjectBody::new(&Project { remote_url: None, ..project }, &[]));
        assert!(bare.starts_with(r#"{"identifier":"acme/app","remoteUrl":null,"platform""#), "{bare}");
    }
}
