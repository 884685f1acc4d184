//! Variables whose names tell the provider, given back to it: `exec` calls its fields by the same names again.
//!
//! Names that several services share (`AWS_…`, `AZURE_CLIENT_ID`) tell none and stay `custom`.

use crate::domain::{AuthType, Provider};

/// A pair, and the variables that make its credential.
pub(super) struct Known {
    pub(super) provider: Provider,
    pub(super) auth_type: AuthType,
    /// Variable and field; all must be there.
    pub(super) needed: &'static [(&'static str, &'static str)],
    /// Variable and field; those that are there.
    pub(super) further: &'static [(&'static str, &'static str)],
}

const fn known(
    provider: Provider,
    auth_type: AuthType,
    needed: &'static [(&'static str, &'static str)],
    further: &'static [(&'static str, &'static str)],
) -> Known {
    Known { provider, auth_type, needed, further }
}

/// The pairs; a variable belongs to the first that is complete.
#[rustfmt::skip]
pub(super) const KNOWN: &[Known] = &[
    known(Provider::Github, AuthType::Pat, &[("GITHUB_TOKEN", "token")], &[]),
    known(
        Provider::Jira,
        AuthType::BasicAuth,
        &[("JIRA_BASE_URL", "base_url"), ("JIRA_USERNAME", "username"), ("JIRA_API_TOKEN", "api_token")],
        &[],
    ),
    known(Provider::AzureDevops, AuthType::Pat, &[("AZURE_DEVOPS_EXT_PAT", "token")], &[]),
    known(Provider::Gitlab, AuthType::Pat, &[("GITLAB_TOKEN", "token")], &[]),
    known(Provider::Jfrog, AuthType::Pat, &[("JFROG_ACCESS_TOKEN", "token")], &[]),
    known(Provider::Npm, AuthType::Pat, &[("NPM_TOKEN", "token")], &[]),
    known(
        Provider::AiAnthropic,
        AuthType::ApiKey,
        &[("ANTHROPIC_API_KEY", "api_key")],
        &[("ANTHROPIC_BASE_URL", "base_url")],
    ),
    known(
        Provider::AiOpenai,
        AuthType::ApiKey,
        &[("OPENAI_API_KEY", "api_key")],
        &[("OPENAI_BASE_URL", "base_url"), ("OPENAI_ORG_ID", "org_id"), ("OPENAI_PROJECT_ID", "project_id")],
    ),
    known(Provider::AiGoogle, AuthType::ApiKey, &[("GEMINI_API_KEY", "api_key")], &[]),
    known(Provider::AiGithubCopilot, AuthType::Pat, &[("COPILOT_GITHUB_TOKEN", "token")], &[]),
    known(Provider::AiAmazonBedrock, AuthType::ApiKey, &[("AWS_BEARER_TOKEN_BEDROCK", "api_key")], &[]),
    known(
        Provider::Datadog,
        AuthType::ApiKey,
        &[("DD_API_KEY", "api_key")],
        &[("DD_APP_KEY", "app_key"), ("DD_SITE", "site")],
    ),
    known(
        Provider::Newrelic,
        AuthType::ApiKey,
        &[("NEW_RELIC_API_KEY", "api_key")],
        &[
            ("NEW_RELIC_LICENSE_KEY", "license_key"),
            ("NEW_RELIC_ACCOUNT_ID", "account_id"),
            ("NEW_RELIC_REGION", "region"),
        ],
    ),
    known(Provider::Splunk, AuthType::ApiKey, &[("SPLUNK_TOKEN", "token")], &[]),
];
