//! A client's error as a user reads it: cause, remedy, and the server's code.

use super::error::CliError;
use crate::client::{EndpointError, Error, Refusal, SessionError};

const LOGIN: &str = "run `sealroom login`";

impl From<Error> for CliError {
    fn from(error: Error) -> Self {
        let code = error.code().map(str::to_owned);
        let told = match &error {
            Error::Endpoint(endpoint) => return (*endpoint).into(),
            Error::Session(session) => Self::failed(session.to_string(), session_hint(session)),
            // The server's sentence has the remedy in it too, which is the hint's place.
            Error::Refused(refusal) if refusal.code == "locked" => {
                Self::failed("the vault is locked", refusal_hint(refusal))
            }
            Error::Refused(refusal) if refusal.code == "unauthorized" => Self::failed(
                format!("the server does not accept this token{}", source(refusal)),
                refusal_hint(refusal),
            ),
            Error::Refused(refusal) => {
                Self::failed(sentence(&refusal.message) + &source(refusal), refusal_hint(refusal))
            }
            Error::Roots(_) => {
                Self::failed(error.to_string(), "name a PEM file of authorities with --ca-file")
            }
            Error::Connect { .. } => Self::failed(
                error.to_string(),
                "start it with `sealroom serve`, or name yours with --server or SFP_SERVER_URL",
            ),
            Error::Tls { source, .. } => Self::failed(error.to_string(), tls_hint(&source.to_string())),
            Error::Broken { .. } => Self::failed(
                error.to_string(),
                "check that the URL is right (https:// where it speaks TLS); whether it was carried out is unknown",
            ),
            Error::Timeout { .. } => {
                Self::failed(error.to_string(), "look at the server; whether it was carried out is unknown")
            }
            Error::Foreign { .. } => Self::failed(
                error.to_string(),
                "check the URL in --server or SFP_SERVER_URL, and what runs there",
            ),
        };
        Self { code, ..told }
    }
}

impl From<EndpointError> for CliError {
    fn from(error: EndpointError) -> Self {
        let hint = match error {
            EndpointError::Scheme | EndpointError::Malformed => {
                "write it like https://vault.example.com, http://127.0.0.1:3029 or unix:/run/sealroom.sock"
            }
            EndpointError::UserInfo => "take them out, and run `sealroom login` or pass --token-file",
            EndpointError::Path => "give scheme, host and port alone; the API is served at the root",
        };
        Self::usage(error.to_string(), hint)
    }
}

impl From<SessionError> for CliError {
    fn from(error: SessionError) -> Self {
        Error::Session(error).into()
    }
}

fn session_hint(error: &SessionError) -> String {
    match error {
        SessionError::NoFolder => "set one of them, or pass --token-file".to_owned(),
        SessionError::Io { .. } => "check the path, its owner and its mode".to_owned(),
        SessionError::Damaged(path) => format!("rm {}, then {LOGIN}", path.display()),
        SessionError::Shared(path) => format!("chmod 600 {}", path.display()),
        SessionError::Ended | SessionError::Gone => LOGIN.to_owned(),
    }
}

fn tls_hint(cause: &str) -> &'static str {
    if cause.contains("InvalidContentType") || cause.contains("corrupt message") {
        return "the server may not speak TLS: try http://";
    }
    if cause.contains("UnknownIssuer") || cause.contains("CaUsedAsEndEntity") {
        return "its authority is not trusted: name its certificate with --ca-file";
    }
    if cause.contains("not valid for") || cause.contains("NotValidForName") {
        return "use a name that the certificate is for";
    }
    if cause.contains("xpired") {
        return "its certificate has expired: the operator renews it; check this host's clock";
    }
    "check the server's certificate, or name its authority's with --ca-file"
}

/// Which token it was: a variable that was set long ago silently comes before a login.
fn source(refusal: &Refusal) -> String {
    refusal.token_from.as_ref().map_or(String::new(), |source| format!("; it is from {source}"))
}

fn refusal_hint(refusal: &Refusal) -> String {
    let hint = match refusal.code.as_str() {
        "locked" => "on its host: sealroom unlock --data FILE",
        "token_expired" => {
            "an owner makes a new one, `sealroom token create NAME`; a person's own: sealroom login"
        }
        "unauthorized" => "it is unknown or revoked: run `sealroom login`, or ask an owner for a new token",
        "invalid_token" => "give the token alone, on one line",
        "bad_login" => "check both; after 5 failures the server makes you wait",
        "wrong_password" => "type your present password",
        "forbidden" => "use a login or token that has this role; `sealroom whoami` says what you are",
        "too_many_tries" => "wait that long, then try once",
        "too_many_matches" => "narrow it with --provider, --name or --project",
        "project_not_found" | "project_not_registered" => {
            "an owner registers it: sealroom project register PROJECT URL"
        }
        "integration_not_found" => "see what is stored: sealroom integration list",
        "token_not_found" => "see which there are: sealroom token list",
        "user_exists" | "user_not_found" => "see who is there: sealroom user list",
        "project_exists" => "see what it is: sealroom project show PROJECT",
        "project_in_use" => "see what is scoped to it: sealroom project show PROJECT",
        "revision_conflict" => "somebody changed it meanwhile: look at it and try again",
        "revision_not_found" => "the current and the 4 revisions before it are kept",
        "last_owner" => "make another owner first: sealroom user role EMAIL owner",
        "disk_low" | "audit_unavailable" | "tampered" | "internal" => {
            "tell the operator; the server's log says more"
        }
        "overloaded" | "shutting_down" => "try again in a moment",
        _ if refusal.status == 400 => "see --help of the command",
        _ => "the server's log says more",
    };
    hint.to_owned()
}

/// A server's sentence as one of ours: lower case, without its full stop.
pub(super) fn sentence(message: &str) -> String {
    // Whatever answers there must not steer the terminal, nor make two lines of one.
    let message = message.trim_end_matches('.').replace(char::is_control, " ");
    let message = message.strip_prefix("Forbidden - ").unwrap_or(&message);
    let mut chars = message.chars();
    let first = chars.next().map(|first| first.to_lowercase().to_string()).unwrap_or_default();
    first + chars.as_str()
}
