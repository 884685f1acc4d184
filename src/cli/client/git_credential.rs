//! `sealroom git-credential`: a credential helper of git.
//!
//! Answers only for a registered project's own scheme, host, port and path; over plain http only on this machine. Stores nothing: `store` and `erase` are
//! read and ignored, since an owner stores credentials and nobody else's git does.

mod install;
mod request;

use std::io::{self, Read};

use clap::Subcommand;
use url::Url;
use zeroize::Zeroizing;

use super::{
    credentials::{report, report_receipt, text_fields},
    remote::{Need, Remote, ServerArgs},
};
use crate::{
    cli::{error::CliError, terminal::output::Output},
    client::{Credential, CredentialFilter, Error, Project, RepositoryToken},
    domain::{Platform, Provider},
};
use request::{REQUEST_BYTES_MAX, Request};

/// Examples in the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  sealroom git-credential install --global
  sealroom git-credential uninstall --global";
/// Maximum number of projects of one host that are read to find out whether they lead to one credential.
const PROJECTS_MAX: usize = 20;

/// `git-credential`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Read credentials of this provider [default: the provider whose public host it is].
    #[arg(long)]
    provider: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer git's question on standard input; nothing where no project matches.
    #[command(after_help = "Examples:\n  sealroom git-credential get < question.txt")]
    Get,
    /// Read and ignore what git would store.
    #[command(after_help = "Examples:\n  sealroom git-credential store < question.txt")]
    Store,
    /// Read and ignore what git would erase.
    #[command(after_help = "Examples:\n  sealroom git-credential erase < question.txt")]
    Erase,
    /// Print the git config commands that make git ask here, or run them.
    #[command(after_help = "Examples:\n  sealroom git-credential install --global")]
    Install(install::Place),
    /// Print the git config commands that undo it, or run them.
    #[command(after_help = "Examples:\n  sealroom git-credential uninstall --global")]
    Uninstall(install::Place),
}

pub(super) async fn run(args: Args, output: Output) -> Result<(), CliError> {
    let provider = args.provider.as_deref();
    match args.command {
        Command::Store | Command::Erase => read().map(drop),
        Command::Get => {
            let text = read()?;
            let Some(request) = std::str::from_utf8(&text).ok().and_then(Request::parse) else {
                return Ok(());
            };
            get(&request, provider, &args.server.connect(Need::Token, output)?).await
        }
        Command::Install(place) => {
            install::install(place, provider, &args.server.connect(Need::Token, output)?).await
        }
        Command::Uninstall(place) => {
            install::uninstall(place, provider, &args.server.connect(Need::Token, output)?).await
        }
    }
}

fn read() -> Result<Zeroizing<Vec<u8>>, CliError> {
    let mut text = Zeroizing::new(Vec::new());
    io::stdin().take(REQUEST_BYTES_MAX).read_to_end(&mut text).map_err(|error| {
        CliError::failed(format!("standard input: {error}"), "git runs this command; see its --help")
    })?;
    Ok(text)
}

async fn get(request: &Request, provider: Option<&str>, remote: &Remote) -> Result<(), CliError> {
    let all = remote.client.projects().await?;
    let projects = request.projects(&all);
    if projects.len() > PROJECTS_MAX {
        return Ok(());
    }
    let mut found: Option<Answer> = None;
    let several = projects.len() > 1;
    for project in projects {
        let Some(one) = answer(project, provider, request, remote).await? else { return Ok(()) };
        // A guess would send one project's credential for another. A minted token is for one repository alone.
        if (several && one.is_minted) || found.as_ref().is_some_and(|known| !known.is_same(&one)) {
            return Ok(());
        }
        found = Some(one);
    }
    match found {
        Some(answer) => remote.output.bytes(answer.text(request).as_bytes()),
        None => Ok(()),
    }
}

