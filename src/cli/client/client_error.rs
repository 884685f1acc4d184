//! Client errors as users read them: cause, remedy, and the server's code.

use super::lock_told;
use crate::{
    cli::{error::CliError, usage},
    client::{EndpointError, Error, ProxyFailure, Refusal, SessionError, TlsFailure},
};

const LOGIN: &str = "run `sealroom login`";
/// The hint for a project that is not registered.
pub(super) const REGISTER: &str = "an owner registers it: sealroom project register PROJECT [URL]";

/// Returns whether the server may have applied the change: the answer was lost, or the server itself does not know.
pub(super) fn is_in_doubt(error: &Error) -> bool {
    match error {
        Error::Broken { .. } | Error::Timeout { .. } => true,
        Error::Foreign { status, .. } => (200..300).contains(status),
        Error::Refused(refusal) => refusal.code == "audit_unavailable",
        Error::Endpoint(_)
        | Error::Roots(_)
        | Error::Connect { .. }
        | Error::Tls { .. }
        | Error::Proxy { .. }
        | Error::NotHttp { .. }
        | Error::Session(_) => false,
    }
}

impl From<Error> for CliError {
    fn from(error: Error) -> Self {
        let code = error.code().map(str::to_owned);
        let told = match &error {
            Error::Endpoint(endpoint) => return (*endpoint).into(),
            Error::Session(session) => Self::failed(session.to_string(), session_hint(session)),
            // The server's sentence also contains the remedy, which belongs in the hint.
            Error::Refused(refusal) if refusal.code == "locked" => lock_told::refused(&refusal.message),
            Error::Refused(refusal) if refusal.code == "unauthorized" => Self::failed(
                format!("the server does not accept this token{}", source(refusal)),
                refusal_hint(refusal),
            ),
            Error::Refused(refusal) => {
                Self::failed(sentence(&refusal.message) + &source(refusal), refusal_hint(refusal))
            }
            Error::Roots(_) => {
                Self::failed(error.to_string(), "pass a PEM file of certificate authorities with --ca-file")
            }
            Error::Connect { .. } => Self::failed(
                error.to_string(),
                "start it with `sealroom serve`, or pass its URL with --server or SFP_SERVER_URL",
            ),
            Error::Tls { failure, .. } => Self::failed(error.to_string(), tls_hint(failure)),
            Error::Proxy { variable, failure, .. } => {
                Self::failed(error.to_string(), proxy_hint(variable, failure))
            }
            Error::NotHttp { .. } => Self::failed(
                error.to_string(),
                "check host and port; for a TLS server the URL begins with https://",
            ),
            Error::Broken { .. } => Self::failed(
                error.to_string(),
                "check the URL (https:// for a TLS server); the request may have been carried out",
            ),
            Error::Timeout { .. } => {
                Self::failed(error.to_string(), "check the server; the request may have been carried out")
            }
            Error::Foreign { .. } => Self::failed(
                error.to_string(),
                "check the URL in --server or SFP_SERVER_URL, and what runs there",
            ),
        };
        Self { code, ..told }
    }
}

/// The role of ours that reads the log too.
pub(super) const AUDITOR: &str = "auditor";

/// Returns the error of a request that tokens of one of our own roles may make too: the refusal's text, which the
/// contract fixes, does not name that role.
pub(super) fn or_role(role: &'static str) -> impl Fn(Error) -> CliError {
    move |error| {
        let told = CliError::from(error);
        if told.code.as_deref() != Some("forbidden") {
            return told;
        }
        let hint = format!(
            "an owner may, and so may a token of role {role}: sealroom token create NAME --role {role}; \
             `sealroom whoami` shows your role"
        );
        CliError { hint, ..told }
    }
}

