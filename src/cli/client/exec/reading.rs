//! The read of `exec`: everything or nothing, named.

use crate::{
    cli::{
        client::{
            credentials::{Assignment, Naming, Pages, Variable, variables, with_suggestion},
            remote::{Need, ServerArgs},
        },
        error::CliError,
        runtime::block_on,
        terminal::output::Output,
    },
    client::CredentialFilter,
};

/// Says in hints what an error prevented.
pub(super) const PREVENTED: &str = "the command was not started";

/// The read of one `exec`, which `--watch` repeats.
pub(super) struct Reading {
    pub(super) server: ServerArgs,
    pub(super) filter: CredentialFilter,
    pub(super) env: Vec<Assignment>,
    /// The user chose a project, or all of them.
    pub(super) has_projects: bool,
}

impl Reading {
    /// Reads on a runtime of its own, which ends before the program begins.
    pub(super) fn read_first(&self, output: Output) -> Result<Vec<Variable>, CliError> {
        block_on(self.read(output, |count| {
            if count > 1 && !self.has_projects {
                output.warning(&format!(
                    "no project was given: {count} credentials were read, of every project that this caller may read; \
                     pass --project PROJECT, or --all to mean them"
                ));
            }
        }))
    }

    /// Reads again for `--watch`, on a runtime of its own.
    pub(super) fn read_again(&self, output: Output) -> Result<Vec<Variable>, CliError> {
        block_on(self.read(output, |_| ()))
    }

    async fn read(&self, output: Output, tell: impl Fn(usize)) -> Result<Vec<Variable>, CliError> {
        let remote = self.server.connect(Need::Token, output)?;
        let pages = Pages::new(&remote, &self.filter);
        let naming = Naming { asked_name: pages.asked_name(), given: &self.env, prevented: PREVENTED };
        match pages.all().await {
            Ok(credentials) => {
                tell(credentials.len());
                variables(&credentials, &naming)
            }
            Err(error) => Err(with_suggestion(error, &self.filter, &remote).await),
        }
    }
}
