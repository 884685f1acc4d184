//! Contract §3: integrations.

use super::{PROJECTS_MAX, Request};
use crate::{
    api::{
        bad_request::{BadRequest, INVALID_SCOPE, MISSING_FIELD},
        fields::{Change, Fields, Members, Value},
    },
    domain::{
        AuthType, FieldRule, Json, Name, ProjectId, Provider, Revision, Scope, Secret, Timestamp, field_rule,
    },
};

/// Neither of the two: the published wording.
const SCOPE_MISSING: &str = "Either isGlobal or projects must be specified";
/// Both of the two.
const SCOPE_TWICE: &str = "isGlobal: true and projects exclude each other: specify one of them";

/// `POST /integrations` (contract §3). The vault checks that `expires_at` is in the future and projects are registered.
pub struct CreateIntegration {
    /// The service.
    pub provider: Provider,
    /// The authentication type.
    pub auth_type: AuthType,
    /// The JSON object, byte for byte; never empty.
    pub credentials: Secret,
    /// The scope.
    pub scope: Scope,
    /// Provider options, as given.
    pub config: Option<Json>,
    /// A label; required for `custom`.
    pub name: Option<Name>,
    /// The credential's expiry at the provider.
    pub expires_at: Option<Timestamp>,
    /// Accepts an expiry in the past, for an import; owners alone.
    pub allow_expired: bool,
    /// Raises an alarm at each read; owners alone.
    pub is_canary: bool,
}

impl Request for CreateIntegration {
    const NAME: &'static str = "CreateIntegration";
    const FIELDS: &'static [&'static str] = &[
        "provider",
        "authType",
        "credentials",
        "isGlobal",
        "projects",
        "config",
        "name",
        "expiresAt",
        "allowExpired",
        "canary",
    ];

    fn read(fields: &mut Fields<'_>) -> Result<Self, BadRequest> {
        let provider = fields.required("provider")?.parse()?;
        let auth_type = fields.required("authType")?.parse()?;
        let credentials = credentials(fields.required("credentials")?)?;
        check_fields(provider, auth_type, &credentials)?;
        let name = fields.optional("name").map(Value::parse).transpose()?;
        if provider == Provider::Custom && name.is_none() {
            return Err(BadRequest::new(MISSING_FIELD, "name is required where provider is custom"));
        }
        Ok(Self {
            provider,
            auth_type,
            credentials,
            scope: scope(fields)?,
            config: fields.optional("config").map(Value::json_object).transpose()?,
            name,
            expires_at: fields.optional("expiresAt").map(Value::parse).transpose()?,
            allow_expired: allow_expired(fields)?,
            is_canary: fields.optional("canary").map(Value::truth).transpose()?.unwrap_or(false),
        })
    }
}

/// `PATCH /integrations/{id}` (contract §3). The vault checks that `custom` keeps a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateIntegration {
    /// The label.
    pub name: Change<Name>,
    /// The new scope, if it changes.
    pub scope: Option<Scope>,
    /// Provider options.
    pub config: Change<Json>,
    /// The credential's expiry at the provider.
    pub expires_at: Change<Timestamp>,
}

impl Request for UpdateIntegration {
    const NAME: &'static str = "UpdateIntegration";
    const FIELDS: &'static [&'static str] = &["name", "projects", "isGlobal", "config", "expiresAt"];

    fn read(fields: &mut Fields<'_>) -> Result<Self, BadRequest> {
        let request = Self {
            name: fields.change("name", Value::parse)?,
            scope: new_scope(fields)?,
            config: fields.change("config", Value::json_object)?,
            expires_at: fields.change("expiresAt", Value::parse)?,
        };
        let rest = request.name.is_keep() && request.config.is_keep() && request.expires_at.is_keep();
        if rest && request.scope.is_none() {
            let message = format!("at least one of {} is required", Self::FIELDS.join(", "));
            return Err(BadRequest::new(MISSING_FIELD, message));
        }
        Ok(request)
    }
}

/// `PUT /integrations/{id}/credentials` (contract §3). The stored row decides the required fields:
/// [`check_fields`].
pub struct RotateCredentials {
    /// The JSON object, byte for byte; never empty.
    pub credentials: Secret,
    /// The expiry at the provider, if known.
    pub expires_at: Option<Timestamp>,
    /// Accepts an expiry in the past, for an import; owners alone.
    pub allow_expired: bool,
}

