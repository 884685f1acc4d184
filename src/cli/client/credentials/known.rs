//! Names that differ from `PROVIDER_FIELD`, because each provider's own tools read another one.

use crate::domain::Provider;

/// Provider, field and name. The tools are named beside each group.
const KNOWN: &[(Provider, &str, &str)] = &[
    // Anthropic's SDKs and command line.
    (Provider::AiAnthropic, "api_key", "ANTHROPIC_API_KEY"),
    (Provider::AiAnthropic, "auth_token", "ANTHROPIC_AUTH_TOKEN"),
    (Provider::AiAnthropic, "base_url", "ANTHROPIC_BASE_URL"),
    // OpenAI's SDKs.
    (Provider::AiOpenai, "api_key", "OPENAI_API_KEY"),
    (Provider::AiOpenai, "base_url", "OPENAI_BASE_URL"),
    (Provider::AiOpenai, "org_id", "OPENAI_ORG_ID"),
    (Provider::AiOpenai, "project_id", "OPENAI_PROJECT_ID"),
    // Google's Gen AI SDKs and the Gemini command line.
    (Provider::AiGoogle, "api_key", "GEMINI_API_KEY"),
    // Copilot's command line prefers it to GH_TOKEN and GITHUB_TOKEN, which may hold another token.
    (Provider::AiGithubCopilot, "token", "COPILOT_GITHUB_TOKEN"),
    // Every AWS SDK.
    (Provider::AiAmazonBedrock, "api_key", "AWS_BEARER_TOKEN_BEDROCK"),
    (Provider::AiAmazonBedrock, "access_key_id", "AWS_ACCESS_KEY_ID"),
    (Provider::AiAmazonBedrock, "secret_access_key", "AWS_SECRET_ACCESS_KEY"),
    (Provider::AiAmazonBedrock, "session_token", "AWS_SESSION_TOKEN"),
    (Provider::AiAmazonBedrock, "region", "AWS_REGION"),
    // `az devops`, and the Azure SDKs' EnvironmentCredential.
    (Provider::AzureDevops, "token", "AZURE_DEVOPS_EXT_PAT"),
    (Provider::AzureDevops, "client_id", "AZURE_CLIENT_ID"),
    (Provider::AzureDevops, "client_secret", "AZURE_CLIENT_SECRET"),
    (Provider::AzureDevops, "tenant_id", "AZURE_TENANT_ID"),
    (Provider::AzureDevops, "app_id", "AZURE_CLIENT_ID"),
    (Provider::AzureDevops, "password", "AZURE_CLIENT_SECRET"),
    (Provider::AzureDevops, "tenant", "AZURE_TENANT_ID"),
    // datadog-ci and Datadog's agents.
    (Provider::Datadog, "api_key", "DD_API_KEY"),
    (Provider::Datadog, "app_key", "DD_APP_KEY"),
    (Provider::Datadog, "site", "DD_SITE"),
    // JFrog's Terraform provider.
    (Provider::Jfrog, "token", "JFROG_ACCESS_TOKEN"),
    // The newrelic command line and New Relic's agents.
    (Provider::Newrelic, "api_key", "NEW_RELIC_API_KEY"),
    (Provider::Newrelic, "license_key", "NEW_RELIC_LICENSE_KEY"),
    (Provider::Newrelic, "account_id", "NEW_RELIC_ACCOUNT_ID"),
    (Provider::Newrelic, "region", "NEW_RELIC_REGION"),
];

/// Returns the name that the provider's own tools read, if it is not `PROVIDER_FIELD`.
pub(super) fn name(provider: Provider, field: &str) -> Option<&'static str> {
    let is_it = |(of, known, _): &&(Provider, &str, &str)| of.service() == provider && *known == field;
    KNOWN.iter().find(is_it).map(|(_, _, name)| *name)
}
