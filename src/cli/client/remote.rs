//! The server that a command calls, and the identity of its calls: flag, environment, config file, saved session,
//! default.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;
#[cfg(unix)]
use zeroize::Zeroizing;

use super::{client_error::sentence, expiry};
use crate::{
    cli::{
        config,
        error::CliError,
        paths, secrets,
        source::{Given, Source},
        terminal::{
            output::Output,
            table::{local, table},
        },
    },
    client::{
        Client, Endpoint, EndpointError, Error, Notice, Profile, Proxies, Roots, Session, SessionFile,
        Sessions,
    },
    clock::Clock,
    config::{FileClient, default},
    domain::{
        Secret,
        token_text::{MalformedToken, TokenKind, check_bearer},
    },
};

/// The flags of every command that speaks to a server: where it is.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Server")]
pub(in crate::cli) struct PlaceArgs {
    #[command(flatten)]
    given: Given,
    /// The address of the server.
    #[arg(
        long,
        global = true,
        env = "SFP_SERVER_URL",
        hide_env_values = true,
        value_name = "URL",
        help = "The server: https://HOST, http://127.0.0.1:PORT or unix:PATH [default: the session's, else http://127.0.0.1:3029]"
    )]
    server: Option<String>,
    /// Trust the certificate authorities in this PEM file instead of the system's.
    #[arg(long, global = true, env = "SEALROOM_CA_FILE", hide_env_values = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Allow credentials to cross a network unencrypted.
    #[arg(long, global = true, env = "SEALROOM_INSECURE_HTTP", hide_env_values = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL")]
    insecure_http: Option<bool>,
    /// Connect without a proxy.
    #[arg(long, global = true, env = "SEALROOM_NO_PROXY", hide_env_values = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL",
          help = "Connect without a proxy; ignore HTTPS_PROXY, http_proxy, ALL_PROXY and NO_PROXY")]
    no_proxy: Option<bool>,
    /// Time to wait for a server that is starting, in seconds [default: 5].
    #[arg(
        long,
        global = true,
        env = "SEALROOM_CONNECT_WAIT_SECS",
        hide_env_values = true,
        value_name = "SECS"
    )]
    connect_wait_secs: Option<u16>,
    /// Use the sessions of this profile, apart from all others.
    #[arg(long, global = true, env = "SEALROOM_PROFILE", hide_env_values = true, value_name = "NAME")]
    profile: Option<Profile>,
    /// Configuration file; flags and environment variables override it.
    #[arg(long, global = true, env = "SEALROOM_CONFIG", hide_env_values = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The address of the server and the token to send.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Server")]
pub(in crate::cli) struct ServerArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// The file that holds the token.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help = "Read the token from this file (mode 0600) [env: SFP_SERVER_TOKEN, SFP_SERVER_TOKEN_FILE, SFP_APPLICATION_TOKEN, SFP_APPLICATION_TOKEN_FILE] [default: the session of `sealroom login`]"
    )]
    token_file: Option<PathBuf>,
}

/// The commands of a group, and the server that they call.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct GroupArgs<C: clap::Subcommand> {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    #[command(subcommand)]
    pub(super) command: C,
}

/// A server that a command calls.
pub(super) struct Remote {
    pub(super) client: Client,
    pub(super) output: Output,
    pub(super) speaker: Speaker,
}

/// The identity of the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaker {
    Nobody,
    /// An application token, by its prefix.
    Application,
    /// A user, by a session or an access token.
    User,
}

/// A command's need for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Token,
    Nothing,
}