impl Request for RotateCredentials {
    const NAME: &'static str = "RotateCredentials";
    const FIELDS: &'static [&'static str] = &["credentials", "expiresAt", "allowExpired"];

    fn read(fields: &mut Fields<'_>) -> Result<Self, BadRequest> {
        Ok(Self {
            credentials: credentials(fields.required("credentials")?)?,
            expires_at: fields.optional("expiresAt").map(Value::parse).transpose()?,
            allow_expired: allow_expired(fields)?,
        })
    }
}

/// `POST /integrations/{id}/rollback` (contract §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollbackCredentials {
    /// The older revision to restore.
    pub revision: Revision,
}

impl Request for RollbackCredentials {
    const NAME: &'static str = "RollbackCredentials";
    const FIELDS: &'static [&'static str] = &["revision"];

    fn read(fields: &mut Fields<'_>) -> Result<Self, BadRequest> {
        let number = fields.required("revision")?.whole_number(1..=u64::MAX)?;
        Ok(Self { revision: Revision::new(number) })
    }
}

/// Checks that a credential of a documented pair holds its documented fields (contract §3).
///
/// # Errors
/// [`BadRequest`] that names the first field that is missing, empty or not a string.
pub fn check_fields(provider: Provider, auth_type: AuthType, credentials: &Secret) -> Result<(), BadRequest> {
    let Members(members) = serde_json::from_slice(credentials.expose())
        .map_err(|_| BadRequest::invalid("credentials", "an object"))?;
    let Some(rule) = field_rule(provider, auth_type) else { return Ok(()) };
    let holds = |field: &str| {
        let raw = members.iter().find(|(key, _)| key == field).map(|(_, value)| value.get());
        raw.is_some_and(|raw| match raw.as_bytes()[0] {
            b'"' => raw.len() > 2,
            b'-' | b'0'..=b'9' => rule.number_allowed == Some(field),
            _ => false,
        })
    };
    if rule.sets.iter().any(|set| set.iter().all(|field| holds(field))) {
        return Ok(());
    }
    let missing = rule.sets.first().and_then(|set| set.iter().find(|field| !holds(field)));
    missing.map_or(Ok(()), |field| {
        let message = format!(
            "credentials.{field} is required for {provider} with {auth_type}, {}",
            as_what(&rule, field)
        );
        Err(BadRequest::new(MISSING_FIELD, message))
    })
}

/// Returns the end of the message about a missing field: its type, and the alternative fields.
fn as_what(rule: &FieldRule, field: &str) -> String {
    let number = if rule.number_allowed == Some(field) { " or a number" } else { "" };
    let or = |set: &&[&str]| format!("; or {} instead", set.join(", "));
    let others: Vec<String> = rule.sets.iter().skip(1).map(or).collect();
    format!("as a string that is not empty{number}{}", others.concat())
}

/// The object verbatim: key order, spelling of numbers and white space are the client's own.
fn credentials(value: Value<'_>) -> Result<Secret, BadRequest> {
    let raw = value.object()?;
    if raw[1..].trim_ascii_start().starts_with('}') {
        return Err(BadRequest::invalid("credentials", "an object that is not empty"));
    }
    Ok(Secret::new(raw.as_bytes().to_vec()))
}

fn allow_expired(fields: &mut Fields<'_>) -> Result<bool, BadRequest> {
    Ok(fields.optional("allowExpired").map(Value::truth).transpose()?.unwrap_or(false))
}

fn scope(fields: &mut Fields<'_>) -> Result<Scope, BadRequest> {
    let is_global = fields.optional("isGlobal").map(Value::truth).transpose()?.unwrap_or(false);
    // Clients send an empty list beside `isGlobal: true`; it names no project, so it contradicts nothing.
    let projects = fields.optional("projects").filter(|projects| !projects.is_empty_array());
    match (is_global, projects) {
        (true, None) => Ok(Scope::Global),
        (true, Some(_)) => Err(BadRequest::new(INVALID_SCOPE, SCOPE_TWICE)),
        (false, None) => Err(BadRequest::new(INVALID_SCOPE, SCOPE_MISSING)),
        (false, Some(projects)) => projects.list(PROJECTS_MAX).map(Scope::Projects),
    }
}

