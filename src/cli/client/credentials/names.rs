//! The names of credentials' fields in an environment: one table for `exec` and every format.
//!
//! Guarantees that every disclosed value has one name and every name one value. Knows no format.
//!
//! | field | name |
//! |---|---|
//! | selected by `--env NAME=SELECTOR` of the command | `NAME` |
//! | in the integration's `config.env` | the name there; with `"verbatim"`, the field's own |
//! | in `known` | the name that the provider's own tools read |
//! | of `custom`, and its only field is `value` | `NAME`, of the integration |
//! | of `custom` | `NAME_FIELD` |
//! | any other | `PROVIDER_FIELD`; both spellings of Azure DevOps give `AZURE_DEVOPS` |

use std::collections::HashMap;

use zeroize::Zeroizing;

use super::{
    config_env::ConfigEnv,
    fields::{Field, described, fields, shown},
    inner::secrets_within,
    known,
    selector::Assignment,
    steering::steers,
};
use crate::{
    cli::{client::credential_form, error::CliError},
    client::Credential,
    domain::Provider,
};

/// The only field of a `custom` integration that is one value.
const ONLY_FIELD: &str = "value";
/// Minimum size of a value that a mask may replace.
pub(in crate::cli::client) const MASKED_BYTES_MIN: usize = 4;
/// Maximum number of selectors that a hint lists: as many as a person can compare.
const SHOWN_MAX: usize = 8;

/// A value, under the name that programs read.
pub(in crate::cli::client) struct Variable {
    pub(in crate::cli::client) name: String,
    pub(in crate::cli::client) value: Zeroizing<String>,
    origin: Origin,
}

/// The field and integration of a value.
#[derive(Clone)]
struct Origin {
    integration: String,
    field: String,
}

/// The naming of one command.
pub(in crate::cli::client) struct Naming<'a> {
    /// The name that all credentials share, if the answer omits it.
    pub(in crate::cli::client) asked_name: Option<&'a str>,
    /// `--env` of the command.
    pub(in crate::cli::client) given: &'a [Assignment],
    /// The part of a hint that says what an error prevented.
    pub(in crate::cli::client) prevented: &'static str,
}

/// A disclosed field.
struct Disclosed<'a> {
    credential: &'a Credential,
    label: Option<&'a str>,
    is_only: bool,
    value: Zeroizing<String>,
    origin: Origin,
}

impl Variable {
    /// Returns a variable of no integration, for the fuzz targets.
    #[cfg(any(test, fuzzing))]
    pub(super) fn probed(name: &str, value: Zeroizing<String>) -> Self {
        let origin = Origin { integration: String::new(), field: String::new() };
        Self { name: name.to_owned(), value, origin }
    }

    /// Returns whether the value grants access, and is not only the place or account that it belongs to.
    pub(in crate::cli::client) fn is_secret(&self) -> bool {
        let has_password = self.value.contains("://") && self.value.contains('@');
        let is_word = matches!(self.value.as_str(), "true" | "false" | "null");
        !is_word && (has_password || !credential_form::is_plain(&self.origin.field))
    }

    /// Returns a copy, to be compared with later.
    pub(in crate::cli::client) fn copied(&self) -> Self {
        Self { name: self.name.clone(), value: self.value.clone(), origin: self.origin.clone() }
    }

    /// Returns why the value is not masked, if it is so short that its mask would hide other text too.
    pub(in crate::cli::client) fn unmaskable(&self) -> Option<String> {
        let length = self.value.len();
        (0 < length && length < MASKED_BYTES_MIN).then(|| {
            format!("{} is not masked in the output: masking {length} bytes would hide other text", self.name)
        })
    }

    /// Returns the lines that are long enough for a mask: those of the value, and of the secrets in it if it is JSON.
    pub(in crate::cli::client) fn maskable_lines(&self) -> Vec<Zeroizing<String>> {
        let inner = secrets_within(&self.value);
        let texts = std::iter::once(&self.value).chain(&inner);
        let lines = texts.flat_map(|text| text.split('\n')).map(|line| line.trim_end_matches('\r'));
        let long = lines.filter(|line| line.len() >= MASKED_BYTES_MIN);
        long.map(|line| Zeroizing::new(line.to_owned())).collect()
    }

    /// Returns the field and its integration, as messages name them.
    pub(in crate::cli::client) fn origin(&self) -> String {
        self.origin.text()
    }

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

/// Names every field of all credentials, in order.
///
/// Two equal values of one name become one variable: a program reads the same value either way.
///
/// # Errors
/// A name has two values, a field yields no name, a name steers programs and the command does not give it itself, or a
/// selector of the command matches no field, or two.
pub(in crate::cli::client) fn variables(
    credentials: &[Credential],
    naming: &Naming<'_>,
) -> Result<Vec<Variable>, CliError> {
    let mut disclosed = Vec::new();
    for one in credentials {
        let fields = fields(one)?;
        let (is_only, label) = (fields.len() == 1, one.name.as_deref().or(naming.asked_name));
        disclosed.extend(fields.into_iter().map(|Field { name, value }| Disclosed {
            credential: one,
            label,
            is_only,
            value,
            origin: Origin { integration: described(one), field: name },
        }));
    }
    let given = selected(&disclosed, naming)?;
    let (mut variables, mut known) = (Vec::<Variable>::new(), HashMap::<String, usize>::new());
    for (index, Disclosed { value, origin, .. }) in disclosed.iter().enumerate() {
        let own: Vec<String> =
            given.iter().filter(|(at, _)| *at == index).map(|(_, name)| (*name).to_owned()).collect();
        let names = if own.is_empty() { vec![disclosed[index].name(naming)?] } else { own };
        for name in names {
            match known.get(&name).map(|index| &variables[*index]) {
                Some(earlier) if earlier.value == *value => {}
                Some(earlier) => return Err(clash(&name, &earlier.origin, origin, naming)),
                None => {
                    known.insert(name.clone(), variables.len());
                    variables.push(Variable { name, value: value.clone(), origin: origin.clone() });
                }
            }
        }
    }
    Ok(variables)
}

/// Returns the names that the command gives, each with the index of its field.
fn selected<'a>(disclosed: &[Disclosed<'_>], naming: &Naming<'a>) -> Result<Vec<(usize, &'a str)>, CliError> {
    let select = |one: &'a Assignment| {
        let matches = disclosed.iter().enumerate().filter(|(_, field)| field.matches(&one.selector));
        match matches.collect::<Vec<_>>().as_slice() {
            [(index, _)] => Ok((*index, one.name.as_str())),
            [] => Err(unmatched(one, disclosed, naming)),
            [(_, first), (_, second), ..] => Err(CliError::failed(
                format!("--env {one} matches {} and {}", first.origin.text(), second.origin.text()),
                format!("{}; select one by its integration's id: ID.FIELD", naming.prevented),
            )),
        }
    };
    naming.given.iter().map(select).collect()
}