impl ServerArgs {
    /// Returns the server, with the token or session that the settings name.
    ///
    /// # Errors
    /// A setting is wrong, or there is no token and one is needed.
    pub(super) fn connect(&self, need: Need, output: Output) -> Result<Remote, CliError> {
        let place = &self.place;
        let file = place.file()?;
        let token = self.token(&file, output)?;
        let session = match place.saved_session(&file) {
            // A given token is used without the session: a damaged session must not stop a pipeline.
            Err(_) if token.is_some() => None,
            session => session?,
        };
        let endpoint = place.endpoint(&file, session.as_ref().map(|(_, session)| session))?;
        let session = session.filter(|(_, session)| session.server == endpoint.to_string());
        let ca_file = session.as_ref().and_then(|(_, session)| session.ca_file.clone());
        let client = place.client(endpoint, &file, ca_file, output)?;
        let (client, speaker) = match (token, session) {
            (Some(token), session) => {
                let speaker = match token.kind {
                    TokenKind::Application => Speaker::Application,
                    TokenKind::Access | TokenKind::Refresh => Speaker::User,
                };
                let source =
                    token.source + session.map_or("", |_| ", which takes precedence over your login");
                (client.with_token(token.secret).token_from(source), speaker)
            }
            (None, Some((file, session))) => (client.with_session(file, session), Speaker::User),
            (None, None) if need == Need::Nothing => (client, Speaker::Nobody),
            (None, None) => {
                let login = match client.endpoint().to_string() {
                    server if server == default::SERVER => "sealroom login".to_owned(),
                    server => format!("sealroom login --server {server}"),
                };
                return Err(CliError::failed(
                    format!("not logged in to {}", client.endpoint()),
                    format!("run `{login}`, or pass --token-file, SFP_SERVER_TOKEN or SFP_SERVER_TOKEN_FILE"),
                ));
            }
        };
        Ok(Remote { client, output, speaker })
    }

    fn token(&self, file: &FileClient, output: Output) -> Result<Option<Token>, CliError> {
        if let Some(path) = &self.token_file {
            return Token::from_file(path, "--token-file", output).map(Some);
        }
        for name in TOKENS {
            if name.ends_with("_FILE") {
                if let Some(path) = env::var_os(name).filter(|path| !path.is_empty()) {
                    paths::check(Path::new(&path), &Source::Variable(name.to_owned()))?;
                    return Token::from_file(Path::new(&path), name, output).map(Some);
                }
            } else if let Some(secret) = secrets::from_variable(name)? {
                return Token::checked(&secret, name.to_owned()).map(Some);
            }
        }
        let Some(path) = &file.token_file else { return Ok(None) };
        paths::check(path, &self.place.source("token_file", "client.token_file"))?;
        Token::from_file(path, "client.token_file", output).map(Some)
    }
}

impl Remote {
    /// Prints a listing: a table under these headings, or `none` if it is empty.
    pub(super) fn list<T: Serialize, const N: usize>(
        &self,
        headings: [&str; N],
        all: &[T],
        row: impl Fn(&T) -> [String; N],
        none: &str,
    ) -> Result<(), CliError> {
        let lines =
            if all.is_empty() { none.to_owned() } else { table(headings, all.iter().map(row).collect()) };
        self.output.result(&lines, all)
    }

    /// Returns whether the caller is an owner. Reads the caller's own record, since a refused attempt would be an
    /// event.
    pub(super) async fn is_owner(&self) -> bool {
        self.speaker == Speaker::User && self.client.own_user().await.is_ok_and(|user| user.role == "owner")
    }
}

/// A token that a server may have issued, and its source.
struct Token {
    secret: Secret,
    kind: TokenKind,
    /// A variable, or a file and the setting that named it.
    source: String,
}

impl Token {
    fn from_file(path: &Path, named_by: &str, output: Output) -> Result<Self, CliError> {
        let secret = secrets::from_file(path, &output)
            .map_err(|error| CliError { message: format!("{named_by}: {}", error.message), ..error })?;
        Self::checked(&secret, format!("{} ({named_by})", path.display()))
    }

