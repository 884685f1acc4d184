//! `sealroom integration`.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{json, value::to_raw_value};

use super::{
    credential_form,
    doubts::doubts,
    env_names::{self, EnvFlags},
    expiry,
    group::GroupArgs,
    integration_find::{find, id_of},
    integration_text::{kind, scope_text},
    integration_update, near,
    pair::Pair,
    remote::{Need, Remote},
    shadows,
};
use crate::{
    cli::{
        error::CliError,
        terminal::{
            confirm::Consent,
            output::Output,
            prompt,
            table::{ALL, NOTHING, facts, local, local_or_nothing},
        },
        time_arg::moment,
    },
    client::{Error, Expired, Integration, NewIntegration, Scope},
    clock::Clock,
    domain::{AuthType, IntegrationId, Provider, Secret, Timestamp},
};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Store a credential; prompts for its fields, secret ones without echo.
    #[command(
        after_help = "Examples:\n  sealroom integration add github/pat --global\n  sealroom integration add jira/basic_auth --project acme/app --from-json jira.json\n  sealroom integration add github/pat --global --name 'old admin' --canary"
    )]
    Add(AddArgs),
    /// List integrations, without their credentials.
    #[command(
        after_help = "Examples:\n  sealroom integration list --provider github\n  sealroom integration list --mine"
    )]
    List(ListArgs),
    /// Show one integration, without its credential.
    #[command(after_help = "Examples:\n  sealroom integration show 'deploy key'")]
    Show(ShowArgs),
    /// Replace a credential in place; five revisions are kept.
    #[command(after_help = "Examples:\n  sealroom integration rotate 'deploy key' --expires-at 2027-01-31")]
    Rotate(RotateArgs),
    /// Restore an older revision as a new one.
    #[command(after_help = "Examples:\n  sealroom integration rollback 'deploy key' 2")]
    Rollback(RollbackArgs),
    /// Change which projects may read a credential.
    #[command(
        after_help = "Examples:\n  sealroom integration scope 'deploy key' --project acme/app --project acme/web"
    )]
    Scope(ScopeArgs),
    /// Change its name, its expiry, or how its fields are called in an environment.
    #[command(
        after_help = "Examples:\n  sealroom integration update db --env url=DATABASE_URL\n  sealroom integration update db --name 'main db' --no-expiry"
    )]
    Update(integration_update::Args),
    /// Delete an integration with all its revisions.
    #[command(after_help = "Examples:\n  sealroom integration delete 'deploy key' --yes")]
    Delete(DeleteArgs),
}

/// For whom a credential is.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct ScopeFlags {
    /// For every project that has no integration of its own.
    #[arg(long)]
    global: bool,
    /// For this project; may be repeated.
    #[arg(long = "project", value_name = "PROJECT")]
    projects: Vec<String>,
}

impl ScopeFlags {
    fn scope(self) -> Scope {
        if self.global { Scope::Global } else { Scope::Projects(self.projects) }
    }
}