impl From<EndpointError> for CliError {
    fn from(error: EndpointError) -> Self {
        let hint = match error {
            EndpointError::Scheme | EndpointError::Malformed => {
                "write it like https://vault.example.com, http://127.0.0.1:3029 or unix:/run/sealroom.sock"
            }
            EndpointError::UserInfo => "remove them, and run `sealroom login` or pass --token-file",
            EndpointError::Path => "use only scheme, host and port; the API is served at the root",
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
        SessionError::Unwritable { .. } => {
            "fix the folder's owner and mode, or free disk space; the session is still valid".to_owned()
        }
        SessionError::Io { .. } => "check the path, its owner and its mode".to_owned(),
        SessionError::Damaged(path) => format!("rm {}, then {LOGIN}", path.display()),
        SessionError::Shared(path) => format!("chmod 600 {}", path.display()),
        SessionError::Ended | SessionError::Gone => LOGIN.to_owned(),
    }
}

fn tls_hint(failure: &TlsFailure) -> &'static str {
    match failure {
        TlsFailure::NotTls => "check host and port; for a server without TLS the URL begins with http://",
        TlsFailure::UnknownAuthority(None) => {
            "pass its authority's certificate with --ca-file; a self-signed certificate is its own authority"
        }
        TlsFailure::UnknownAuthority(Some(_)) => {
            "pass the issuing authority's certificate with --ca-file; a self-signed certificate is its own authority"
        }
        TlsFailure::OtherKey => "it was reissued: pass the current certificate with --ca-file",
        TlsFailure::Authority => {
            "the operator must issue one with basicConstraints=critical,CA:FALSE, as `sealroom tls make` does"
        }
        TlsFailure::OtherName(names) if names.is_empty() => {
            "the operator must issue one with subjectAltName=DNS:… or IP:…, as `sealroom tls make` does"
        }
        TlsFailure::OtherName(_) => "use a name that the certificate lists, or have one issued for this name",
        TlsFailure::Expired(_) => "the operator must renew it; check this host's clock",
        TlsFailure::NotYetValid(_) => {
            "check this host's clock, then that of the host that issued the certificate"
        }
        TlsFailure::Revoked => "the operator must obtain a new one",
        TlsFailure::OtherPurpose => "the operator must issue one with extendedKeyUsage=serverAuth",
        TlsFailure::Unreadable => {
            "the operator must issue one of X.509 version 3, as `sealroom tls make` does"
        }
        TlsFailure::Incompatible => "the server must speak TLS 1.2 or 1.3",
        TlsFailure::WantsCertificate => {
            "sealroom authenticates with tokens: turn client certificates off at the server"
        }
        TlsFailure::NoName => "name the server by its DNS name or address",
        TlsFailure::Alert(_) | TlsFailure::Ended | TlsFailure::Other => {
            "check host and port, any proxy in front of the server, and the server's log"
        }
    }
}

fn proxy_hint(variable: &str, failure: &ProxyFailure) -> String {
    match failure {
        ProxyFailure::Unusable => format!(
            "write {variable} like http://HOST:PORT or http://USER:PASSWORD@HOST:PORT (%40 for an @), or pass --no-proxy"
        ),
        ProxyFailure::Unauthorized => {
            format!("set them in {variable}: http://USER:PASSWORD@HOST:PORT, with %40 for an @")
        }
        ProxyFailure::Tls(failure) => format!("{}; or bypass the proxy: --no-proxy", tls_hint(failure)),
        ProxyFailure::Refused(_) => {
            "ask the proxy's operator, or bypass the proxy: --no-proxy, or the server's host in NO_PROXY"
                .to_owned()
        }
        ProxyFailure::Unreachable(_) | ProxyFailure::Late | ProxyFailure::Foreign => {
            format!("check {variable}, or bypass the proxy: --no-proxy, or the server's host in NO_PROXY")
        }
    }
}

/// Names the source of the refused token: a variable that was set long ago silently takes precedence over a login.
fn source(refusal: &Refusal) -> String {
    refusal.token_from.as_ref().map_or(String::new(), |source| format!("; it is from {source}"))
}