    /// Refuses, before sending it, a token that no server issued: it was mangled on its way, or is another system's
    /// secret.
    fn checked(secret: &Secret, source: String) -> Result<Self, CliError> {
        let text = secret.expose_text().unwrap_or_default().trim();
        let kind = check_bearer(text).map_err(|damage| {
            let hint = match damage {
                MalformedToken::Empty => "put the token there, or unset it",
                MalformedToken::Foreign => {
                    "nothing was sent; to store a secret, run `sealroom integration add`"
                }
                _ => "store only the token there, as it was printed; nothing was sent",
            };
            let told = CliError::failed(format!("the token in {source} is malformed: {damage}"), hint);
            CliError { code: Some("malformed".to_owned()), ..told }
        })?;
        Ok(Self { secret: Secret::from(text.to_owned()), kind, source })
    }
}

impl PlaceArgs {
    /// Returns the server for a login, without a token.
    pub(super) fn anonymous(&self, output: Output) -> Result<(Client, Option<PathBuf>), CliError> {
        let file = self.file()?;
        // A login repairs a damaged session.
        let saved = self.saved_session(&file).unwrap_or_default();
        let endpoint = self.endpoint(&file, saved.as_ref().map(|(_, session)| session))?;
        let saved = saved.filter(|(_, session)| session.server == endpoint.to_string());
        let ca_file = self.ca_file(&file).or(saved.and_then(|(_, session)| session.ca_file));
        let ca_file = ca_file.map(|path| std::path::absolute(&path).unwrap_or(path));
        Ok((self.client(endpoint, &file, ca_file.clone(), output)?, ca_file))
    }

    /// Returns a client that uses only the saved session, of the server that the settings name, and its file.
    pub(super) fn with_session(&self, output: Output) -> Result<(Client, SessionFile, String), CliError> {
        let file = self.file()?;
        let sessions = self.sessions(&file)?;
        let Some((place, session)) = self.saved_session(&file)? else {
            return Err(match sessions.load(None)? {
                Some((_, other)) => CliError::failed(
                    format!("not logged in to {}", self.endpoint(&file, None)?),
                    format!("the session belongs to {}: pass that to --server", other.server),
                ),
                None => CliError::failed("not logged in", "`sealroom login` begins a session"),
            });
        };
        let endpoint = self.endpoint(&file, Some(&session))?;
        let client = self.client(endpoint, &file, session.ca_file.clone(), output)?;
        let email = session.email.clone();
        Ok((client.with_session(place.clone(), session), place, email))
    }

    /// Returns the sessions of the profile.
    pub(super) fn own_sessions(&self) -> Result<Sessions, CliError> {
        self.sessions(&self.file()?)
    }

    fn sessions(&self, file: &FileClient) -> Result<Sessions, CliError> {
        let of_file = match (&self.profile, &file.profile) {
            (None, Some(name)) => Some(name.parse::<Profile>().map_err(|rule| {
                let source = self.source("profile", "client.profile");
                source.refuse(rule.to_string(), "name another one".to_owned())
            })?),
            _ => None,
        };
        Ok(Sessions::of_user(self.profile.as_ref().or(of_file.as_ref()))?)
    }

