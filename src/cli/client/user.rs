//! `sealroom user`.

mod leave;

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::{
    client_error,
    group::GroupArgs,
    near, otp,
    remote::{Need, Remote},
};
use crate::{
    cli::{
        error::CliError,
        terminal::{
            confirm::{self, Consent},
            once::{Lost, Made},
            output::Output,
            prompt::Asking,
            table::{ALL, ALL_PROJECTS, NOTHING, facts, list, local_or_nothing},
        },
    },
    client::{NewUser, SecretText, User, UserChange},
};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Add a user; without --password-file, generates a password and shows it once.
    #[command(
        after_help = "Examples:\n  sealroom user add bob@example.com\n  sealroom user add eve@example.com --project acme/app\n  sealroom user add tim@example.com --no-projects"
    )]
    Add(AddArgs),
    /// List the users.
    #[command(after_help = "Examples:\n  sealroom user list")]
    List,
    /// Make a user an owner or a member.
    #[command(after_help = "Examples:\n  sealroom user role bob@example.com owner")]
    Role(RoleArgs),
    /// Restrict a member to projects, or lift the restriction.
    #[command(
        after_help = "Examples:\n  sealroom user projects bob@example.com --project acme/app\n  sealroom user projects bob@example.com --all"
    )]
    Projects(ProjectsArgs),
    /// Disable a user and end their sessions.
    #[command(after_help = "Examples:\n  sealroom user disable bob@example.com")]
    Disable(EmailArgs),
    /// Enable a user again.
    #[command(after_help = "Examples:\n  sealroom user enable bob@example.com")]
    Enable(EmailArgs),
    /// Change your own password, or set another user's as an owner.
    #[command(after_help = "Examples:\n  sealroom user password\n  sealroom user password bob@example.com")]
    Password(PasswordArgs),
    /// Disable a user who leaves, end their sessions and revoke the tokens that they created.
    #[command(
        after_help = "Lists the tokens and asks first; all of it is one change. The log keeps the user's name, and `user enable`\nlets the user in again.\n\nExamples:\n  sealroom user leave bob@example.com\n  sealroom user leave bob@example.com --keep-tokens --yes"
    )]
    Leave(leave::LeaveArgs),
    /// Set or remove a second factor for logins.
    #[command(
        after_help = "Examples:\n  sealroom user otp enable\n  sealroom user otp disable bob@example.com"
    )]
    Otp(otp::Args),
    /// Remove a user.
    #[command(after_help = "Examples:\n  sealroom user remove bob@example.com --yes")]
    Remove(RemoveArgs),
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct AddArgs {
    /// The address.
    email: String,
    /// Role of the user.
    #[arg(long, default_value = "member", value_parser = ["owner", "member"])]
    role: String,
    /// The first name.
    #[arg(long)]
    first_name: Option<String>,
    /// The last name.
    #[arg(long)]
    last_name: Option<String>,
    #[command(flatten)]
    sees: NewSees,
    /// Read the password from this file (mode 0600), or - for standard input.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// The projects of a new user; the server's default if none is given.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct NewSees {
    /// Restrict the user to this project; may be repeated.
    #[arg(long = "project", value_name = "PROJECT")]
    projects: Vec<String>,
    /// No project, until `user projects` names some.
    #[arg(long)]
    no_projects: bool,
    /// All projects [default unless the server has `new_members_see = "none"`].
    #[arg(long)]
    all_projects: bool,
}

