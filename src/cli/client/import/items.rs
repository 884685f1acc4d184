//! The integrations that an input asks for.

use std::collections::HashSet;

use serde_json::value::{RawValue, to_raw_value};
use zeroize::Zeroizing;

use super::{
    format::{Content, Found, Values, shortened, twice},
    found::{Unreadable, push_string},
    own::{Entry, Own},
    providers::KNOWN,
};
use crate::{
    api::strict,
    cli::{
        client::{
            credentials::{is_variable, steers},
            pair::Pair,
        },
        error::CliError,
    },
    client::Scope,
    domain::{AuthType, Name, Provider, Secret, Timestamp},
};

/// The only field of an integration that is one value.
const ONLY_FIELD: &str = "value";
/// Maximum number of refused names that an error lists.
const REFUSED_SHOWN_MAX: usize = 20;

/// An integration to be there after the import.
pub(super) struct Wanted<'a> {
    pub(super) name: Option<String>,
    pub(super) provider: String,
    pub(super) auth_type: String,
    pub(super) scope: Scope,
    pub(super) config: Option<Box<RawValue>>,
    /// `true` if a stored config has to agree; another tool's import only gives a new integration one.
    pub(super) is_config_kept: bool,
    pub(super) is_canary: bool,
    /// The revisions, the oldest first; never empty.
    pub(super) revisions: Vec<Revision<'a>>,
}

/// One revision.
pub(super) struct Revision<'a> {
    pub(super) credentials: Credentials<'a>,
    pub(super) expires_at: Option<Timestamp>,
}

/// A credential's JSON.
pub(super) enum Credentials<'a> {
    /// A part of the input.
    Input(&'a str),
    /// Made of the input's values.
    Made(Secret),
}

impl Credentials<'_> {
    pub(super) fn json(&self) -> &str {
        match self {
            Self::Input(json) => json,
            Self::Made(secret) => secret.expose_text().expect("it is made of texts"),
        }
    }

    /// Returns a copy to send.
    pub(super) fn copied(&self) -> Secret {
        Secret::new(self.json().as_bytes().to_vec())
    }
}

/// A value that is not imported, and why.
pub(super) struct Skipped {
    pub(super) name: String,
    pub(super) reason: &'static str,
}

/// The flags that say what becomes of another tool's values.
pub(super) struct Plan {
    pub(super) scope: Scope,
    /// Makes all values the fields of one integration of this name or pair.
    pub(super) name: Option<String>,
    pub(super) pair: Option<Pair>,
}

/// Returns the integrations of an export.
///
/// # Errors
/// An expiry is no time, or a credential is no object of JSON that a vault stores.
pub(super) fn of_export<'a>(own: &Own<'a>) -> Result<Vec<Wanted<'a>>, Unreadable> {
    own.integrations.iter().map(exported).collect()
}

fn exported<'a>(entry: &Entry<'a>) -> Result<Wanted<'a>, Unreadable> {
    let Entry { integration: of, revisions } = entry;
    let mut kept = Vec::with_capacity(revisions.len());
    for one in revisions.iter().rev() {
        // The vault would refuse it after what comes before it in the input is stored.
        let is_stored = strict::check(one.credentials.get().as_bytes()).is_ok();
        if !is_stored || !one.credentials.get().starts_with('{') {
            return Err(Unreadable::whole("has a credential that no vault exported"));
        }
        let credentials = Credentials::Input(one.credentials.get());
        kept.push(Revision { credentials, expires_at: one.expiry()? });
    }
    Ok(Wanted {
        name: of.name.clone(),
        provider: of.provider.clone(),
        auth_type: of.auth_type.clone(),
        scope: if of.is_global { Scope::Global } else { Scope::Projects(of.projects.clone()) },
        config: (of.config.get() != "{}").then(|| of.config.to_owned()),
        is_config_kept: true,
        is_canary: of.canary,
        revisions: kept,
    })
}

/// Returns the integrations of another tool's values, and what is left out.
///
/// # Errors
/// A name breaks a rule, or the values of one secret have no name.
pub(super) fn of_tool(values: Values, plan: &Plan) -> Result<(Vec<Wanted<'static>>, Vec<Skipped>), CliError> {
    if plan.name.is_some() || plan.pair.is_some() {
        return Ok((vec![together(values.found, plan)?], Vec::new()));
    }
    if values.is_one_secret {
        return Err(CliError::usage(
            "the output of Vault has the fields of one secret, and not its name",
            "pass --name NAME, or --provider PROVIDER/TYPE if they are the fields of that pair",
        ));
    }
    let (found, skipped) = sifted(values.found);
    let (mut wanted, rest) = of_providers(found, &plan.scope);
    check_names(rest.iter().map(|one| one.name.as_str()))?;
    wanted.extend(rest.into_iter().map(|one| custom(one, &plan.scope)));
    Ok((wanted, skipped))
}

