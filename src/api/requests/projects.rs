//! Contract §4: projects.

use super::Request;
use crate::{
    api::{
        bad_request::BadRequest,
        fields::{Fields, Value},
    },
    domain::{Json, Platform, ProjectId, RemoteUrl},
};

/// `POST /projects` (contract §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateProject {
    /// The identifier.
    pub identifier: ProjectId,
    /// The URL of its repository.
    pub remote_url: Option<RemoteUrl>,
    /// The hosting platform: as given, else derived from the URL's host; `other` without a URL.
    pub platform: Platform,
    /// The owner's configuration, verbatim; `{}` by default.
    pub configuration: Json,
}

impl Request for CreateProject {
    const NAME: &'static str = "CreateProject";
    const FIELDS: &'static [&'static str] = &["identifier", "remoteUrl", "platform", "configuration"];

    fn read(fields: &mut Fields<'_>) -> Result<Self, BadRequest> {
        let identifier = fields.required("identifier")?.parse()?;
        let remote_url: Option<RemoteUrl> = fields.optional("remoteUrl").map(Value::parse).transpose()?;
        let platform = fields.optional("platform").map(Value::parse).transpose()?;
        let configuration = fields.optional("configuration").map(Value::json_object).transpose()?;
        Ok(Self {
            identifier,
            platform: platform
                .unwrap_or_else(|| remote_url.as_ref().map_or(Platform::Other, RemoteUrl::platform)),
            remote_url,
            configuration: configuration.unwrap_or_else(Json::empty_object),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{refused, taken},
        *,
    };

    #[test]
    fn the_platform_is_read_off_the_host_where_it_is_absent() {
        let project: CreateProject =
            taken(r#"{"identifier":"acme/app","remoteUrl":"git@gitlab.com:acme/app.git"}"#);
        assert_eq!((project.platform, project.configuration), (Platform::Gitlab, Json::empty_object()));
        let project: CreateProject = taken(
            r#"{"identifier":"1","remoteUrl":"https://github.com/a/b","platform":"other","configuration":{"a":1.0}}"#,
        );
        assert_eq!((project.platform, project.configuration.as_str()), (Platform::Other, r#"{"a":1.0}"#));
        for body in [r#"{"identifier":"payments"}"#, r#"{"identifier":"payments","remoteUrl":null}"#] {
            let project: CreateProject = taken(body);
            assert_eq!((project.platform, project.remote_url), (Platform::Other, None));
        }
        let project: CreateProject = taken(r#"{"identifier":"payments","platform":"gitlab"}"#);
        assert_eq!(project.platform, Platform::Gitlab, "as it is given");
    }

    #[test]
    fn every_field_keeps_its_rule() {
        for (body, start) in [
            ("{}", "identifier is required"),
            (r#"{"identifier":"a//b"}"#, "identifier must be 1 to 20 segments like org/repo"),
            (r#"{"identifier":"a/b%20c"}"#, "identifier must be written plainly, without %"),
            (r#"{"identifier":"1","remoteUrl":""}"#, "remoteUrl must be an http(s) or ssh URL"),
            (
                r#"{"identifier":"1","remoteUrl":"https://a:b@github.com/a"}"#,
                "remoteUrl must be a URL without a password",
            ),
            (
                r#"{"identifier":"1","remoteUrl":"https://a@github.com/a"}"#,
                "remoteUrl must be an http(s) URL without a user name: drop",
            ),
            (
                r#"{"identifier":"1","remoteUrl":"https://x.y/a","platform":"svn"}"#,
                "platform must be one of github",
            ),
            (
                r#"{"identifier":"1","remoteUrl":"https://x.y/a","configuration":[]}"#,
                "configuration must be an object",
            ),
        ] {
            let message = refused::<CreateProject>(body).message;
            assert!(message.starts_with(start), "{message}");
        }
    }
}
