//! The steps of an import: each wanted integration beside the one that is stored under its name.
//!
//! Two are the same if provider, type, name and scope agree, and both or neither is a canary. Several of one such key are matched in their order, the
//! oldest first, so that an export without names finds its own again.

use std::collections::{HashMap, VecDeque};

use super::{
    items::{Revision, Wanted},
    own::{self, Entry},
    same::same,
};
use crate::{
    cli::{
        client::{client_error::REGISTER, near, remote::Remote},
        error::CliError,
        terminal::{progress::Progress, visible::on_one_line},
    },
    client::{Integration, Scope},
    domain::{IntegrationId, Provider},
};

/// One wanted integration, and what is to be done.
pub(super) struct Step<'a> {
    pub(super) wanted: Wanted<'a>,
    pub(super) what: What,
    /// The stored integration whose config differs.
    pub(super) config_of: Option<IntegrationId>,
}

/// The work on a credential.
pub(super) enum What {
    New,
    /// Rotates to the revisions from this index on, over this current revision.
    Rotate {
        id: IntegrationId,
        current: u64,
        from: usize,
    },
    Same,
}

impl Step<'_> {
    /// Returns whether nothing is to be done.
    pub(super) const fn is_same(&self) -> bool {
        matches!(self.what, What::Same) && self.config_of.is_none()
    }
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    provider: Option<Provider>,
    auth_type: String,
    name: Option<String>,
    projects: Option<Vec<String>>,
    /// Nothing makes a canary of a stored integration, or the reverse.
    is_canary: bool,
}

/// Compares all wanted integrations with those that are stored.
///
/// # Errors
/// The caller may not list or read them, or a tool's value matches several.
pub(super) async fn steps<'a>(wanted: Vec<Wanted<'a>>, remote: &Remote) -> Result<Vec<Step<'a>>, CliError> {
    let mut stored = HashMap::<Key, VecDeque<Integration>>::new();
    for one in remote.client.integrations(None, None).await?.into_iter().rev() {
        stored.entry(key_of(&one)).or_default().push_back(one);
    }
    let progress = Progress::entries("comparing", &remote.output);
    let (total, mut steps) = (wanted.len() as u64, Vec::with_capacity(wanted.len()));
    for one in wanted {
        let others = stored.get_mut(&key(&one));
        if let Some(others) = others.as_ref().filter(|others| others.len() > 1 && !one.is_config_kept) {
            return Err(ambiguous(&one, others));
        }
        let step = match others.and_then(VecDeque::pop_front) {
            None => Step { wanted: one, what: What::New, config_of: None },
            Some(stored) => compared(one, &stored, remote).await?,
        };
        steps.push(step);
        progress.reach(steps.len() as u64, total);
    }
    Ok(steps)
}

/// Checks that the projects of a tool's values are registered.
///
/// # Errors
/// One is not.
pub(super) async fn check_projects(scope: &Scope, remote: &Remote) -> Result<(), CliError> {
    if scope.projects().is_empty() {
        return Ok(());
    }
    let known = remote.client.projects().await?;
    let is_known = |project: &str| known.iter().any(|one| one.identifier == project);
    let Some(unknown) = scope.projects().iter().find(|project| !is_known(project)) else { return Ok(()) };
    let nearest = near::nearest(unknown, known.iter().map(|one| one.identifier.as_str()));
    let hint = nearest
        .map_or_else(|| REGISTER.to_owned(), |nearest| format!("did you mean '{nearest}'? {REGISTER}"));
    Err(CliError::failed(format!("project '{}' is not registered", on_one_line(unknown)), hint))
}

async fn compared<'a>(
    wanted: Wanted<'a>,
    stored: &Integration,
    remote: &Remote,
) -> Result<Step<'a>, CliError> {
    // One revision suffices where the input has but one: reading discloses, and each is an event.
    let limit = (wanted.revisions.len() == 1).then_some(1);
    let read = remote.client.revisions(stored.id, limit).await?;
    // As text, since a parsed config has lost the spelling of its numbers.
    let entry: Result<Entry<'_>, _> = serde_json::from_slice(read.body.expose());
    let Ok(Entry { integration, revisions: mut kept }) = entry else {
        return Err(CliError::failed("the answer has no revisions", "check the URL in --server"));
    };
    kept.reverse();
    let what = what(&wanted, (stored.id, integration.revision), &kept);
    let differs = wanted.is_config_kept
        && !same(wanted.config.as_ref().map_or("{}", |config| config.get()), integration.config.get());
    Ok(Step { wanted, what, config_of: differs.then_some(stored.id) })
}