impl NewSees {
    fn projects(self) -> Option<Option<Vec<String>>> {
        let is_given = self.no_projects || self.all_projects || !self.projects.is_empty();
        is_given.then_some(if self.all_projects { None } else { Some(self.projects) })
    }
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct EmailArgs {
    /// The address.
    email: String,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RoleArgs {
    /// The address.
    email: String,
    /// Role of the user.
    #[arg(value_parser = ["owner", "member"])]
    role: String,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ProjectsArgs {
    /// The address.
    email: String,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// Only this project; may be repeated.
    #[arg(long = "project", value_name = "PROJECT")]
    projects: Vec<String>,
    /// All projects.
    #[arg(long)]
    all: bool,
    /// No project.
    #[arg(long)]
    none: bool,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PasswordArgs {
    /// The user's e-mail address [default: your own].
    email: Option<String>,
    /// Read your current password from this file (mode 0600).
    #[arg(long, value_name = "FILE")]
    current_password_file: Option<PathBuf>,
    /// Read the new password from this file (mode 0600).
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RemoveArgs {
    /// The address.
    email: String,
    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn run(args: GroupArgs<Command>, output: Output) -> Result<(), CliError> {
    match &args.command {
        Command::Remove(args) => args.consent.check()?,
        Command::Leave(args) => args.consent.check()?,
        _ => {}
    }
    let remote = args.server.connect(Need::Token, output)?;
    match args.command {
        Command::Add(args) => add(args, &remote).await,
        Command::List => show_all(&remote).await,
        Command::Role(RoleArgs { email, role }) => {
            let wanted = UserChange { role: Some(role), ..UserChange::default() };
            let user = remote.client.change_user(&email, &wanted).await?;
            // A member's reach is not in the command: it is that of the last time as a member, or all projects.
            let reach = user.projects.as_deref().map_or_else(|| ALL_PROJECTS.to_owned(), list_or_none);
            let reach = if user.role == "member" { format!(", and sees {reach}") } else { String::new() };
            remote.output.result(&format!("{email} is now {}{reach}", user.role), &user)
        }
        Command::Projects(args) => {
            let projects = if args.which.all { None } else { Some(args.which.projects) };
            let seen = projects.as_deref().map_or_else(|| ALL_PROJECTS.to_owned(), list_or_none);
            let said = format!("{} now sees {seen}", args.email);
            let wanted = UserChange { projects: Some(projects), ..UserChange::default() };
            change(&args.email, wanted, &said, &remote).await
        }
        Command::Disable(EmailArgs { email }) => {
            let said = format!("{email} is disabled, and logged out everywhere");
            change(&email, UserChange { disabled: Some(true), ..UserChange::default() }, &said, &remote).await
        }
        Command::Enable(EmailArgs { email }) => {
            let said = format!("{email} may log in again");
            change(&email, UserChange { disabled: Some(false), ..UserChange::default() }, &said, &remote)
                .await
        }
        Command::Password(args) => password(args, &remote).await,
        Command::Leave(args) => leave::leave(args, &remote).await,
        Command::Otp(args) => otp::run(args, &remote).await,
        Command::Remove(args) => remove(args, &remote).await,
    }
}

async fn add(args: AddArgs, remote: &Remote) -> Result<(), CliError> {
    let AddArgs { email, role, first_name, last_name, sees, password_file } = args;
    let read =
        |path| confirm::password("Password", Some(path), "--password-file", Asking::Twice, remote.output);
    let password = password_file.as_ref().map(read).transpose()?;
    let in_doubt = format!(
        "if it is there, set its password or remove it: sealroom user list, sealroom user password {email}"
    );
    let new = NewUser { email, role, first_name, last_name, password, projects: sees.projects() };
    let made = match remote.client.create_user(&new).await {
        Ok(made) => made,
        Err(error) if client_error::is_in_doubt(&error) => {
            return Err(CliError { hint: in_doubt, ..error.into() });
        }
        Err(error) => {
            let projects = new.projects.flatten().unwrap_or_default();
            return Err(near::project(error.into(), &projects, &remote.client).await);
        }
    };
    let lines = vec![("user", made.email.clone()), ("role", made.role.clone())];
    let Some(password) = &made.initial_password else {
        return remote.output.result(&facts(&lines), &json!(made));
    };
    let Err(lost) = show_password(&made, password, lines, remote.output) else { return Ok(()) };
    let outcome = remote.client.delete_user(&made.email).await;
    Err(Made {
        what: format!("user {} ({})", made.email, made.id),
        ended: "removed",
        by_hand: format!("sealroom user remove {} --yes", made.email),
        remedy: "run it again with --password-file FILE, or with a reader on standard output",
    }
    .undone(lost, outcome))
}

fn show_password(
    made: &User,
    password: &SecretText,
    mut lines: Vec<(&str, String)>,
    output: Output,
) -> Result<(), Lost> {
    lines.push(("password", password.expose().to_owned()));
    let mut value = json!(made);
    value["initialPassword"] = json!(password.expose());
    let end = "\n\nThe password is shown only once; `sealroom user password` changes it.";
    output.once("the password", &(facts(&lines) + end), &value)
}

async fn show_all(remote: &Remote) -> Result<(), CliError> {
    let all = remote.client.users().await?;
    let row = |one: &User| {
        let names = [one.first_name.as_deref(), one.last_name.as_deref()];
        let name = names.into_iter().flatten().collect::<Vec<_>>().join(" ");
        [
            one.email.clone(),
            if name.is_empty() { NOTHING.to_owned() } else { name },
            one.role.clone(),
            if one.disabled { "disabled" } else { "enabled" }.to_owned(),
            if one.otp { "yes" } else { NOTHING }.to_owned(),
            one.projects.as_deref().map_or_else(|| ALL.to_owned(), list_or_none),
            local_or_nothing(one.last_login_at),
        ]
    };
    let headings = ["EMAIL", "NAME", "ROLE", "STATUS", "OTP", "SEES", "LAST LOGIN"];
    remote.list(headings, &all, row, "no users")
}

fn list_or_none(projects: &[String]) -> String {
    if projects.is_empty() { "nothing".to_owned() } else { list(projects) }
}

async fn change(email: &str, wanted: UserChange, said: &str, remote: &Remote) -> Result<(), CliError> {
    match remote.client.change_user(email, &wanted).await {
        Ok(user) => remote.output.result(said, &user),
        Err(error) => {
            let projects = wanted.projects.flatten().unwrap_or_default();
            Err(near::project(error.into(), &projects, &remote.client).await)
        }
    }
}

async fn password(args: PasswordArgs, remote: &Remote) -> Result<(), CliError> {
    let own = remote.client.own_user().await?.email;
    let email = args.email.unwrap_or_else(|| own.clone());
    let file = |what, file: &Option<PathBuf>, flag, asking| {
        confirm::password(what, file.as_ref(), flag, asking, remote.output)
    };
    let is_own = email.eq_ignore_ascii_case(&own);
    let current_password = if is_own {
        Some(file("Current password", &args.current_password_file, "--current-password-file", Asking::Once)?)
    } else {
        None
    };
    let new = file("New password", &args.new_password_file, "--new-password-file", Asking::Twice)?;
    let wanted = UserChange { password: Some(new), current_password, ..UserChange::default() };
    let said = if is_own {
        "your password was changed and your sessions have ended; log in again: sealroom login".to_owned()
    } else {
        format!("the password of {email} is changed, and its sessions have ended")
    };
    change(&email, wanted, &said, remote).await
}

async fn remove(args: RemoveArgs, remote: &Remote) -> Result<(), CliError> {
    let user = remote.client.user(&args.email).await?;
    let loss = facts(&[
        ("user", user.email.clone()),
        ("role", user.role.clone()),
        ("last login", local_or_nothing(user.last_login_at)),
    ]) + "\n\nThis removes the user and their sessions. Integrations and tokens that they created remain.";
    args.consent.obtain(&loss, &format!("Remove {}?", user.email), remote.output)?;
    remote.client.delete_user(&user.email).await?;
    let value = json!({ "success": true, "email": user.email });
    remote.output.result(&format!("removed {}", user.email), &value)?;
    let what = "what this user received and is still live";
    let next = format!("{what}: sealroom exposure --user {} --transitive", user.email);
    remote.output.next_step(&next);
    Ok(())
}