/// The source of a credential and its lifetime.
#[derive(Debug, clap::Args)]
struct Source {
    /// Read the credential, a JSON object, from this file (mode 0600), or - for standard input.
    #[arg(long, value_name = "FILE")]
    from_json: Option<PathBuf>,
    /// When the credential expires at the provider, such as 2027-01-31 (midnight in UTC) or 2027-01-31T10:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    expires_at: Option<Timestamp>,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct AddArgs {
    /// Provider and type.
    #[arg(
        value_name = "PROVIDER/TYPE",
        help = "Provider and type: github/pat, github/app, jira/basic_auth, jira/oauth_client_credentials, azure-devops/pat, azure-devops/service_principal; any other pair prompts for the field names too"
    )]
    pair: Pair,
    #[command(flatten)]
    scope: ScopeFlags,
    /// A name to refer to it by.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    env: EnvFlags,
    /// Raise an alarm at each read: for a credential that nobody has a reason to read.
    #[arg(long)]
    canary: bool,
    #[command(flatten)]
    source: Source,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    /// Only of this provider.
    #[arg(long)]
    provider: Option<String>,
    /// Only with this name.
    #[arg(long)]
    name: Option<String>,
    /// Only those that you created; members see no others.
    #[arg(long)]
    mine: bool,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ShowArgs {
    /// Its id or name.
    integration: String,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RotateArgs {
    /// Its id or name.
    integration: String,
    #[command(flatten)]
    source: Source,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RollbackArgs {
    /// Its id or name.
    integration: String,
    /// The revision to restore.
    revision: u64,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ScopeArgs {
    /// Its id or name.
    integration: String,
    #[command(flatten)]
    scope: ScopeFlags,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DeleteArgs {
    /// Its id or name.
    integration: String,
    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn run(args: GroupArgs<Command>, output: Output) -> Result<(), CliError> {
    if let Command::Delete(args) = &args.command {
        args.consent.check()?;
    }
    let remote = args.server.connect(Need::Token, output)?;
    match args.command {
        Command::Add(args) => add(args, &remote).await,
        Command::List(args) => show_all(args, &remote).await,
        Command::Show(args) => show(args, &remote).await,
        Command::Rotate(args) => rotate(args, &remote).await,
        Command::Rollback(args) => rollback(args, &remote).await,
        Command::Scope(args) => rescope(args, &remote).await,
        Command::Update(args) => integration_update::run(args, &remote).await,
        Command::Delete(args) => delete(args, &remote).await,
    }
}

async fn add(args: AddArgs, remote: &Remote) -> Result<(), CliError> {
    let Pair { provider, auth_type } = args.pair;
    let scope = args.scope.scope();
    if args.source.from_json.is_none() && prompt::is_possible() {
        check_projects(&scope, remote).await?;
    }
    let name = credential_form::label(provider, args.name)?;
    let credentials =
        credential_form::credentials(provider, auth_type, args.source.from_json.as_deref(), remote.output)?;
    warn(Some(args.pair), &credentials, remote.output);
    let new = NewIntegration {
        provider: provider.to_string(),
        auth_type: auth_type.to_string(),
        credentials,
        scope,
        name,
        expires_at: args.source.expires_at,
        expired: Expired::Refused,
        config: args.env.over(None).and_then(|config| to_raw_value(&config).ok()),
        is_canary: args.canary,
    };
    let made = match remote.client.create_integration(&new).await {
        Ok(made) => made,
        Err(error) => return Err(near::project(error.into(), new.scope.projects(), &remote.client).await),
    };
    shadows::warn(&made, remote).await;
    let alarm = if made.canary { "; each read raises an alarm" } else { "" };
    let line = format!("stored {} as {}, {}{alarm}", kind(&made), made.id, scope_text(&made));
    remote.output.result(&line, &made)
}

/// Checks before any prompt that the projects exist: a user must not enter a secret in vain.
async fn check_projects(scope: &Scope, remote: &Remote) -> Result<(), CliError> {
    for project in scope.projects() {
        if let Err(error) = remote.client.project(project).await {
            return Err(near::project(error.into(), scope.projects(), &remote.client).await);
        }
    }
    Ok(())
}

/// Warns about what looks wrong in a credential that is about to be stored.
fn warn(pair: Option<Pair>, credentials: &Secret, output: Output) {
    doubts(pair, credentials).iter().for_each(|doubt| output.warning(doubt));
}

async fn show_all(args: ListArgs, remote: &Remote) -> Result<(), CliError> {
    let (provider, name) = (args.provider.as_deref(), args.name.as_deref());
    let all = if args.mine {
        remote.client.own_integrations(provider, name).await
    } else {
        remote.client.integrations(provider, name).await
    };
    let all = match all {
        Err(Error::Refused(refusal)) if refusal.status == 403 && remote.is_member().await => {
            let hint = "`sealroom integration list --mine` lists those that you created";
            return Err(CliError { hint: hint.to_owned(), ..Error::Refused(refusal).into() });
        }
        all => all.map_err(|error| near::provider(error, &args.provider))?,
    };
    let now = Clock::system().now();
    let row = |one: &Integration| {
        [
            one.id.to_string(),
            format!("{}{}", kind(one), if one.canary { " (canary)" } else { "" }),
            one.name.clone().unwrap_or_else(|| NOTHING.to_owned()),
            // Short, to fit a terminal of 80 columns.
            if one.is_global { ALL.to_owned() } else { scope_text(one) },
            one.revision.to_string(),
            expiry::cell(one.expires_at, now),
            local_or_nothing(one.last_accessed_at),
        ]
    };
    let headings = ["ID", "TYPE", "NAME", "FOR", "REV", "EXPIRES", "LAST READ"];
    remote.list(headings, &all, row, "no integrations; see `sealroom integration add --help`")
}

async fn show(args: ShowArgs, remote: &Remote) -> Result<(), CliError> {
    let one = find(&args.integration, remote).await?;
    remote.output.result(&facts_of(&one), &one)
}

async fn rotate(args: RotateArgs, remote: &Remote) -> Result<(), CliError> {
    let given = args.source.from_json.is_some();
    // A member may rotate what it stored, and may not look it up: an id and a file make the look-up unnecessary.
    let (id, revision, pair, credentials) = match args.integration.parse::<IntegrationId>() {
        Ok(id) if given => {
            let any = (Provider::Custom, AuthType::ApiKey);
            let from = args.source.from_json.as_deref();
            (id, None, None, credential_form::credentials(any.0, any.1, from, remote.output)?)
        }
        _ => {
            let one = find(&args.integration, remote).await?;
            let (provider, auth_type) = (one.provider.parse(), one.auth_type.parse());
            let (Ok(provider), Ok(auth_type)) = (provider, auth_type) else {
                return Err(CliError::failed(
                    "this version of sealroom does not know its type",
                    "use a newer one",
                ));
            };
            let from = args.source.from_json.as_deref();
            let credentials = credential_form::credentials(provider, auth_type, from, remote.output)?;
            (one.id, Some(one.revision), Some(Pair { provider, auth_type }), credentials)
        }
    };
    warn(pair, &credentials, remote.output);
    let one = remote.client.rotate(id, revision, &credentials, args.source.expires_at).await?;
    remote
        .output
        .result(&format!("rotated {} {}: revision {} is current", kind(&one), one.id, one.revision), &one)
}

async fn rollback(args: RollbackArgs, remote: &Remote) -> Result<(), CliError> {
    let id = id_of(&args.integration, remote).await?;
    let one = remote.client.rollback(id, args.revision).await?;
    let line = format!(
        "revision {} of {} {} is current again, as revision {}",
        args.revision,
        kind(&one),
        one.id,
        one.revision
    );
    remote.output.result(&line, &one)
}

async fn rescope(args: ScopeArgs, remote: &Remote) -> Result<(), CliError> {
    let id = id_of(&args.integration, remote).await?;
    let scope = args.scope.scope();
    let one = match remote.client.rescope(id, &scope).await {
        Ok(one) => one,
        Err(error) => return Err(near::project(error.into(), scope.projects(), &remote.client).await),
    };
    remote.output.result(&format!("{} {} is now for {}", kind(&one), one.id, scope_text(&one)), &one)
}

async fn delete(args: DeleteArgs, remote: &Remote) -> Result<(), CliError> {
    let one = find(&args.integration, remote).await?;
    let loss =
        format!("{}\n\nThis permanently deletes the credential and all its revisions.", facts_of(&one));
    let named = one.name.as_ref().map_or_else(|| one.id.to_string(), |name| format!("'{name}'"));
    args.consent.obtain(&loss, &format!("Delete {} {named}?", kind(&one)), remote.output)?;
    remote.client.delete_integration(one.id).await?;
    remote.output.result(
        &format!("deleted {} {}", kind(&one), one.id),
        &json!({ "success": true, "id": one.id.to_string() }),
    )
}

fn facts_of(one: &Integration) -> String {
    let read = match (one.last_accessed_at, &one.last_accessed_by) {
        (Some(at), Some(by)) => format!("{} by {by}", local(at)),
        _ => "never".to_owned(),
    };
    let mut lines = vec![
        ("id", one.id.to_string()),
        ("type", kind(one)),
        ("name", one.name.clone().unwrap_or_else(|| NOTHING.to_owned())),
        ("for", scope_text(one)),
        ("revision", one.revision.to_string()),
        ("expires", expiry::cell(one.expires_at, Clock::system().now())),
        ("stored", format!("{} by {}", local(one.created_at), one.created_by)),
        ("changed", local(one.updated_at)),
        ("last read", read),
    ];
    lines.extend(one.canary.then(|| ("canary", "yes, each read raises an alarm".to_owned())));
    lines.extend(env_names::description(&one.config).map(|names| ("env", names)));
    facts(&lines)
}