/// Returns the answer for one project; `None` if there is none.
async fn answer(
    project: &Project,
    provider: Option<&str>,
    request: &Request,
    remote: &Remote,
) -> Result<Option<Answer>, CliError> {
    let Some(provider) = provider.or_else(|| of_host(project)) else { return Ok(None) };
    let asked = request.username.as_deref();
    if provider.parse().map(Provider::service) == Ok(Provider::Github) {
        match remote.client.repository_token(&project.identifier).await {
            Ok(token) => {
                report_receipt(token.receipt.as_deref(), remote);
                return Ok(Answer::of_token(&token, asked));
            }
            // It may have one of another type. An older server does not know the route.
            Err(Error::Refused(refusal))
                if matches!(refusal.code.as_str(), "integration_not_found" | "route_not_found") => {}
            Err(Error::Refused(refusal)) if refusal.status == 404 => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    let newest = newest(project, provider, remote).await?;
    Ok(newest.and_then(|one| Answer::of(&one, asked)))
}

/// Returns the only credential of a project's provider, or the newest; `None` if there is none.
async fn newest(project: &Project, provider: &str, remote: &Remote) -> Result<Option<Credential>, CliError> {
    let filter = CredentialFilter {
        provider: Some(provider.to_owned()),
        project: Some(project.identifier.clone()),
        name: None,
    };
    match remote.client.credentials_page(&filter, 1, None).await {
        Ok(page) => {
            report(&page, remote);
            Ok(page.items()?.into_iter().next())
        }
        Err(Error::Refused(refusal)) if refusal.status == 404 => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns the provider whose own public host the project's repository is on. Elsewhere the platform is a guess from the
/// host's name, which must not decide who gets a credential: the user names the provider.
fn of_host(project: &Project) -> Option<&'static str> {
    let url = Url::parse(project.remote_url.as_deref()?).ok()?;
    let own = [
        (Platform::Github, Provider::Github),
        (Platform::Gitlab, Provider::Gitlab),
        (Platform::AzureDevops, Provider::AzureDevops),
    ];
    let host = url.host_str()?;
    own.into_iter().find(|(platform, _)| platform.serves(host)).map(|(_, provider)| provider.as_str())
}

/// A user name and a password, as git takes them.
struct Answer {
    username: String,
    password: Zeroizing<String>,
    /// Seconds since 1970.
    expires_at: Option<u64>,
    is_minted: bool,
}

/// Returns whether git's protocol can carry a text.
fn is_line(text: &str) -> bool {
    !text.is_empty() && !text.contains(['\n', '\r', '\0'])
}

impl Answer {
    /// Returns the answer of a repository's token; `None` if one line cannot carry it.
    fn of_token(token: &RepositoryToken, asked: Option<&str>) -> Option<Self> {
        // The platform looks at the token alone.
        let username = asked.unwrap_or("x-access-token").to_owned();
        let password = Zeroizing::new(token.token.expose().to_owned());
        let expires_at = token.expires_at.map(|end| end.millis() / 1000);
        let is_minted = token.r#type == "installation";
        (is_line(&username) && is_line(&password)).then_some(Self {
            username,
            password,
            expires_at,
            is_minted,
        })
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.username, &self.password) == (&other.username, &other.password)
    }

    /// Returns the answer of a credential; `None` if it is another user's, or has no password that one line can carry.
    fn of(one: &Credential, asked: Option<&str>) -> Option<Self> {
        let mut fields = text_fields(one).ok()?;
        let mut take = |names: &[&str]| {
            let at = names.iter().find_map(|name| fields.iter().position(|(known, _)| known == name))?;
            Some(fields.swap_remove(at).1)
        };
        let own = take(&["username", "user"]);
        let password = take(&["token", "password", "api_token", "value"])?;
        let username = match (own, one.provider.parse().map(Provider::service)) {
            (Some(own), _) if asked.is_some_and(|asked| asked != own.as_str()) => return None,
            (Some(own), _) => own.to_string(),
            // The platform looks at the token alone.
            (None, provider) => asked.map_or_else(
                || if provider == Ok(Provider::Github) { "x-access-token" } else { "oauth2" }.to_owned(),
                str::to_owned,
            ),
        };
        let expires_at = one.expires_at.map(|end| end.millis() / 1000);
        (is_line(&username) && is_line(&password)).then_some(Self {
            username,
            password,
            expires_at,
            is_minted: false,
        })
    }

    fn text(&self, request: &Request) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        if request.knows_authtype {
            // No other helper may keep it.
            text.push_str("capability[]=authtype\nephemeral=1\n");
        }
        let parts = ["username=", &self.username, "\npassword=", &self.password, "\n"];
        parts.iter().for_each(|part| text.push_str(part));
        if let Some(end) = self.expires_at {
            ["password_expiry_utc=", &end.to_string(), "\n"].iter().for_each(|part| text.push_str(part));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_name_alone_never_decides_who_gets_a_credential() {
        let of = |url: &str| {
            let project = serde_json::json!({
                "identifier": "acme/app", "remoteUrl": url, "platform": "github", "version": 1, "configuration": {},
                "createdAt": "2026-11-24T10:00:00.000Z", "updatedAt": "2026-11-24T10:00:00.000Z", "integrations": [],
            });
            of_host(&serde_json::from_value(project).unwrap())
        };
        assert_eq!(of("https://github.com/acme/app"), Some("github"));
        assert_eq!(of("https://gitlab.com/acme/app"), Some("gitlab"));
        assert_eq!(of("https://acme.visualstudio.com/app"), Some(Provider::AzureDevops.as_str()));
        for other in [
            "https://github.evil.example/acme/app",
            "https://github.com.evil.example/acme/app",
            "https://evilgithub.com/acme/app",
            "https://git.example.com/github.com",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