fn refusal_hint(refusal: &Refusal) -> String {
    let hint = match refusal.code.as_str() {
        "token_expired" => {
            "ask an owner for a new token (`sealroom token create NAME`), or run `sealroom login`"
        }
        "unauthorized" if refusal.token_from.is_some() => {
            "it is unknown or revoked: ask an owner for a new token, or remove it there and run `sealroom login`"
        }
        "unauthorized" => "it is unknown or revoked: run `sealroom login`, or ask an owner for a new token",
        "invalid_token" => "pass only the token, on one line",
        "bad_login" => "check e-mail and password; after 5 failures the server makes you wait",
        "otp_required" => "pass the code with --otp-file, or log in at a terminal",
        "wrong_otp" | "bad_otp" => "wait for the next code, and check the clock of the device that shows it",
        "otp_enrolment_required" => "set one: sealroom user otp enable",
        "otp_set" => "remove it first: sealroom user otp disable",
        "otp_not_set" => "`sealroom user list` shows who has one",
        "otp_not_begun" => "begin again: sealroom user otp enable",
        "wrong_password" => "type your current password",
        "forbidden" => "use a login or token that has this role; `sealroom whoami` shows yours",
        "outside_projects" => {
            "`sealroom project list` shows yours; an owner can extend a user with `sealroom user projects`, \
             and makes a new token for another project"
        }
        "outside_providers" => {
            "ask an owner for a token for this provider: sealroom token create NAME --provider PROVIDER"
        }
        "archived" => {
            "they are in the archives of `audit archive`, which `audit verify` examines: ask about a later time"
        }
        "not_creator" => "check its id; only an owner or the user who stored it may change it",
        "too_many_tries" => "wait that long, then try once",
        "too_many_disclosures" | "too_many_writes" => "wait that long; the operator sets the limit",
        "too_many_matches" => "narrow it with --provider, --name or --project",
        "project_not_found" | "project_not_registered" => REGISTER,
        "app_not_installed" => "install the GitHub App for that repository, on GitHub",
        "provider_unreachable" => "check the stored App with its owner; the server's log has the cause",
        "outgoing_disabled" => "the operator sets [outgoing] in the file of `sealroom serve --config FILE`",
        "integration_not_found" => "see what is stored: sealroom integration list",
        "token_not_found" => "see the tokens: sealroom token list",
        "user_exists" | "user_not_found" => "see the users: sealroom user list",
        "project_exists" => "see what it is: sealroom project show PROJECT",
        "project_in_use" => "see what is scoped to it: sealroom project show PROJECT",
        "revision_conflict" => "it was changed meanwhile: check the change and try again",
        "revision_not_found" => "only the current revision and the 4 before it are kept",
        "token_ended" => "create another one: sealroom token create NAME",
        "token_rolled" => "roll its successor, or revoke that first: sealroom token list",
        "own_leave" => "another owner runs it: sealroom user leave EMAIL",
        "last_owner" => "make another owner first: sealroom user role EMAIL owner",
        "disk_low" | "audit_unavailable" | "tampered" | "internal" => {
            "tell the operator; the server's log says more"
        }
        "body_too_large" => "the limit is 64 KiB per credential, or the server's body_bytes_max",
        "name_needed" => "pass --name NAME",
        "overloaded" | "shutting_down" => "try again in a moment",
        _ if refusal.status == 400 => return usage::see_help(),
        _ if refusal.status == 403 => "`sealroom whoami` shows your role; ask an owner",
        _ => "the server's log says more",
    };
    hint.to_owned()
}

/// Rewrites a server's sentence in our style: lower case, without its full stop.
pub(super) fn sentence(message: &str) -> String {
    // The peer's text must not control the terminal, nor forge a second line.
    let message = message.trim_end_matches('.').replace(char::is_control, " ");
    let message = message.strip_prefix("Forbidden - ").unwrap_or(&message);
    let mut chars = message.chars();
    let first = chars.next().map(|first| first.to_lowercase().to_string()).unwrap_or_default();
    first + chars.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failed_handshake_has_a_remedy_of_its_kind() {
        for (failure, remedy) in [
            (TlsFailure::NotTls, "begins with http://"),
            (TlsFailure::UnknownAuthority(None), "its authority's certificate with --ca-file"),
            (TlsFailure::UnknownAuthority(Some("ca.pem".into())), "issuing authority's certificate"),
            (TlsFailure::OtherKey, "reissued"),
            (TlsFailure::Authority, "CA:FALSE"),
            (TlsFailure::OtherName(Vec::new()), "subjectAltName"),
            (TlsFailure::OtherName(vec!["a.example".to_owned()]), "use a name that the certificate lists"),
            (TlsFailure::Expired(None), "must renew it"),
            (TlsFailure::NotYetValid(None), "clock"),
            (TlsFailure::Revoked, "must obtain a new one"),
            (TlsFailure::OtherPurpose, "serverAuth"),
            (TlsFailure::Unreadable, "X.509 version 3"),
            (TlsFailure::Incompatible, "TLS 1.2 or 1.3"),
            (TlsFailure::WantsCertificate, "turn client certificates off"),
            (TlsFailure::NoName, "DNS name or address"),
            (TlsFailure::Alert(80), "the server's log"),
            (TlsFailure::Ended, "the server's log"),
            (TlsFailure::Other, "the server's log"),
        ] {
            let hint = tls_hint(&failure);
            assert!(hint.contains(remedy), "{failure:?}: {hint}");
            let through_proxy = proxy_hint("HTTPS_PROXY", &ProxyFailure::Tls(failure));
            assert!(
                through_proxy.starts_with(hint) && through_proxy.contains("--no-proxy"),
                "{through_proxy}"
            );
        }
    }

    #[test]
    fn every_failed_proxy_has_a_remedy_that_names_its_variable_or_the_way_around_it() {
        for failure in [
            ProxyFailure::Unusable,
            ProxyFailure::Unreachable(std::io::ErrorKind::ConnectionRefused.into()),
            ProxyFailure::Late,
            ProxyFailure::Unauthorized,
            ProxyFailure::Refused(503),
            ProxyFailure::Foreign,
        ] {
            let hint = proxy_hint("HTTPS_PROXY", &failure);
            assert!(hint.contains("HTTPS_PROXY") || hint.contains("--no-proxy"), "{failure:?}: {hint}");
        }
    }
}