impl Disclosed<'_> {
    /// Returns whether `PROVIDER.FIELD`, `NAME.FIELD` or `ID.FIELD` selects this field; `NAME` selects an only value.
    fn matches(&self, selector: &str) -> bool {
        let service = |text: &str| text.parse().map(Provider::service);
        let is_whole = self.is_value() && self.label == Some(selector);
        let of = selector.strip_suffix(self.origin.field.as_str()).and_then(|rest| rest.strip_suffix('.'));
        is_whole
            || of.is_some_and(|of| {
                of == self.credential.provider
                    || (service(of).is_ok() && service(of) == service(&self.credential.provider))
                    || self.label == Some(of)
                    || of.eq_ignore_ascii_case(&self.credential.integration_id.to_string())
            })
    }

    /// Returns whether this is the only field of a `custom` integration that is one value.
    fn is_value(&self) -> bool {
        self.credential.provider.parse() == Ok(Provider::Custom)
            && self.is_only
            && self.origin.field == ONLY_FIELD
    }

    fn name(&self, naming: &Naming<'_>) -> Result<String, CliError> {
        let configured = ConfigEnv::of(self.credential)
            .and_then(|env| env.name(&self.origin.field))
            .map_err(|bad| bad.of(&self.origin.text(), naming.prevented))?;
        let name = configured.or_else(|| self.table_name()).ok_or_else(|| nameless(&self.origin, naming))?;
        if steers(&name) { Err(steering(&self.origin, &name, naming)) } else { Ok(name) }
    }

    fn table_name(&self) -> Option<String> {
        let field = self.origin.field.as_str();
        let provider = self.credential.provider.as_str();
        let parsed = provider.parse().map(Provider::service);
        if let Some(name) = parsed.as_ref().ok().and_then(|provider| known::name(*provider, field)) {
            return Some(name.to_owned());
        }
        let prefix = match (parsed, self.label) {
            (Ok(Provider::Custom), Some(label)) if self.is_value() => return identifier(&[label]),
            (Ok(Provider::Custom), Some(label)) => label,
            (Ok(Provider::Azuredevops), _) => Provider::AzureDevops.as_str(),
            _ => provider,
        };
        identifier(&[prefix, field])
    }
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

fn unmatched(one: &Assignment, disclosed: &[Disclosed<'_>], naming: &Naming<'_>) -> CliError {
    let selector = |field: &Disclosed<'_>| {
        let of = match (field.credential.provider.parse(), field.label) {
            (Ok(Provider::Custom), Some(label)) => label,
            _ => &field.credential.provider,
        };
        format!("{}.{}", shown(of), shown(&field.origin.field))
    };
    let mut known: Vec<String> = disclosed.iter().take(SHOWN_MAX).map(selector).collect();
    if disclosed.len() > SHOWN_MAX {
        known.push(format!("{} more", disclosed.len() - SHOWN_MAX));
    }
    CliError::failed(
        format!("--env {one} matches no disclosed field"),
        format!("{}; the fields are {}", naming.prevented, known.join(", ")),
    )
}

fn clash(name: &str, one: &Origin, other: &Origin, naming: &Naming<'_>) -> CliError {
    let remedy = if one.integration == other.integration {
        "rename a field with `sealroom integration rotate`, or one variable with --env NAME=PROVIDER.FIELD"
    } else {
        "narrow it with --provider, --name or --project, or rename one with --env NAME=ID.FIELD"
    };
    let hint = format!("{}; {remedy}", naming.prevented);
    CliError::failed(format!("two values for {name}: {} and {}", one.text(), other.text()), hint)
}

fn nameless(origin: &Origin, naming: &Naming<'_>) -> CliError {
    CliError::failed(
        format!("{} cannot name a variable: it has no ASCII letter or digit", origin.text()),
        format!("{}; name it with --env NAME=ID.FIELD, or rename the integration or field", naming.prevented),
    )
}

fn steering(origin: &Origin, name: &str, naming: &Naming<'_>) -> CliError {
    CliError::failed(
        format!("{} would be {name}, a variable that changes how programs run", origin.text()),
        format!(
            "{}; rename the integration or the field, or set it yourself: --env {name}=ID.FIELD",
            naming.prevented
        ),
    )
}

#[cfg(test)]
mod tests;
