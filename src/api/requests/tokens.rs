//! Contract §5: application tokens.

use super::{INTEGRATIONS_MAX, PROJECTS_MAX, Request, role};
use crate::{
    api::{
        bad_request::BadRequest,
        fields::{Fields, Value},
    },
    domain::{AccessScope, Name, Provider, Role},
};

/// The default lifetime of a token, in days.
const DAYS_DEFAULT: u64 = 30;
/// The longest lifetime of a token in days: ten years.
const DAYS_MAX: u64 = 3650;

/// The default overlap of two tokens, in seconds: an hour.
const OVERLAP_SECS_DEFAULT: u64 = 3_600;
/// The longest overlap of two tokens, in seconds: thirty days.
pub const OVERLAP_SECS_MAX: u64 = 30 * 86_400;

/// `POST /application-tokens` (contract §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateToken {
    /// A label.
    pub name: Name,
    /// The lifetime in days, 1 to 3650.
    pub expires_in_days: u64,
    /// A token's role.
    pub role: Role,
    /// The projects, providers and integrations it may read; a list is never empty.
    pub scope: AccessScope,
}

impl Request for CreateToken {
    const NAME: &'static str = "CreateToken";
    const FIELDS: &'static [&'static str] =
        &["name", "expiresIn", "role", "projects", "providers", "integrations"];

    fn read(fields: &mut Fields<'_>) -> Result<Self, BadRequest> {
        let of_machines =
            |value| role(value, |role| !role.is_user_role(), "one of application, auditor, operator");
        let in_days = |value: Value<'_>| value.whole_number(1..=DAYS_MAX);
        Ok(Self {
            name: fields.required("name")?.parse()?,
            expires_in_days: fields.optional("expiresIn").map_or(Ok(DAYS_DEFAULT), in_days)?,
            role: fields.optional("role").map_or(Ok(Role::Application), of_machines)?,
            scope: AccessScope {
                projects: fields.optional("projects").map(|list| list.list(PROJECTS_MAX)).transpose()?,
                providers: fields
                    .optional("providers")
                    .map(|list| list.list(Provider::ALL.len()))
                    .transpose()?,
                integrations: fields
                    .optional("integrations")
                    .map(|list| list.list(INTEGRATIONS_MAX))
                    .transpose()?,
            },
        })
    }
}

/// `POST /application-tokens/{token}/roll` (contract §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollToken {
    /// The time in seconds for which the token before still lets its holder in, at most thirty days.
    pub overlap_secs: u64,
}

impl Request for RollToken {
    const NAME: &'static str = "RollToken";
    const FIELDS: &'static [&'static str] = &["overlapSeconds"];

    fn read(fields: &mut Fields<'_>) -> Result<Self, BadRequest> {
        let secs = |value: Value<'_>| value.whole_number(0..=OVERLAP_SECS_MAX);
        let overlap_secs = fields.optional("overlapSeconds").map_or(Ok(OVERLAP_SECS_DEFAULT), secs)?;
        Ok(Self { overlap_secs })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{refused, taken},
        *,
    };

    #[test]
    fn a_token_is_an_application_for_thirty_days_unless_it_says_otherwise() {
        let token: CreateToken = taken(r#"{"name":"ci","projects":null}"#);
        assert_eq!(
            (token.expires_in_days, token.role, token.scope),
            (30, Role::Application, AccessScope::default())
        );
        let token: CreateToken = taken(
            r#"{"name":"ci","expiresIn":3650,"role":"auditor","projects":["a/b"],"providers":["jira","azure-devops"],"integrations":["01A21198-0ea8-7d5a-987c-6ee7878c59a0"]}"#,
        );
        assert_eq!((token.expires_in_days, token.role), (3650, Role::Auditor));
        assert_eq!(token.scope.projects.unwrap().len(), 1);
        assert_eq!(token.scope.providers.unwrap(), [Provider::Jira, Provider::AzureDevops]);
        let id = token.scope.integrations.unwrap()[0];
        assert_eq!(id.to_string(), "01a21198-0ea8-7d5a-987c-6ee7878c59a0");
    }

    #[test]
    fn a_roll_has_an_hour_unless_it_says_otherwise() {
        assert_eq!(taken::<RollToken>("{}").overlap_secs, 3_600);
        assert_eq!(taken::<RollToken>(r#"{"overlapSeconds":0}"#).overlap_secs, 0);
        for wrong in ["-1", "2592001", "1.5", r#""1h""#] {
            let refused = refused::<RollToken>(&format!(r#"{{"overlapSeconds":{wrong}}}"#));
            assert_eq!(refused.message, "overlapSeconds must be a whole number from 0 to 2592000");
        }
    }

    #[test]
    fn every_field_keeps_its_rule() {
        for (rest, message) in [
            (r#""expiresIn":0"#, "expiresIn must be a whole number from 1 to 3650"),
            (r#""expiresIn":3651"#, "expiresIn must be a whole number from 1 to 3650"),
            (r#""expiresIn":1.5"#, "expiresIn must be a whole number from 1 to 3650"),
            (r#""expiresIn":"30""#, "expiresIn must be a whole number from 1 to 3650"),
            (r#""role":"owner""#, "role must be one of application, auditor, operator"),
            (r#""role":1"#, "role must be a string"),
            (r#""projects":[]"#, "projects must be an array of 1 to 100 strings"),
            (r#""integrations":[]"#, "integrations must be an array of 1 to 100 strings"),
            (r#""integrations":["deploy key"]"#, "integrations[0] must be a hyphenated UUID"),
            (r#""providers":[]"#, "providers must be an array of 1 to 17 strings"),
            (r#""providers":["npm","npm"]"#, "providers must be without duplicates"),
        ] {
            assert_eq!(refused::<CreateToken>(&format!(r#"{{"name":"ci",{rest}}}"#)).message, message);
        }
        assert_eq!(refused::<CreateToken>("{}").message, "name is required");
    }
}
