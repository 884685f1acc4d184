//! `sealroom project`.

use clap::Subcommand;
use serde_json::json;

use super::{
    group::GroupArgs,
    near,
    remote::{Need, Remote},
};
use crate::{
    cli::{
        error::CliError,
        terminal::{
            confirm::Consent,
            output::Output,
            table::{NOTHING, facts, local},
        },
    },
    client::{NewProject, Project},
};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Register a project, so that credentials can be scoped to it.
    #[command(
        after_help = "Examples:\n  sealroom project register acme/app https://github.com/acme/app\n  sealroom project register payments"
    )]
    Register(RegisterArgs),
    /// List the projects.
    #[command(after_help = "Examples:\n  sealroom project list --json")]
    List,
    /// Show one project and what is scoped to it.
    #[command(after_help = "Examples:\n  sealroom project show acme/app")]
    Show(ShowArgs),
    /// Delete a project that nothing is scoped to.
    #[command(after_help = "Examples:\n  sealroom project delete acme/app --yes")]
    Delete(DeleteArgs),
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RegisterArgs {
    /// 1 to 20 segments: org/repo, group/subgroup/repo, payments or a number.
    identifier: String,
    /// URL of its repository, if it has one.
    remote_url: Option<String>,
    /// github, gitlab, bitbucket, azure-devops or other [default: from the URL, else other].
    #[arg(long)]
    platform: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ShowArgs {
    /// Its identifier.
    identifier: String,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DeleteArgs {
    /// Its identifier.
    identifier: String,
    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn run(args: GroupArgs<Command>, output: Output) -> Result<(), CliError> {
    if let Command::Delete(args) = &args.command {
        args.consent.check()?;
    }
    let remote = args.server.connect(Need::Token, output)?;
    match args.command {
        Command::Register(args) => register(args, &remote).await,
        Command::List => show_all(&remote).await,
        Command::Show(args) => {
            let project = find(args.identifier, &remote).await?;
            let scoped = Scoped::of(std::slice::from_ref(&project), &remote).await;
            remote.output.result(&facts_of(&project, scoped), &project)
        }
        Command::Delete(args) => delete(args, &remote).await,
    }
}

async fn register(args: RegisterArgs, remote: &Remote) -> Result<(), CliError> {
    let RegisterArgs { identifier, remote_url, platform } = args;
    let made = remote
        .client
        .create_project(&NewProject { identifier, remote_url, platform, configuration: None })
        .await?;
    if let Some(twin) = near::twin(&made.identifier, &remote.client).await {
        remote.output.warning(&format!("{twin} is registered too: project names are case-sensitive"));
    }
    remote.output.result(&format!("registered {} ({})", made.identifier, made.platform), &made)
}

async fn show_all(remote: &Remote) -> Result<(), CliError> {
    let all = remote.client.projects().await?;
    let scoped = Scoped::of(&all, remote).await;
    let row = |one: &Project| {
        [
            one.identifier.clone(),
            one.platform.clone(),
            one.remote_url.clone().unwrap_or_else(|| NOTHING.to_owned()),
            scoped.count(one),
            local(one.created_at),
        ]
    };
    let headings = ["PROJECT", "PLATFORM", "URL", "INTEGRATIONS", "CREATED"];
    remote.list(headings, &all, row, "no projects; see `sealroom project register --help`")
}

async fn delete(args: DeleteArgs, remote: &Remote) -> Result<(), CliError> {
    let project = find(args.identifier, remote).await?;
    let scoped = Scoped::of(std::slice::from_ref(&project), remote).await;
    let loss = format!(
        "{}\n\nThis deletes its registration. Tokens restricted to it no longer read anything for it.",
        facts_of(&project, scoped)
    );
    args.consent.obtain(&loss, &format!("Delete {}?", project.identifier), remote.output)?;
    remote.client.delete_project(&project.identifier).await?;
    let identifier = &project.identifier;
    remote
        .output
        .result(&format!("deleted {identifier}"), &json!({ "success": true, "identifier": identifier }))
}

async fn find(identifier: String, remote: &Remote) -> Result<Project, CliError> {
    match remote.client.project(&identifier).await {
        Ok(project) => Ok(project),
        Err(error) => Err(near::project(error.into(), &[identifier], &remote.client).await),
    }
}

/// The meaning of an empty list of integrations.
///
/// The server names what is scoped to a project only to owners, and sends an empty list to everyone else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scoped {
    Known,
    Hidden,
}

impl Scoped {
    async fn of(projects: &[Project], remote: &Remote) -> Self {
        let says_all = remote.output.is_json() || projects.is_empty();
        let is_named = || projects.iter().any(|project| !project.integrations.is_empty());
        if says_all || is_named() || remote.is_owner().await { Self::Known } else { Self::Hidden }
    }

    fn count(self, project: &Project) -> String {
        match self {
            Self::Known => project.integrations.len().to_string(),
            Self::Hidden => NOTHING.to_owned(),
        }
    }
}

fn facts_of(project: &Project, visibility: Scoped) -> String {
    let scoped = project.integrations.iter();
    let scoped: Vec<String> =
        scoped.map(|one| format!("{}/{} {}", one.provider, one.auth_type, one.id)).collect();
    let integrations = match visibility {
        Scoped::Known if scoped.is_empty() => "none".to_owned(),
        Scoped::Known => scoped.join(", "),
        Scoped::Hidden => format!("{NOTHING} (only an owner sees them)"),
    };
    facts(&[
        ("project", project.identifier.clone()),
        ("platform", project.platform.clone()),
        ("url", project.remote_url.clone().unwrap_or_else(|| NOTHING.to_owned())),
        ("created", local(project.created_at)),
        ("integrations", integrations),
    ])
}
