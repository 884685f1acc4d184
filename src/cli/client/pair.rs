//! `PROVIDER/TYPE`, and suggestions for a mistyped pair.

use std::str::FromStr;

use super::near::nearest;
use crate::domain::{AuthType, Provider};

/// A service and a way to authenticate with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) provider: Provider,
    pub(super) auth_type: AuthType,
}

/// The error for a text that is no pair, with a suggestion.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoPair(String);

/// The pairs whose fields are known, as users type them.
const DOCUMENTED: [&str; 6] = [
    "github/pat",
    "github/app",
    "jira/basic_auth",
    "jira/oauth_client_credentials",
    "azure-devops/pat",
    "azure-devops/service_principal",
];

impl FromStr for Pair {
    type Err = NoPair;

    fn from_str(text: &str) -> Result<Self, NoPair> {
        let Some((provider, auth_type)) = text.split_once('/') else { return Err(shapeless(text)) };
        match (provider.parse(), auth_type.parse()) {
            (Ok(provider), Ok(auth_type)) => Ok(Self { provider, auth_type }),
            (Ok(_), Err(rule)) => Err(NoPair(match near_type(auth_type) {
                Some(meant) => format!("there is no such type; did you mean {provider}/{meant}?"),
                None => rule.to_string(),
            })),
            (Err(rule), known) => {
                let meant = near_provider(provider);
                let meant = meant.zip(known.map(AuthType::as_str).ok().or_else(|| near_type(auth_type)));
                let swapped = auth_type.parse::<Provider>().is_ok() && provider.parse::<AuthType>().is_ok();
                Err(NoPair(match meant {
                    _ if swapped => format!("the provider comes first; did you mean {auth_type}/{provider}?"),
                    Some((provider, auth_type)) => {
                        format!("there is no such provider; did you mean {provider}/{auth_type}?")
                    }
                    None => rule.to_string(),
                }))
            }
        }
    }
}

fn near_provider(text: &str) -> Option<&'static str> {
    nearest(text, Provider::ALL.iter().map(|one| one.as_str()))
}

fn near_type(text: &str) -> Option<&'static str> {
    nearest(text, AuthType::ALL.iter().map(|one| one.as_str()))
}

/// Reports a text without a slash: a provider without a type, or another character in place of the slash.
fn shapeless(text: &str) -> NoPair {
    let of_provider = |provider: &str| {
        let pairs = DOCUMENTED.iter().copied().filter(|pair| pair.split('/').next() == Some(provider));
        pairs.collect::<Vec<_>>().join(" or ")
    };
    let provider = text.parse::<Provider>().map(Provider::as_str).ok().or_else(|| near_provider(text));
    NoPair(match (provider.map(of_provider), nearest(text, DOCUMENTED)) {
        (Some(pairs), _) if !pairs.is_empty() => format!("it names no type; did you mean {pairs}?"),
        (None, Some(meant)) => format!("it must be PROVIDER/TYPE; did you mean {meant}?"),
        _ => "it must be PROVIDER/TYPE like github/pat or jira/basic_auth".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_reads_back() {
        for provider in Provider::ALL {
            for auth_type in AuthType::ALL {
                let pair = format!("{provider}/{auth_type}").parse();
                assert_eq!(pair, Ok(Pair { provider: *provider, auth_type: *auth_type }));
            }
        }
        assert!(DOCUMENTED.iter().all(|pair| pair.parse::<Pair>().is_ok()));
    }

    #[test]
    fn a_pair_that_is_none_says_which_was_meant() {
        for (typed, said) in [
            ("gihub/pat", "did you mean github/pat?"),
            ("gihub/patt", "did you mean github/pat?"),
            ("GitHub/PAT", "did you mean github/pat?"),
            ("github/patt", "did you mean github/pat?"),
            ("jira/basic-auth", "did you mean jira/basic_auth?"),
            ("azure_devops/pat", "did you mean azuredevops/pat?"),
            ("pat/github", "did you mean github/pat?"),
            ("github", "did you mean github/pat or github/app?"),
            ("github-pat", "did you mean github/pat"),
            ("jira:basic_auth", "did you mean jira/basic_auth"),
            ("gitlab", "PROVIDER/TYPE like github/pat"),
            ("github/", "authType must be one of pat,"),
            ("/", "provider must be one of github,"),
            ("bitwarden/pat", "provider must be one of github,"),
            ("", "PROVIDER/TYPE like github/pat"),
        ] {
            let error = typed.parse::<Pair>().unwrap_err().to_string();
            assert!(error.contains(said), "{typed}: {error}");
        }
    }
}
