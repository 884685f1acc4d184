//! `sealroom login`, `logout` and `whoami`.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use serde_json::json;

use super::{
    expiry,
    otp::CodeArgs,
    remote::{Need, PlaceArgs, Remote, ServerArgs, Speaker, say},
    status::locked,
    token_source::has_token,
};
use crate::{
    cli::{
        error::CliError,
        terminal::{
            confirm,
            output::Output,
            prompt::{self, Asking},
            table::{facts, local},
        },
    },
    client::{Client, Error, Notice, Session},
    clock::Clock,
    domain::{Secret, Timestamp},
};

/// `login`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct LoginArgs {
    /// E-mail address; prompts for it at a terminal.
    #[arg(long, env = "SEALROOM_EMAIL", value_name = "EMAIL")]
    email: Option<String>,
    /// Read the password from this file (mode 0600), or - for standard input; prompts for it at a terminal.
    #[arg(long, env = "SEALROOM_PASSWORD_FILE", value_name = "FILE")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    code: CodeArgs,
    #[command(flatten)]
    server: PlaceArgs,
}

/// `logout`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct LogoutArgs {
    #[command(flatten)]
    server: PlaceArgs,
}

/// `whoami`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct WhoamiArgs {
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn login(args: LoginArgs, output: Output) -> Result<(), CliError> {
    let (client, ca_file) = args.server.anonymous(output)?;
    let sessions = args.server.own_sessions()?;
    let file = sessions.file(&client.endpoint().to_string());
    let email = match args.email.filter(|email| !email.is_empty()) {
        Some(email) => email,
        None if prompt::is_possible() => prompt::text("E-mail")?,
        None => {
            return Err(CliError::usage("no e-mail: standard input is not a terminal", "pass --email EMAIL"));
        }
    };
    // Check before the password prompt: a user must not type a password for a server that is unreachable or locked.
    let health = client.health().await?;
    if health.locked {
        return Err(CliError { code: Some("locked".to_owned()), ..locked(&health) });
    }
    let password =
        confirm::password("Password", args.password_file.as_ref(), "--password-file", Asking::Once, output)?;
    let place = file.reserve().await?;
    let mut session = session(&client, &email, &password, &args.code, output).await?;
    session.ca_file = ca_file;
    place.save(&session)?;
    sessions.choose(&session.server)?;
    if has_token() {
        output.warning("a token in the environment takes precedence over this login");
    }
    let (server, email, role) = (&session.server, &session.email, &session.role);
    output.result(
        &format!("logged in to {server} as {email} ({role})"),
        &json!({ "server": server, "email": email, "role": role, "session": file.path() }),
    )
}

/// Logs in, with a code of the second factor where the server asks for one: a code from a file is read only then.
async fn session(
    client: &Client,
    email: &str,
    password: &Secret,
    code: &CodeArgs,
    output: Output,
) -> Result<Session, CliError> {
    match client.login(email, password).await {
        Err(Error::Refused(refusal)) if refusal.code == "otp_required" => {
            code.tried(output, async |code| client.login_with_code(email, password, Some(code)).await).await
        }
        outcome => Ok(outcome?),
    }
}

pub(super) async fn logout(args: LogoutArgs, output: Output) -> Result<(), CliError> {
    let (client, file, email) = args.server.with_session(output)?;
    let server = client.endpoint().to_string();
    match client.logout().await {
        Ok(()) | Err(Error::Session(_)) => {}
        // The server has already ended the session.
        Err(Error::Refused(refusal)) if refusal.status == 401 => {}
        Err(error) => return Err(error.into()),
    }
    file.remove().await?;
    output.result(
        &format!("logged out of {server}"),
        &json!({ "server": server, "email": email, "loggedOut": true }),
    )
}

pub(super) async fn whoami(args: WhoamiArgs, output: Output) -> Result<(), CliError> {
    let remote = args.server.connect(Need::Token, output)?;
    match remote.speaker {
        Speaker::User => user(&remote).await,
        Speaker::Application | Speaker::Nobody => token(remote).await,
    }
}

async fn user(remote: &Remote) -> Result<(), CliError> {
    let user = remote.client.own_user().await?;
    let server = remote.client.endpoint().to_string();
    let mut lines =
        vec![("user", user.email.clone()), ("role", user.role.clone()), ("server", server.clone())];
    lines.extend(user.projects.as_ref().map(|projects| ("projects", projects.join(", "))));
    lines.extend(user.last_login_at.map(|time| ("last login", local(time))));
    let value =
        json!({ "server": server, "kind": "user", "email": user.email, "role": user.role, "user": user });
    remote.output.result(&facts(&lines), &value)
}

/// Infers the token's role, which no route tells it, from what the token may do. An application lists projects, which
/// leaves no event. An auditor reads the log. A token that may do neither is an operator.
async fn token(remote: Remote) -> Result<(), CliError> {
    let output = remote.output;
    let end = Arc::new(OnceLock::new());
    let told = Arc::clone(&end);
    // The expiry is part of the result: a warning would repeat it.
    let client = remote.client.on_notice(move |notice| match notice {
        Notice::TokenEnds(time) => drop(told.set(time)),
        Notice::Waiting { .. } | Notice::ComingUp { .. } | Notice::SessionUnsaved(_) => say(&notice, output),
    });
    let projects = allowed(client.projects().await)?;
    let role = if projects.is_some() {
        "application"
    } else if allowed(client.checkpoint().await)?.is_some() {
        "auditor"
    } else {
        "operator"
    };
    let server = client.endpoint().to_string();
    let mut lines = vec![("token", role.to_owned()), ("server", server.clone())];
    let projects: Option<Vec<String>> =
        projects.map(|projects| projects.into_iter().map(|project| project.identifier).collect());
    lines.extend(projects.as_ref().map(|projects| {
        (
            "projects",
            if projects.is_empty() {
                "none is registered that it may name".to_owned()
            } else {
                projects.join(", ")
            },
        )
    }));
    let may = match role {
        "application" => "reads credentials",
        "auditor" => "reads the log and the list of integrations, no credential",
        _ => "makes backups and reads the metrics, no credential",
    };
    let end = end.get().copied();
    lines.extend([
        ("may do", may.to_owned()),
        ("ends", ends(end)),
        ("more", "its name and providers: an owner sees them with `sealroom token list`".to_owned()),
    ]);
    let value = json!({ "server": server, "kind": "token", "role": role, "projects": projects,
        "expiresAt": end.map(|end| end.to_string()) });
    output.result(&facts(&lines), &value)
}

/// Describes a token's end, which the server names in each answer of the last 7 days.
fn ends(end: Option<Timestamp>) -> String {
    match end {
        Some(end) => format!("{}, in {}", local(end), expiry::span(end.since(Clock::system().now()))),
        None => "in more than 7 days".to_owned(),
    }
}

/// Returns the result of a call, or `None` if the caller's role may not make it.
fn allowed<T>(outcome: Result<T, Error>) -> Result<Option<T>, CliError> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(Error::Refused(refusal)) if refusal.status == 403 => Ok(None),
        Err(error) => Err(error.into()),
    }
}
