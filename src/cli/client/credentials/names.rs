//! The names of credentials' fields in an environment: one table for every format.
//!
//! Guarantees that every disclosed value has one name and every name one value. Knows no format.
//!
//! | field | name |
//! |---|---|
//! | in [`KNOWN`] | the name that the provider's own tools read |
//! | of `custom`, and its only field is `value` | `NAME`, of the integration |
//! | of `custom` | `NAME_FIELD` |
//! | any other | `PROVIDER_FIELD`; both spellings of Azure DevOps give `AZURE_DEVOPS` |

use std::collections::HashMap;

use zeroize::Zeroizing;

use super::{
    fields::{Field, described, fields, shown},
    steering::steers,
};
use crate::{cli::error::CliError, client::Credential, domain::Provider};

/// Fields whose name in their provider's tools is not `PROVIDER_FIELD`.
const KNOWN: &[(Provider, &str, &str)] = &[
    (Provider::AiAnthropic, "api_key", "ANTHROPIC_API_KEY"),
    (Provider::AiOpenai, "api_key", "OPENAI_API_KEY"),
    (Provider::Datadog, "api_key", "DD_API_KEY"),
];
/// The only field of a `custom` integration that is one value.
const ONLY_FIELD: &str = "value";

/// A value, under the name that programs read.
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: Zeroizing<String>,
    origin: Origin,
}

/// The field and integration of a value.
struct Origin {
    integration: String,
    field: String,
}

impl Variable {
    /// Returns the error of a format that cannot carry the value.
    pub(super) fn refused(&self, format: &str, reason: &str) -> CliError {
        CliError::failed(
            format!("{format} cannot carry {}: {reason}", self.origin.text()),
            "nothing was printed; --format json carries every value, --field NAME prints the bytes of one",
        )
    }
}

impl Origin {
    fn text(&self) -> String {
        format!("field '{}' of {}", shown(&self.field), self.integration)
    }
}

/// Names every field of all credentials, in order. `asked_name` is the name that all of them share, if the answer omits
/// it.
///
/// Two equal values of one name become one variable: a program reads the same value either way.
///
/// # Errors
/// A name has two values, a field yields no name, or a name steers programs.
pub(super) fn variables(
    credentials: &[Credential],
    asked_name: Option<&str>,
) -> Result<Vec<Variable>, CliError> {
    let (mut variables, mut known) = (Vec::<Variable>::new(), HashMap::<String, usize>::new());
    for one in credentials {
        let fields = fields(one)?;
        let is_only = fields.len() == 1;
        let label = one.name.as_deref().or(asked_name);
        for Field { name: field, value } in fields {
            let origin = Origin { integration: described(one), field };
            let Some(name) = name(&one.provider, label, &origin.field, is_only) else {
                return Err(nameless(&origin));
            };
            if steers(&name) {
                return Err(steering(&origin, &name));
            }
            match known.get(&name).map(|index| &variables[*index]) {
                Some(earlier) if earlier.value == value => {}
                Some(earlier) => return Err(clash(&name, &earlier.origin, &origin)),
                None => {
                    known.insert(name.clone(), variables.len());
                    variables.push(Variable { name, value, origin });
                }
            }
        }
    }
    Ok(variables)
}

fn name(provider: &str, label: Option<&str>, field: &str, is_only: bool) -> Option<String> {
    let parsed = provider.parse().map(Provider::service);
    if let Some((_, _, name)) = KNOWN.iter().find(|(of, known, _)| parsed == Ok(*of) && *known == field) {
        return Some((*name).to_owned());
    }
    let prefix = match (parsed, label) {
        (Ok(Provider::Custom), Some(label)) if is_only && field == ONLY_FIELD => return identifier(&[label]),
        (Ok(Provider::Custom), Some(label)) => label,
        (Ok(Provider::Azuredevops), _) => Provider::AzureDevops.as_str(),
        _ => provider,
    };
    identifier(&[prefix, field])
}

/// Joins upper-case words with underscores. A leading digit, with which no variable begins, gets an underscore before
/// it. Returns `None` if a word has no letter or digit that is valid in an identifier.
fn identifier(words: &[&str]) -> Option<String> {
    if words.iter().any(|word| !word.chars().any(|c| c.is_ascii_alphanumeric())) {
        return None;
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String = words.join("_").chars().map(plain).collect();
    Some(if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name })
}

fn clash(name: &str, one: &Origin, other: &Origin) -> CliError {
    let hint = if one.integration == other.integration {
        "nothing was printed; rename a field with `sealroom integration rotate`, or read it with --format json"
    } else {
        "nothing was printed; narrow it with --provider, --name or --project, or read them with --format json"
    };
    CliError::failed(format!("two values for {name}: {} and {}", one.text(), other.text()), hint)
}

fn nameless(origin: &Origin) -> CliError {
    CliError::failed(
        format!("{} cannot name a variable: it has no ASCII letter or digit", origin.text()),
        "nothing was printed; rename the integration or the field, or read it with --format json",
    )
}

