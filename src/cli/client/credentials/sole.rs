//! `--field`: one value of the only credential that matches.
//!
//! If the caller may list metadata, as owners may, several matches are detected without a disclosure. For all others
//! the contract has no route that counts: they read at most one credential, and its answer says whether more follow.
//! Only the credential itself has the names of its fields, so "no such field" always costs that one read.

use std::collections::HashSet;

use zeroize::Zeroizing;

use super::{
    fields::{described, fields, shown},
    pages::report,
};
use crate::{
    cli::{
        client::remote::{Remote, Speaker},
        error::CliError,
    },
    client::{Credential, CredentialFilter, Integration},
    domain::Provider,
};

/// The hint that narrows the matches to one.
const NARROW: &str = "narrow it with --provider, --name or --project";
/// Maximum number of matches that a message names: as many as a person can compare.
const SHOWN_MAX: usize = 5;

/// Returns the value of `field` in the one credential that matches.
pub(super) async fn read(
    remote: &Remote,
    filter: &CredentialFilter,
    field: &str,
) -> Result<Zeroizing<String>, CliError> {
    refuse_several(remote, filter).await?;
    let page = remote.client.credentials_page(filter, 1, None).await?;
    report(&page, remote);
    let items = page.items()?;
    match items.as_slice() {
        [one] if page.next.is_none() => value(one, field),
        [] => Err(CliError::failed("the answer contains no credential", "check the URL in --server")),
        [newest, ..] => Err(CliError::failed(
            "more than one credential matches, but --field prints only one",
            format!("{NARROW}; {}, the newest, was read for this and is recorded", described(newest)),
        )),
    }
}

fn value(one: &Credential, field: &str) -> Result<Zeroizing<String>, CliError> {
    let mut fields = fields(one)?;
    if let Some(at) = fields.iter().position(|known| known.name == field) {
        return Ok(fields.swap_remove(at).value);
    }
    let known: Vec<String> = fields.iter().map(|known| shown(&known.name)).collect();
    Err(CliError::failed(
        format!("the credential has no field '{}'", shown(field)),
        format!("it has {}", known.join(", ")),
    ))
}

/// Fails if the owner's metadata shows several matches.
async fn refuse_several(remote: &Remote, filter: &CredentialFilter) -> Result<(), CliError> {
    // Skip the count for a caller that may not list metadata: each refusal is an event in the log.
    if remote.speaker != Speaker::User || remote.client.own_user().await?.role != "owner" {
        return Ok(());
    }
    // Without the name filter: an integration of another name can hide a global one of this name.
    let stored = remote.client.integrations(filter.provider.as_deref(), None).await?;
    let found = matching(&stored, filter);
    if found.len() < 2 {
        return Ok(());
    }
    if let Some(project) = &filter.project {
        // A missing project is the cause to report.
        remote.client.project(project).await?;
    }
    let mut shown: Vec<String> = found.iter().take(SHOWN_MAX).map(|one| describe(one)).collect();
    if found.len() > SHOWN_MAX {
        shown.push(format!("and {} more", found.len() - SHOWN_MAX));
    }
    Err(CliError::failed(
        format!("{} credentials match, but --field prints only one: {}", found.len(), shown.join(", ")),
        format!("{NARROW}; none was read"),
    ))
}

fn describe(one: &Integration) -> String {
    let name = one.name.as_ref().map(|name| format!(" ({})", shown(name))).unwrap_or_default();
    format!("{}/{} {}{name}", shown(&one.provider), shown(&one.auth_type), one.id)
}

/// Returns the integrations that a read would disclose: a project's own, else the global ones, group by group (contract
/// §3).
fn matching<'a>(stored: &'a [Integration], filter: &CredentialFilter) -> Vec<&'a Integration> {
    let owns =
        |one: &Integration| filter.project.as_ref().is_none_or(|project| one.projects.contains(project));
    let own: HashSet<_> = stored.iter().filter(|one| owns(one)).map(group).collect();
    let is_read = |one: &&Integration| {
        let is_fallback = filter.project.is_some() && one.is_global && !own.contains(&group(one));
        (owns(one) || is_fallback) && filter.name.as_ref().is_none_or(|name| one.name.as_ref() == Some(name))
    };
    stored.iter().filter(is_read).collect()
}

/// Returns the group of interchangeable integrations: those of one service and, for `custom`, also of one name.
fn group(one: &Integration) -> (String, Option<&str>) {
    let provider = one.provider.parse().map(Provider::service);
    let name = if provider == Ok(Provider::Custom) { one.name.as_deref() } else { None };
    (provider.map_or_else(|_| one.provider.clone(), |service| service.to_string()), name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(provider: &str, name: Option<&str>, projects: &[&str]) -> Integration {
        let text = serde_json::json!({
            "id": "01a21198-0ea8-7d5a-987c-6ee7878c59a0", "provider": provider, "authType": "pat", "name": name,
            "isGlobal": projects.is_empty(), "projects": projects, "config": {}, "expiresAt": null, "revision": 1,
            "createdAt": "2026-11-24T10:00:00.000Z", "createdBy": "user:ada@example.com",
            "updatedAt": "2026-11-24T10:00:00.000Z", "lastAccessedAt": null, "lastAccessedBy": null,
        });
        serde_json::from_value(text).unwrap()
    }

    fn count(stored: &[Integration], project: Option<&str>, name: Option<&str>) -> usize {
        let filter = CredentialFilter {
            provider: None,
            project: project.map(str::to_owned),
            name: name.map(str::to_owned),
        };
        matching(stored, &filter).len()
    }

    #[test]
    fn the_metadata_of_an_owner_is_selected_as_a_read_selects() {
        let all = [
            stored("github", None, &["acme/app"]),
            stored("github", Some("deploy"), &[]),
            stored("azuredevops", None, &["acme/app"]),
            stored("azure-devops", Some("deploy"), &[]),
            stored("custom", Some("a"), &["acme/app"]),
            stored("custom", Some("a"), &[]),
            stored("custom", Some("b"), &[]),
        ];
        assert_eq!(count(&all, None, None), 7, "everything");
        assert_eq!(count(&all, Some("acme/app"), None), 4, "its own, and the global custom b");
        assert_eq!(count(&all, Some("acme/web"), None), 4, "the global ones");
        assert_eq!(count(&all, Some("acme/app"), Some("deploy")), 0, "its own hide those of that name");
        assert_eq!(count(&all, Some("acme/web"), Some("deploy")), 2);
        assert_eq!(count(&all, Some("acme/app"), Some("a")), 1);
        assert_eq!(count(&all, None, Some("a")), 2);
    }
}