/// A change of scope is never read into something: every odd combination is refused, so that nothing widens by
/// accident.
fn new_scope(fields: &mut Fields<'_>) -> Result<Option<Scope>, BadRequest> {
    let is_global = fields.take("isGlobal").map(Value::truth).transpose()?;
    let projects =
        fields.take("projects").map(|projects| projects.list::<ProjectId>(PROJECTS_MAX)).transpose()?;
    match (is_global, projects) {
        (None, None) => Ok(None),
        (Some(true), None) => Ok(Some(Scope::Global)),
        (Some(true), Some(_)) => Err(BadRequest::new(INVALID_SCOPE, SCOPE_TWICE)),
        (Some(false), None) => {
            Err(BadRequest::new(INVALID_SCOPE, "isGlobal: false needs projects beside it"))
        }
        (None | Some(false), Some(projects)) => Ok(Some(Scope::Projects(projects))),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{refused, taken},
        *,
    };

    fn create(rest: &str) -> String {
        format!(r#"{{"provider":"github","authType":"pat","credentials":{{"token":"x"}}{rest}}}"#)
    }

    fn projects(texts: &[&str]) -> Scope {
        Scope::Projects(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn a_whole_integration_is_read() {
        let request: CreateIntegration = taken(
            r#"{"expiresAt":"2026-11-24T10:00:00Z","name":"deploy key","projects":["acme/app"],"config":{"a":1.50},
                "provider":"custom","auth_type":"api_key","credentials":{ "b":1e999, "a":"\u0041" }}"#,
        );
        assert_eq!((request.provider, request.auth_type), (Provider::Custom, AuthType::ApiKey));
        assert_eq!(request.credentials.expose(), br#"{ "b":1e999, "a":"\u0041" }"#);
        assert_eq!(request.scope, projects(&["acme/app"]));
        assert_eq!(request.config.unwrap().as_str(), r#"{"a":1.50}"#);
        assert_eq!(request.name.unwrap().as_str(), "deploy key");
        assert_eq!(request.expires_at.unwrap().to_string(), "2026-11-24T10:00:00.000Z");
    }

    #[test]
    fn exactly_one_of_global_and_projects_is_taken() {
        let scope = |rest: &str| taken::<CreateIntegration>(&create(rest)).scope;
        assert_eq!(scope(r#","isGlobal":true"#), Scope::Global);
        assert_eq!(scope(r#","is_global":true,"projects":[ ]"#), Scope::Global);
        assert_eq!(scope(r#","isGlobal":false,"projects":["a/b","1"]"#), projects(&["a/b", "1"]));
        for rest in ["", r#","isGlobal":false"#, r#","projects":[]"#, r#","projects":null,"isGlobal":null"#] {
            let refusal = refused::<CreateIntegration>(&create(rest));
            assert_eq!(refusal.message, "Either isGlobal or projects must be specified");
        }
        let both = refused::<CreateIntegration>(&create(r#","isGlobal":true,"projects":["a/b"]"#));
        assert_eq!((both.code, &*both.message), (INVALID_SCOPE, SCOPE_TWICE));
    }

    #[test]
    fn a_hundred_projects_are_the_most() {
        let list = |count: usize| {
            let items: Vec<String> = (0..count).map(|number| format!("\"a/{number}\"")).collect();
            create(&format!(",\"projects\":[{}]", items.join(",")))
        };
        assert_eq!(taken::<CreateIntegration>(&list(100)).scope.projects().len(), 100);
        let message = refused::<CreateIntegration>(&list(101)).message;
        assert_eq!(message, "projects must be an array of 1 to 100 strings");
        let twice = refused::<CreateIntegration>(&create(r#","projects":["a/b","a/b"]"#)).message;
        assert_eq!(twice, "projects must be without duplicates");
    }

    #[test]
    fn an_unknown_provider_or_auth_type_is_answered_with_the_known_ones() {
        let provider = refused::<CreateIntegration>(r#"{"provider":"GitHub"}"#).message;
        assert!(
            provider.starts_with("provider must be one of github, jira,") && provider.ends_with("custom")
        );
        let auth_type = refused::<CreateIntegration>(r#"{"provider":"npm","authType":"x"}"#).message;
        assert!(auth_type.starts_with("authType must be one of pat, basic_auth"));
        assert_eq!(refused::<CreateIntegration>("{}").message, "provider is required");
    }

    #[test]
    fn credentials_are_an_object_with_something_in_it() {
        for (credentials, message) in [
            ("{ }", "credentials must be an object that is not empty"),
            ("[1]", "credentials must be an object"),
            ("\"{}\"", "credentials must be an object"),
            ("null", "credentials is required"),
        ] {
            let body = format!(r#"{{"credentials":{credentials}}}"#);
            assert_eq!(refused::<RotateCredentials>(&body).message, message);
        }
    }

    #[test]
    fn a_custom_integration_needs_a_name() {
        let body = r#"{"provider":"custom","authType":"pat","credentials":{"x":1},"isGlobal":true}"#;
        assert_eq!(refused::<CreateIntegration>(body).message, "name is required where provider is custom");
    }

    #[test]
    fn documented_pairs_carry_their_documented_fields() {
        let check = |provider, auth_type, credentials: &str| {
            check_fields(provider, auth_type, &Secret::from(credentials.to_owned()))
                .err()
                .map(|bad| bad.message)
        };
        let pat = |credentials| check(Provider::Github, AuthType::Pat, credentials);
        let message = "credentials.token is required for github with pat, as a string that is not empty";
        assert_eq!(pat(r#"{"token":"x","more":1}"#), None);
        assert_eq!(pat(r#"{"t\u006fken":"\u0000"}"#), None);
        for credentials in [
            r#"{"Token":"x"}"#,
            r#"{"token":""}"#,
            r#"{"token":1}"#,
            r#"{"token":null}"#,
            r#"{"token":["x"]}"#,
        ] {
            assert_eq!(pat(credentials).as_deref(), Some(message));
        }
        let app = |credentials| check(Provider::Github, AuthType::App, credentials);
        assert_eq!(app(r#"{"app_id":12,"private_key":"k"}"#), None);
        assert_eq!(app(r#"{"app_id":"12","private_key":"k"}"#), None);
        assert!(app(r#"{"app_id":true,"private_key":"k"}"#).unwrap().ends_with("not empty or a number"));
        assert!(app(r#"{"app_id":12,"private_key":5}"#).unwrap().contains("credentials.private_key"));

        let azure = |credentials| check(Provider::AzureDevops, AuthType::ServicePrincipal, credentials);
        assert_eq!(azure(r#"{"client_id":"a","client_secret":"b","tenant_id":"c"}"#), None);
        assert_eq!(azure(r#"{"app_id":"a","password":"b","tenant":"c"}"#), None);
        assert_eq!(
            azure(r#"{"client_id":"a","password":"b","tenant":"c"}"#).unwrap(),
            "credentials.client_secret is required for azure-devops with service_principal, as a string that is not \
             empty; or app_id, password, tenant instead"
        );
        assert_eq!(check(Provider::Npm, AuthType::Pat, "{\"x\":[]}"), None);
    }

    #[test]
    fn a_patch_keeps_clears_or_sets() {
        let patch: UpdateIntegration = taken(r#"{"name":null,"config":{"a":1}}"#);
        assert_eq!(patch.name, Change::Clear);
        assert_eq!(patch.config, Change::Set(Json::new_checked("{\"a\":1}".to_owned())));
        assert_eq!((patch.expires_at, patch.scope), (Change::Keep, None));
    }

    #[test]
    fn a_patch_never_widens_by_accident() {
        let scope = |body: &str| taken::<UpdateIntegration>(body).scope;
        assert_eq!(scope(r#"{"isGlobal":true}"#), Some(Scope::Global));
        assert_eq!(scope(r#"{"projects":["a/b"]}"#), Some(projects(&["a/b"])));
        assert_eq!(scope(r#"{"isGlobal":false,"projects":["a/b"]}"#), Some(projects(&["a/b"])));
        for (body, message) in [
            (r#"{"isGlobal":true,"projects":["a/b"]}"#, SCOPE_TWICE),
            (r#"{"isGlobal":true,"projects":[]}"#, "projects must be an array of 1 to 100 strings"),
            (r#"{"isGlobal":false}"#, "isGlobal: false needs projects beside it"),
            (r#"{"isGlobal":null}"#, "isGlobal must be true or false"),
            (r#"{"projects":null}"#, "projects must be an array of strings"),
            ("{}", "at least one of name, projects, isGlobal, config, expiresAt is required"),
        ] {
            assert_eq!(refused::<UpdateIntegration>(body).message, message);
        }
    }

    #[test]
    fn a_rollback_names_a_revision() {
        assert_eq!(taken::<RollbackCredentials>(r#"{"revision":3}"#).revision.number(), 3);
        let refusal = refused::<RollbackCredentials>(r#"{"revision":0}"#);
        assert_eq!(refusal.message, "revision must be a whole number from 1");
    }
}