/// Makes all values the fields of one integration.
fn together(found: Vec<Found>, plan: &Plan) -> Result<Wanted<'static>, CliError> {
    let mut fields = Vec::new();
    for Found { name, content } in found {
        match content {
            Content::One(value) => fields.push((name, value)),
            Content::Several(inner) => {
                fields.extend(inner.into_iter().map(|(field, value)| (format!("{name}_{field}"), value)));
            }
        }
    }
    // Joined with the group before it, a field may have the name of another.
    let mut names = HashSet::new();
    if let Some((field, _)) = fields.iter().find(|(field, _)| !names.insert(field.as_str())) {
        return Err(twice(field, "the input"));
    }
    check_names(plan.name.iter().map(String::as_str))?;
    let pair = plan.pair.unwrap_or(Pair { provider: Provider::Custom, auth_type: AuthType::ApiKey });
    if pair.provider == Provider::Custom && plan.name.is_none() {
        return Err(CliError::usage("a custom integration needs a name", "pass --name NAME"));
    }
    // Names of variables stay what they are; other fields get the integration's name before them.
    let is_environment = |(name, _): &(String, _)| is_variable(name) && !name.contains(char::is_lowercase);
    let is_verbatim = pair.provider == Provider::Custom
        && fields.iter().all(is_environment)
        && !fields.iter().any(|(name, _)| steers(name));
    let config = is_verbatim.then(|| env(&serde_json::json!("verbatim"))).flatten();
    Ok(wanted(plan.name.clone(), pair, &fields, &plan.scope, config))
}

/// Leaves out what is empty, and what would steer the programs that run with it.
fn sifted(found: Vec<Found>) -> (Vec<Found>, Vec<Skipped>) {
    let reason = |one: &Found| match &one.content {
        Content::One(value) if value.is_empty() => Some("empty"),
        Content::Several(fields) if fields.is_empty() => Some("empty"),
        Content::One(_) if steers(&one.name) => Some("steers programs"),
        Content::One(_) | Content::Several(_) => None,
    };
    let (mut kept, mut skipped) = (Vec::new(), Vec::new());
    for one in found {
        match reason(&one) {
            Some(reason) => skipped.push(Skipped { name: one.name, reason }),
            None => kept.push(one),
        }
    }
    (kept, skipped)
}

/// Takes out the variables that make a provider's credential.
fn of_providers(mut found: Vec<Found>, scope: &Scope) -> (Vec<Wanted<'static>>, Vec<Found>) {
    let mut made = Vec::new();
    for known in KNOWN {
        let has = |found: &[Found], variable: &str| {
            found.iter().any(|one| one.name == variable && matches!(one.content, Content::One(_)))
        };
        if !known.needed.iter().all(|(variable, _)| has(&found, variable)) {
            continue;
        }
        let mut fields = Vec::new();
        for (variable, field) in known.needed.iter().chain(known.further) {
            let at = found.iter().position(|one| one.name == *variable);
            if let Some(at) = at.filter(|at| matches!(found[*at].content, Content::One(_)))
                && let Content::One(value) = found.remove(at).content
            {
                fields.push(((*field).to_owned(), value));
            }
        }
        let pair = Pair { provider: known.provider, auth_type: known.auth_type };
        let name = known.needed[0].0.to_owned();
        made.push(wanted(Some(name), pair, &fields, scope, None));
    }
    (made, found)
}

fn custom(Found { name, content }: Found, scope: &Scope) -> Wanted<'static> {
    let pair = Pair { provider: Provider::Custom, auth_type: AuthType::ApiKey };
    match content {
        Content::One(value) => {
            // Another spelling would come out in capitals.
            let config = (is_variable(&name) && name.contains(char::is_lowercase))
                .then(|| env(&serde_json::json!({ ONLY_FIELD: name })))
                .flatten();
            wanted(Some(name), pair, &[(ONLY_FIELD.to_owned(), value)], scope, config)
        }
        Content::Several(fields) => wanted(Some(name), pair, &fields, scope, None),
    }
}

fn env(names: &serde_json::Value) -> Option<Box<RawValue>> {
    to_raw_value(&serde_json::json!({ "env": names })).ok()
}

fn wanted(
    name: Option<String>,
    pair: Pair,
    fields: &[(String, Zeroizing<String>)],
    scope: &Scope,
    config: Option<Box<RawValue>>,
) -> Wanted<'static> {
    let credentials = Credentials::Made(object(fields));
    Wanted {
        name,
        provider: pair.provider.to_string(),
        auth_type: pair.auth_type.to_string(),
        scope: scope.clone(),
        config,
        is_config_kept: false,
        is_canary: false,
        revisions: vec![Revision { credentials, expires_at: None }],
    }
}

/// Writes a JSON object into a buffer that never grows: growing would leave unwiped copies.
fn object(fields: &[(String, Zeroizing<String>)]) -> Secret {
    let bytes: usize = fields.iter().map(|(name, value)| (name.len() + value.len()) * 6 + 6).sum();
    let mut json = String::with_capacity(bytes + 2);
    json.push('{');
    for (index, (name, value)) in fields.iter().enumerate() {
        json.push_str(if index > 0 { "," } else { "" });
        push_string(name, &mut json);
        json.push(':');
        push_string(value, &mut json);
    }
    json.push('}');
    Secret::from(json)
}

/// Checks all names before anything is stored.
fn check_names<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), CliError> {
    let refused: Vec<String> = names.filter(|name| name.parse::<Name>().is_err()).map(shortened).collect();
    if refused.is_empty() {
        return Ok(());
    }
    let more = refused.len().saturating_sub(REFUSED_SHOWN_MAX);
    let mut listed =
        refused[..refused.len() - more].iter().map(|name| format!("'{name}'")).collect::<Vec<_>>();
    listed.extend((more > 0).then(|| format!("{more} more")));
    Err(CliError::failed(
        format!("these cannot be names of integrations: {}", listed.join(", ")),
        "a name has 1 to 100 characters, none of them a control character; nothing was changed",
    ))
}

#[cfg(test)]
mod tests;
