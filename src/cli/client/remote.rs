//! The server that a command calls, and the identity of its calls: flag, environment, config file, saved session,
//! default.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde::Serialize;

use super::{client_error::sentence, expiry, token_source::Token};
use crate::{
    cli::{
        config,
        error::CliError,
        paths,
        source::{Given, Source},
        terminal::{
            output::Output,
            table::{local, table},
        },
    },
    client::{
        Client, Endpoint, EndpointError, Error, Notice, Profile, Proxies, Roots, Seen, Session, SessionFile,
        Sessions, Shorter,
    },
    clock::Clock,
    config::{FileClient, default},
    domain::token_text::TokenKind,
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

/// A server that a command calls.
pub(super) struct Remote {
    pub(super) client: Client,
    pub(super) output: Output,
    pub(super) speaker: Speaker,
    /// The log as this token or user saw it last.
    seen: Option<Mutex<Seen>>,
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
        let named = place.source("token_file", "client.token_file");
        let token = Token::find(self.token_file.as_deref(), file.token_file.as_deref(), &named, output)?;
        let session = match place.saved_session(&file) {
            // A given token is used without the session: a damaged session must not stop a pipeline.
            Err(_) if token.is_some() => None,
            session => session?,
        };
        let endpoint = place.endpoint(&file, session.as_ref().map(|(_, session)| session))?;
        let session = session.filter(|(_, session)| session.server == endpoint.to_string());
        let ca_file = session.as_ref().and_then(|(_, session)| session.ca_file.clone());
        let client = place.client(endpoint, &file, ca_file, output)?;
        let who = match (&token, &session) {
            (Some(token), _) => Some(token.secret.expose()),
            (None, session) => session.as_ref().map(|(_, session)| session.email.as_bytes()),
        };
        let seen = who.and_then(|who| Seen::of(client.endpoint(), who)).map(Mutex::new);
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
        Ok(Remote { client, output, speaker, seen })
    }
}

impl ServerArgs {
    /// Returns a client of another host without a token, by the same roads and with the same trust.
    ///
    /// # Errors
    /// A setting is wrong.
    #[cfg(feature = "server")]
    pub(super) fn other(&self, endpoint: Endpoint, output: Output) -> Result<Client, CliError> {
        let file = self.place.file()?;
        let session = self.place.saved_session(&file).unwrap_or_default();
        let ca_file = session.and_then(|(_, session)| session.ca_file);
        self.place.client(endpoint, &file, ca_file, output)
    }
}

impl Remote {
    /// Compares a receipt with those of earlier commands, and warns of a log that has become shorter.
    pub(super) fn remember(&self, receipt: &str) {
        let Some(seen) = &self.seen else { return };
        let shorter = seen.lock().unwrap_or_else(PoisonError::into_inner).note(receipt);
        if let Some(Shorter { before, now }) = shorter {
            self.output.warning(&format!(
                "the log of {} is shorter than before, record {now} after record {before}: an older copy of the vault \
                 may be served; ask its operator",
                self.client.endpoint()
            ));
        }
    }

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
        self.has_role("owner").await
    }

    /// Returns whether the caller is a member.
    pub(super) async fn is_member(&self) -> bool {
        self.has_role("member").await
    }

    async fn has_role(&self, role: &str) -> bool {
        self.speaker == Speaker::User && self.client.own_user().await.is_ok_and(|user| user.role == role)
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
