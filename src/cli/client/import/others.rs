//! The projects and users of an export. A stored one is never changed, except that a user who was disabled is
//! disabled again: an import gives nobody a right that a stored row does not give.

use serde_json::value::to_raw_value;

use super::{
    own::{Own, Project, User},
    same::same,
};
use crate::{
    cli::{client::remote::Remote, error::CliError},
    client::{self, Error, Listing, NewProject, NewUser, UserChange},
};

/// The work on a project or user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Other {
    New,
    Disable,
    Same,
    /// It is stored with other properties, which stay.
    Differs,
}

/// The projects and users, in the order in which they are made.
pub(super) struct Others<'a> {
    pub(super) projects: Vec<(&'a Project<'a>, Other)>,
    pub(super) users: Vec<(&'a User, Other)>,
}

impl Others<'_> {
    /// Returns the number of projects and users to be made or changed.
    pub(super) fn count(&self) -> usize {
        let all = self.projects.iter().map(|one| one.1).chain(self.users.iter().map(|one| one.1));
        all.filter(|what| matches!(what, Other::New | Other::Disable)).count()
    }
}

/// Compares the projects and users of an export with those that are stored.
///
/// # Errors
/// The caller may not list them.
pub(super) async fn compare<'a>(own: &'a Own<'a>, remote: &Remote) -> Result<Others<'a>, CliError> {
    // As text, since a parsed configuration has lost the spelling of its numbers.
    let body = remote.client.listing(Listing::Projects).await?;
    let Ok(projects) = serde_json::from_slice::<Vec<Project<'_>>>(body.expose()) else {
        return Err(CliError::failed("the answer has no projects", "check the URL in --server"));
    };
    let users = remote.client.users().await?;
    let caller = remote.client.own_user().await?.email;
    let project = |one: &'a Project<'a>| {
        let stored = projects.iter().find(|stored| stored.identifier == one.identifier);
        (one, stored.map_or(Other::New, |stored| of_project(one, stored)))
    };
    let user = |one: &'a User| {
        let stored = users.iter().find(|stored| stored.email.eq_ignore_ascii_case(&one.email));
        let what = match stored {
            None => Other::New,
            Some(stored) => of_user(one, stored, &caller),
        };
        (one, what)
    };
    Ok(Others {
        projects: own.projects.iter().map(project).collect(),
        users: own.users.iter().map(user).collect(),
    })
}

fn of_project(one: &Project<'_>, stored: &Project<'_>) -> Other {
    let is_same = one.remote_url == stored.remote_url
        && one.platform == stored.platform
        && same(one.configuration.get(), stored.configuration.get());
    if is_same { Other::Same } else { Other::Differs }
}

fn of_user(one: &User, stored: &client::User, caller: &str) -> Other {
    let is_same = one.role == stored.role
        && one.projects == stored.projects
        && one.first_name == stored.first_name
        && one.last_name == stored.last_name;
    match (is_same, one.disabled, stored.disabled) {
        (true, wanted, is) if wanted == is => Other::Same,
        (_, true, false) if !stored.email.eq_ignore_ascii_case(caller) => Other::Disable,
        _ => Other::Differs,
    }
}

/// Registers a project.
///
/// # Errors
/// The server refuses it.
pub(super) async fn make_project(one: &Project<'_>, remote: &Remote) -> Result<(), Error> {
    let new = NewProject {
        identifier: one.identifier.clone(),
        remote_url: one.remote_url.clone(),
        platform: Some(one.platform.clone()),
        configuration: to_raw_value(one.configuration).ok().filter(|config| config.get() != "{}"),
    };
    remote.client.create_project(&new).await.map(drop)
}

/// Makes a user without a password that anybody knows, or disables one.
///
/// # Errors
/// The server refuses it.
pub(super) async fn make_user(one: &User, what: Other, remote: &Remote) -> Result<(), Error> {
    if what == Other::New {
        let new = NewUser {
            email: one.email.clone(),
            role: one.role.clone(),
            first_name: one.first_name.clone(),
            last_name: one.last_name.clone(),
            password: None,
            // All of them are named too: a server may have another default.
            projects: Some(one.projects.clone()),
        };
        // The generated password is dropped unseen: an owner sets one, or the user is told one.
        drop(remote.client.create_user(&new).await?);
    }
    if one.disabled {
        let change = UserChange { disabled: Some(true), ..UserChange::default() };
        remote.client.change_user(&one.email, &change).await?;
    }
    Ok(())
}