/// Decides by the stored revisions, the oldest first; `of` is the stored integration and its current revision.
fn what(wanted: &Wanted<'_>, of: (IntegrationId, u64), kept: &[own::Revision<'_>]) -> What {
    let agrees = |(wanted_one, kept): (&Revision<'_>, &own::Revision<'_>)| {
        same(wanted_one.credentials.json(), kept.credentials.get())
            && (!wanted.is_config_kept || kept.expiry().is_ok_and(|end| end == wanted_one.expires_at))
    };
    let rotate = |from| What::Rotate { id: of.0, current: of.1, from };
    let revisions = &wanted.revisions;
    // An import that was interrupted between two revisions goes on from there.
    if kept.len() < revisions.len() && revisions.iter().zip(kept).all(agrees) {
        return rotate(kept.len());
    }
    match (revisions.last(), kept.last()) {
        (Some(wanted), Some(kept)) if agrees((wanted, kept)) => What::Same,
        _ => rotate(revisions.len().saturating_sub(1)),
    }
}

fn key(one: &Wanted<'_>) -> Key {
    let projects = match &one.scope {
        Scope::Global => None,
        Scope::Projects(projects) => Some(sorted(projects)),
    };
    Key {
        provider: one.provider.parse().map(Provider::service).ok(),
        auth_type: one.auth_type.clone(),
        name: one.name.clone(),
        projects,
        is_canary: one.is_canary,
    }
}

fn key_of(one: &Integration) -> Key {
    Key {
        provider: one.provider.parse().map(Provider::service).ok(),
        auth_type: one.auth_type.clone(),
        name: one.name.clone(),
        projects: (!one.is_global).then(|| sorted(&one.projects)),
        is_canary: one.canary,
    }
}

fn sorted(projects: &[String]) -> Vec<String> {
    let mut projects = projects.to_vec();
    projects.sort_unstable();
    projects
}

fn ambiguous(wanted: &Wanted<'_>, stored: &VecDeque<Integration>) -> CliError {
    let ids: Vec<String> = stored.iter().map(|one| one.id.to_string()).collect();
    let name = wanted.name.as_deref().unwrap_or(&wanted.provider);
    CliError::failed(
        format!("{} stored integrations have the name '{}' and this scope", ids.len(), on_one_line(name)),
        format!("rename or delete all but one of {}; nothing was changed", ids.join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::import::items::Credentials;

    fn wanted(values: &[&'static str]) -> Wanted<'static> {
        let revision =
            |value: &&'static str| Revision { credentials: Credentials::Input(value), expires_at: None };
        Wanted {
            name: None,
            provider: "github".to_owned(),
            auth_type: "pat".to_owned(),
            scope: Scope::Global,
            config: None,
            is_config_kept: true,
            is_canary: false,
            revisions: values.iter().map(revision).collect(),
        }
    }

    fn decided(wanted_values: &[&'static str], kept: &[&str]) -> Option<usize> {
        let id = "01a21198-0ea8-7d5a-987c-6ee7878c59a0".parse().unwrap();
        let texts: Vec<String> = kept
            .iter()
            .map(|value| format!(r#"{{"revision":1,"expiresAt":null,"credentials":{value}}}"#))
            .collect();
        let kept: Vec<own::Revision<'_>> =
            texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        match what(&wanted(wanted_values), (id, 7), &kept) {
            What::Rotate { current: 7, from, .. } => Some(from),
            What::Same => None,
            What::New | What::Rotate { .. } => panic!("it is stored"),
        }
    }

    #[test]
    fn only_what_differs_is_rotated_and_an_interrupted_import_goes_on() {
        let (a, b, c) = (r#"{"t":"a"}"#, r#"{"t":"b"}"#, r#"{"t":"c"}"#);
        for (wanted, kept, from) in [
            (&[a][..], &[a][..], None),
            (&[a], &[r#"{ "t" : "a" }"#], None),
            (&[a], &[b], Some(0)),
            (&[a, b, c], &[a, b, c], None),
            (&[a, b, c], &[a], Some(1)),
            (&[a, b, c], &[a, b], Some(2)),
            (&[a, b, a], &[a], Some(1)),
            (&[a, b, a], &[a, b, a], None),
            (&[a, b, c], &[b], Some(2)),
            (&[a, b, c], &[c], None),
            (&[a, b], &[c, a, b], None),
            (&[a, b], &[a, b, c], Some(1)),
        ] {
            assert_eq!(decided(wanted, kept), from, "{wanted:?} {kept:?}");
        }
    }
}