fn steering(origin: &Origin, name: &str) -> CliError {
    CliError::failed(
        format!("{} would be {name}, a variable that changes how programs run", origin.text()),
        "nothing was printed; rename the integration or the field, or read it with --format json",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01a21198-0ea8-7d5a-987c-6ee7878c59";

    /// Returns the variables of credentials given as provider, name and fields, each with its own id.
    fn read(credentials: &[(&str, &str, &str)]) -> Result<Vec<Variable>, CliError> {
        let one = |(index, (provider, name, fields)): (usize, &(&str, &str, &str))| {
            let name = if name.is_empty() { String::new() } else { format!(r#","name":"{name}""#) };
            let text = format!(
                r#"{{"integration_id":"{ID}{:02}","provider":"{provider}","auth_type":"pat","credentials":{fields}{name}}}"#,
                index + 1
            );
            serde_json::from_str(&text).unwrap()
        };
        variables(&credentials.iter().enumerate().map(one).collect::<Vec<Credential>>(), None)
    }

    fn names(credentials: &[(&str, &str, &str)]) -> Vec<String> {
        read(credentials)
            .unwrap_or_else(|error| panic!("{}", error.message))
            .into_iter()
            .map(|one| one.name)
            .collect()
    }

    #[test]
    fn each_field_has_the_name_that_the_table_says() {
        for (provider, name, field, expected) in [
            ("github", "", "token", "GITHUB_TOKEN"),
            ("github", "deploy", "token", "GITHUB_TOKEN"),
            ("jira", "", "base_url", "JIRA_BASE_URL"),
            ("azuredevops", "", "token", "AZURE_DEVOPS_TOKEN"),
            ("azure-devops", "", "token", "AZURE_DEVOPS_TOKEN"),
            ("ai_anthropic", "", "api_key", "ANTHROPIC_API_KEY"),
            ("datadog", "", "app_key", "DATADOG_APP_KEY"),
            ("github_packages", "", "token", "GITHUB_PACKAGES_TOKEN"),
            ("a_new_service", "", "token", "A_NEW_SERVICE_TOKEN"),
            ("custom", "stripe", "value", "STRIPE"),
            ("custom", "stripe live", "secret-key", "STRIPE_LIVE_SECRET_KEY"),
            ("custom", "2fa", "value", "_2FA"),
            ("custom", "", "token", "CUSTOM_TOKEN"),
        ] {
            assert_eq!(names(&[(provider, name, &format!(r#"{{"{field}":"x"}}"#))]), [expected]);
        }
        assert_eq!(names(&[("custom", "db", r#"{"value":"x","user":"y"}"#)]), ["DB_VALUE", "DB_USER"]);
    }

    #[test]
    fn two_values_are_never_one_variable() {
        let one = |fields| vec![("custom", "x", fields)];
        for (credentials, name) in [
            (one(r#"{"a-b":"1","a.b":"2"}"#), "X_A_B"),
            (one(r#"{"a b":"1","c":"3","A_B":"2"}"#), "X_A_B"),
            (one(r#"{"key":"1","Key":"2"}"#), "X_KEY"),
            (one(r#"{"schlüssel":"1","schl_ssel":"2"}"#), "X_SCHL_SSEL"),
            (vec![("github", "", r#"{"token":"1"}"#), ("github", "", r#"{"token":"2"}"#)], "GITHUB_TOKEN"),
            (
                vec![("github", "", r#"{"token":"1"}"#), ("custom", "GitHub", r#"{"token":"2"}"#)],
                "GITHUB_TOKEN",
            ),
            (
                vec![
                    ("custom", "git hub token", r#"{"value":"1"}"#),
                    ("custom", "git", r#"{"hub-token":"2"}"#),
                ],
                "GIT_HUB_TOKEN",
            ),
            (vec![("custom", "a_b", r#"{"c":"1"}"#), ("custom", "a", r#"{"b_c":"2"}"#)], "A_B_C"),
            (
                vec![("azuredevops", "", r#"{"token":"1"}"#), ("azure-devops", "", r#"{"token":"2"}"#)],
                "AZURE_DEVOPS_TOKEN",
            ),
        ] {
            let error = read(&credentials).err().unwrap_or_else(|| panic!("{name} has two values"));
            assert!(
                error.message.starts_with(&format!("two values for {name}: field '")),
                "{}",
                error.message
            );
            for number in 1..=credentials.len() {
                assert!(error.message.contains(&format!("{ID}{number:02}")), "{}", error.message);
            }
        }
    }

    #[test]
    fn one_value_twice_is_one_variable() {
        let twice = [("github", "", r#"{"token":"1"}"#), ("github", "", r#"{"token":"1","user":"u"}"#)];
        assert_eq!(names(&twice), ["GITHUB_TOKEN", "GITHUB_USER"]);
    }

    #[test]
    fn a_member_cannot_store_a_variable_that_steers_the_programs_of_others() {
        for (provider, name, field) in [
            ("custom", "path", "value"),
            ("custom", "LD", "preload"),
            ("custom", "bash env", "value"),
            ("npm", "", "config_registry"),
            ("github", "", "env"),
            ("custom", "sfp.server", "url"),
        ] {
            let error = read(&[(provider, name, &format!(r#"{{"{field}":"x"}}"#))]).err().unwrap();
            assert!(
                error.message.contains("changes how programs run") && error.message.contains(ID),
                "{}",
                error.message
            );
        }
    }

    #[test]
    fn a_field_without_a_letter_has_no_name_and_says_so() {
        for (name, fields) in [("密", r#"{"value":"x"}"#), ("x", r#"{"--":"x"}"#), ("x", r#"{"":"x"}"#)] {
            let error = read(&[("custom", name, fields)]).err().unwrap();
            assert!(error.message.contains("cannot name a variable"), "{}", error.message);
        }
    }
}