    /// Returns the saved session of the server that the settings name, or, where they name none, of the last login's.
    fn saved_session(&self, file: &FileClient) -> Result<Option<(SessionFile, Session)>, CliError> {
        let sessions = match self.sessions(file) {
            Ok(sessions) => sessions,
            // Without a home directory there is no session; a command that needs one reports that.
            Err(_) if self.profile.is_none() && file.profile.is_none() => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_named = self.server.is_some() || file.server.is_some();
        let server = if is_named { Some(self.endpoint(file, None)?.to_string()) } else { None };
        Ok(sessions.load(server.as_deref())?)
    }

    fn file(&self) -> Result<FileClient, CliError> {
        Ok(config::read(self.config.as_deref(), &self.given)?.client)
    }

    fn source(&self, id: &str, key: &'static str) -> Source {
        self.given.source(id, key, self.config.as_deref())
    }

    fn endpoint(&self, file: &FileClient, session: Option<&Session>) -> Result<Endpoint, CliError> {
        let given = self.server.clone().or_else(|| file.server.clone());
        let source = if given.is_some() { self.source("server", "client.server") } else { Source::Session };
        let text = given.or_else(|| session.map(|session| session.server.clone()));
        let endpoint = text.as_deref().unwrap_or(default::SERVER).parse();
        let endpoint: Endpoint = endpoint.map_err(|error: EndpointError| {
            let CliError { message, hint, .. } = CliError::from(error);
            source.refuse(message, hint)
        })?;
        if let Endpoint::Unix(path) = &endpoint {
            paths::check(path, &source)?;
        }
        let insecure = self.insecure_http.or(file.insecure_http).unwrap_or(false);
        if endpoint.is_exposed() && !insecure {
            return Err(source.refuse(
                format!("{endpoint} would send credentials over the network unencrypted"),
                "use https://, or accept the risk with --insecure-http",
            ));
        }
        Ok(endpoint)
    }

    fn ca_file(&self, file: &FileClient) -> Option<PathBuf> {
        self.ca_file.clone().or_else(|| file.ca_file.clone())
    }

    fn client(
        &self,
        endpoint: Endpoint,
        file: &FileClient,
        of_session: Option<PathBuf>,
        output: Output,
    ) -> Result<Client, CliError> {
        let given = self.ca_file(file);
        let source = if given.is_some() { self.source("ca_file", "client.ca_file") } else { Source::Session };
        let path = given.or(of_session);
        path.as_deref().map_or(Ok(()), |path| paths::check(path, &source))?;
        let roots = path.map_or(Roots::System, Roots::File);
        let direct = self.no_proxy.or(file.no_proxy).unwrap_or(false);
        let proxies = if direct { Proxies::none() } else { Proxies::of_environment() };
        let client = Client::new(endpoint, &roots).map_err(|error| match (error, &roots) {
            (Error::Roots(cause), Roots::File(_)) => CliError::failed(
                format!("{source}: {cause}"),
                "set it to a PEM file of certificate authorities",
            ),
            (error, _) => error.into(),
        })?;
        let wait = self.connect_wait_secs.or(file.connect_wait_secs).unwrap_or(default::CONNECT_WAIT_SECS);
        let client = client.through(&proxies)?.waiting_for_start(Duration::from_secs(wait.into()));
        Ok(client.on_notice(move |notice| say(&notice, output)))
    }
}

/// Returns the tokens in the environment, for a mask.
#[cfg(unix)]
pub(super) fn tokens_of_environment() -> Vec<Zeroizing<String>> {
    let names = TOKENS.iter().filter(|name| !name.ends_with("_FILE"));
    names.filter_map(|name| env::var(name).ok()).map(Zeroizing::new).collect()
}

/// Returns whether the environment has a token, which takes precedence over a session.
pub(super) fn has_token() -> bool {
    TOKENS.iter().any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Environment variables of a token; the first non-empty one counts, since pipelines set empty ones.
const TOKENS: [&str; 4] =
    ["SFP_SERVER_TOKEN", "SFP_SERVER_TOKEN_FILE", "SFP_APPLICATION_TOKEN", "SFP_APPLICATION_TOKEN_FILE"];

pub(super) fn say(notice: &Notice, output: Output) {
    match notice {
        Notice::Waiting { time, message } => {
            output.note(&format!("the server says: {}; waiting {} s", sentence(message), time.as_secs()));
        }
        Notice::ComingUp { server, time } => {
            let secs = time.as_secs();
            output.note(&format!("no server answers at {server}: waiting up to {secs} s for it to start"));
        }
        Notice::TokenEnds(end) => {
            let left = end.since(Clock::system().now());
            output.warning(&format!("this token ends at {}, in {}", local(*end), expiry::span(left)));
        }
        Notice::SessionUnsaved(cause) => {
            output.warning(&format!(
                "the renewed session could not be saved ({cause}): run `sealroom login` before the next command"
            ));
        }
    }
}
