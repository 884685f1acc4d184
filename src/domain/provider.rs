//! External services, the ways to authenticate with them, and the fields that each documented pair must carry.

use super::text_enum::text_enum;

text_enum! {
    /// An external service, in the spelling in which it was stored.
    Provider, "provider", "one of github, jira, azuredevops, azure-devops, gitlab, jfrog, npm, github_packages, \
        ai_anthropic, ai_openai, ai_google, ai_github_copilot, ai_amazon_bedrock, datadog, newrelic, splunk, custom" {
        /// GitHub.
        Github = "github",
        /// Jira.
        Jira = "jira",
        /// Azure DevOps, the older spelling.
        Azuredevops = "azuredevops",
        /// Azure DevOps, the newer spelling; the same service.
        AzureDevops = "azure-devops",
        /// GitLab.
        Gitlab = "gitlab",
        /// `JFrog`.
        Jfrog = "jfrog",
        /// The npm registry.
        Npm = "npm",
        /// GitHub Packages.
        GithubPackages = "github_packages",
        /// Anthropic.
        AiAnthropic = "ai_anthropic",
        /// `OpenAI`.
        AiOpenai = "ai_openai",
        /// Google AI.
        AiGoogle = "ai_google",
        /// GitHub Copilot.
        AiGithubCopilot = "ai_github_copilot",
        /// Amazon Bedrock.
        AiAmazonBedrock = "ai_amazon_bedrock",
        /// Datadog.
        Datadog = "datadog",
        /// New Relic.
        Newrelic = "newrelic",
        /// Splunk.
        Splunk = "splunk",
        /// Anything else; tells itself apart by its name.
        Custom = "custom",
    }
}

impl Provider {
    /// The service behind the spelling: both spellings of Azure DevOps give one value.
    #[must_use]
    pub const fn service(self) -> Self {
        match self {
            Self::AzureDevops => Self::Azuredevops,
            other => other,
        }
    }
}

text_enum! {
    /// The way a credential authenticates.
    AuthType, "authType", "one of pat, basic_auth, app, oauth, oauth_client_credentials, service_principal, api_key" {
        /// A personal access token.
        Pat = "pat",
        /// User name and token.
        BasicAuth = "basic_auth",
        /// An app with a private key.
        App = "app",
        /// OAuth.
        Oauth = "oauth",
        /// OAuth 2.0 client credentials (RFC 6749 §4.4).
        OauthClientCredentials = "oauth_client_credentials",
        /// An Azure service principal.
        ServicePrincipal = "service_principal",
        /// An API key.
        ApiKey = "api_key",
    }
}

/// The fields that the credentials of a documented pair must hold: all fields of at least one of the sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldRule {
    /// The sets of field names; the first is the one that a message names.
    pub sets: &'static [&'static [&'static str]],
    /// A field that may be a number as well as a text.
    pub number_allowed: Option<&'static str>,
}

/// The rule of a documented pair; `None` where any object will do.
pub const fn field_rule(provider: Provider, auth_type: AuthType) -> Option<FieldRule> {
    let sets: &'static [&'static [&'static str]] = match (provider.service(), auth_type) {
        (Provider::Github | Provider::Azuredevops, AuthType::Pat) => &[&["token"]],
        (Provider::Jira, AuthType::BasicAuth) => &[&["base_url", "username", "api_token"]],
        (Provider::Jira, AuthType::OauthClientCredentials) => &[&["client_id", "client_secret", "cloud_id"]],
        (Provider::Azuredevops, AuthType::ServicePrincipal) => {
            &[&["client_id", "client_secret", "tenant_id"], &["app_id", "password", "tenant"]]
        }
        (Provider::Github, AuthType::App) => {
            return Some(FieldRule { sets: &[&["app_id", "private_key"]], number_allowed: Some("app_id") });
        }
        _ => return None,
    };
    Some(FieldRule { sets, number_allowed: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_reads_back_and_the_rule_names_each() {
        let rule = "nonsense".parse::<Provider>().unwrap_err().rule;
        for provider in Provider::ALL {
            assert_eq!(provider.as_str().parse(), Ok(*provider));
            assert!(rule.contains(provider.as_str()));
        }
    }
}
