//! Carries out the steps of an import, one request after the other. What is done stays done: a repeat finds it.

use super::{
    items::Wanted,
    others::{Other, Others, make_project, make_user},
    plan::{Step, What},
};
use crate::{
    cli::{
        client::{remote::Remote, shadows},
        error::CliError,
        terminal::{progress::Progress, visible::on_one_line},
    },
    client::{Error, Expired, NewIntegration},
    domain::IntegrationId,
};

/// Makes projects, users and integrations, in this order.
///
/// # Errors
/// The first refusal, with the number of entries that are done.
pub(super) async fn apply(
    steps: &[Step<'_>],
    others: Option<&Others<'_>>,
    remote: &Remote,
) -> Result<(), CliError> {
    let total = others.map_or(0, Others::count) + steps.iter().filter(|step| !step.is_same()).count();
    let mut run = Run { done: 0, total, progress: Progress::entries("importing", &remote.output) };
    for (project, what) in others.iter().flat_map(|others| &others.projects) {
        if *what == Other::New {
            run.count(&project.identifier, make_project(project, remote).await)?;
        }
    }
    for (user, what) in others.iter().flat_map(|others| &others.users) {
        if matches!(what, Other::New | Other::Disable) {
            run.count(&user.email, make_user(user, *what, remote).await)?;
        }
    }
    for step in steps.iter().filter(|step| !step.is_same()) {
        let name = step.wanted.name.as_ref().unwrap_or(&step.wanted.provider);
        run.count(name, take(step, remote).await)?;
    }
    Ok(())
}

struct Run {
    done: usize,
    total: usize,
    progress: Progress,
}

impl Run {
    fn count(&mut self, name: &str, outcome: Result<(), Error>) -> Result<(), CliError> {
        let (done, total) = (self.done, self.total);
        outcome.map_err(|error| {
            let CliError { message, hint, code, exit } = error.into();
            let hint = format!("{done} of {total} are done, and a repeat finishes the rest: {hint}");
            CliError { message: format!("{}: {message}", on_one_line(name)), hint, code, exit }
        })?;
        self.done += 1;
        self.progress.reach(self.done as u64, self.total as u64);
        Ok(())
    }
}

async fn take(step: &Step<'_>, remote: &Remote) -> Result<(), Error> {
    let wanted = &step.wanted;
    match step.what {
        What::New => {
            let made = create(wanted, remote).await?;
            rotate(wanted, made, 1, 1, remote).await?;
        }
        What::Rotate { id, current, from } => rotate(wanted, id, current, from, remote).await?,
        What::Same => {}
    }
    let Some(id) = step.config_of else { return Ok(()) };
    remote.client.replace_config(id, wanted.config.as_deref()).await.map(drop)
}

async fn create(wanted: &Wanted<'_>, remote: &Remote) -> Result<IntegrationId, Error> {
    let first = &wanted.revisions[0];
    let new = NewIntegration {
        provider: wanted.provider.clone(),
        auth_type: wanted.auth_type.clone(),
        credentials: first.credentials.copied(),
        scope: wanted.scope.clone(),
        name: wanted.name.clone(),
        expires_at: first.expires_at,
        expired: Expired::Allowed,
        config: wanted.config.clone(),
        is_canary: wanted.is_canary,
    };
    let made = remote.client.create_integration(&new).await?;
    // An export brings its own order of reading with it; a tool's value may hide one that is stored.
    if !wanted.is_config_kept {
        shadows::warn(&made, remote).await;
    }
    Ok(made.id)
}

/// Rotates to the revisions from `from` on; a rotation by somebody else meanwhile is a refusal, not a loss.
async fn rotate(
    wanted: &Wanted<'_>,
    id: IntegrationId,
    mut current: u64,
    from: usize,
    remote: &Remote,
) -> Result<(), Error> {
    for one in &wanted.revisions[from..] {
        let (credentials, end) = (one.credentials.copied(), (one.expires_at, Expired::Allowed));
        current = remote.client.rotate_to(id, Some(current), &credentials, end).await?.revision;
    }
    Ok(())
}
