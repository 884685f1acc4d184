//! Maps every error to its status, code, message and headers.

use hyper::StatusCode;

use super::response::Answer;
use crate::{
    api::{BadRequest, OLDER_COPY, responses::ErrorBody},
    audit::witness::Refusal,
    auth::policy::Denied,
    domain::RequestId,
    vault,
};

const WRONG_OTP: &str = "otp is wrong, or was used before; wait for the next code";
const STOPPING: &str = "The server is shutting down; try again once it is back";
/// The seconds after which a client may try again where nothing else is known.
const RETRY_SECS: u64 = 5;

/// The result of a handler.
pub(super) type HandlerResult = Result<Answer, HttpError>;

/// An error answer, before it is rendered.
pub(super) enum HttpError {
    /// No route has this path.
    NoRoute,
    /// The route does not have this method; holds the value of `Allow`.
    Method(String),
    /// The `Content-Type` is not JSON.
    MediaType,
    /// The body is too large.
    TooLarge { bytes_max: usize },
    /// The body did not arrive in time.
    Timeout,
    /// The client disconnected within the body.
    BrokenBody,
    /// The request names another server.
    Misdirected,
    /// A page of another origin made the request.
    ForeignOrigin,
    /// A part of the request is invalid.
    Bad(BadRequest),
    /// The vault is locked, and an unlock does not open it: its file is an older copy than its checkpoint folder knows.
    OlderCopy,
    /// The server stops, and does not wait for the answer.
    Stopping,
    /// The use case failed or refused.
    Vault(vault::Error),
    /// The witness refused a checkpoint; [`Refusal::Stale`] has an answer of its own.
    Witness(Refusal),
    /// The witness cannot keep its state, and so cosigns nothing.
    WitnessUnavailable,
}

impl From<vault::Error> for HttpError {
    fn from(error: vault::Error) -> Self {
        Self::Vault(error)
    }
}

impl From<BadRequest> for HttpError {
    fn from(error: BadRequest) -> Self {
        Self::Bad(error)
    }
}

impl From<crate::domain::Invalid> for HttpError {
    fn from(error: crate::domain::Invalid) -> Self {
        Self::Bad(error.into())
    }
}

impl HttpError {
    /// Logs the cause if the log has not got it, and makes the answer, which holds none of it.
    pub(super) fn answer(mut self, id: RequestId) -> Answer {
        if let Self::Vault(error) = self {
            self = Self::Vault(error.into_logged(Some(id)));
        }
        let (status, code, message) = self.describe();
        let reason = status.canonical_reason().unwrap_or("Error");
        let answer = Answer::json(status, &ErrorBody::new(status.as_u16(), reason, code, &message, id));
        match &self {
            Self::Method(allow) => answer.header("allow", allow),
            // The rest of the request stays unread.
            Self::TooLarge { .. } | Self::Timeout | Self::BrokenBody => answer.header("connection", "close"),
            Self::Vault(
                vault::Error::Unauthenticated
                | vault::Error::TokenExpired { .. }
                | vault::Error::BadLogin
                | vault::Error::OtpRequired
                | vault::Error::WrongLoginCode,
            ) => answer.header("www-authenticate", "Bearer"),
            Self::Vault(
                vault::Error::TooManyTries { retry_after_secs }
                | vault::Error::TooManyDisclosures { retry_after_secs }
                | vault::Error::TooManyWrites { retry_after_secs },
            ) => answer.header("retry-after", retry_after_secs),
            Self::Vault(vault::Error::NotMinted(unminted)) if status == StatusCode::BAD_GATEWAY => {
                answer.header("retry-after", unminted.wait.as_secs().max(RETRY_SECS))
            }
            _ if status == StatusCode::SERVICE_UNAVAILABLE => answer.header("retry-after", RETRY_SECS),
            _ => answer,
        }
    }

    fn describe(&self) -> (StatusCode, &'static str, String) {
        match self {
            Self::NoRoute => (StatusCode::NOT_FOUND, "route_not_found", "No such route".to_owned()),
            Self::Method(allow) => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                format!("Method not allowed; this route supports {allow}"),
            ),
            Self::MediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Unsupported media type; send JSON with Content-Type: application/json".to_owned(),
            ),
            Self::TooLarge { bytes_max } => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                format!("The body exceeds the limit of {bytes_max} bytes"),
            ),
            Self::Timeout => {
                (StatusCode::REQUEST_TIMEOUT, "request_timeout", "The body did not arrive in time".to_owned())
            }
            Self::BrokenBody => (
                StatusCode::BAD_REQUEST,
                "broken_body",
                "The connection ended before the whole body arrived".to_owned(),
            ),
            Self::Misdirected => (
                StatusCode::MISDIRECTED_REQUEST,
                "misdirected",
                "This server does not answer for that Host; the operator can add it to host_names".to_owned(),
            ),
            Self::ForeignOrigin => (
                StatusCode::FORBIDDEN,
                "foreign_origin",
                "A page of another origin may not change anything here".to_owned(),
            ),
            Self::OlderCopy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "locked",
                format!(
                    "The vault is locked: {OLDER_COPY}; on its host, put the newest file back, or start it once with \
                     --accept-rollback"
                ),
            ),
            Self::Bad(BadRequest { code, message }) => (StatusCode::BAD_REQUEST, code, message.clone()),
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down", STOPPING.to_owned()),
            Self::Vault(error) => describe(error),
            Self::Witness(refusal) => {
                let (status, code) = match refusal {
                    Refusal::Malformed => (StatusCode::BAD_REQUEST, "malformed_checkpoint"),
                    Refusal::UnknownLog => (StatusCode::NOT_FOUND, "log_not_found"),
                    Refusal::Unsigned => (StatusCode::FORBIDDEN, "unsigned_checkpoint"),
                    // A stale one has an answer of its own, with the size.
                    Refusal::Unproven | Refusal::Stale { .. } => {
                        (StatusCode::UNPROCESSABLE_ENTITY, "unproven_checkpoint")
                    }
                    // As tlog-witness v1.0.0 has it, and without a size; drafts after it have 422.
                    Refusal::Forked => (StatusCode::CONFLICT, "forked_checkpoint"),
                };
                (status, code, refusal.to_string())
            }
            Self::WitnessUnavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "witness_unavailable",
                "The witness cannot keep its state, so nothing was cosigned; its operator finds the cause in the log"
                    .to_owned(),
            ),
        }
    }
}

#[allow(clippy::too_many_lines, reason = "one table, an arm a variant; two halves would hide a gap")]
fn describe(error: &vault::Error) -> (StatusCode, &'static str, String) {
    use vault::{Error, MissingRepository};
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    let (status, code, message) = match error {
        Error::Logged(error) => return describe(error),
        Error::Locked => (unavailable, "locked", "The vault is locked: run `sealroom unlock` on its host"),
        Error::Overloaded => (unavailable, "overloaded", "Too many requests are waiting; try again"),
        Error::AuditUnavailable | Error::Unreadable(_) => (
            unavailable,
            "audit_unavailable",
            "The audit log cannot be written, so nothing was disclosed; a change may or may not have been stored",
        ),
        Error::DiskLow => (
            unavailable,
            "disk_low",
            "The server's disk is almost full; nothing is stored or disclosed until the operator frees space",
        ),
        Error::Tampered(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "tampered",
            "A stored record failed authentication; contact the operator",
        ),
        Error::Internal(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Internal error; the server log has the cause under this request id",
        ),
        Error::Unauthenticated => (
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "Unauthorized - Send a valid token as Authorization: Bearer <token>",
        ),
        Error::TokenExpired { since } => {
            return (StatusCode::UNAUTHORIZED, "token_expired", format!("The token expired at {since}"));
        }
        Error::Denied(denied) => {
            let code = match denied {
                // A read passes over other integrations, so that only a defect gets here with one.
                Denied::Role { .. } | Denied::Integration | Denied::OwnFactor => "forbidden",
                Denied::EnrolmentRequired => "otp_enrolment_required",
                Denied::Project => "outside_projects",
                Denied::Provider => "outside_providers",
                Denied::NotCreator => "not_creator",
            };
            return (StatusCode::FORBIDDEN, code, denied.to_string());
        }
        Error::BadLogin => (StatusCode::UNAUTHORIZED, "bad_login", "Wrong e-mail or password"),
        Error::WrongPassword => (StatusCode::FORBIDDEN, "wrong_password", "currentPassword is wrong"),
        Error::OtpRequired => (
            StatusCode::UNAUTHORIZED,
            "otp_required",
            "This user has a second factor; send the code of the authenticator, or a one-time code, as otp",
        ),
        Error::WrongOtp => (StatusCode::FORBIDDEN, "wrong_otp", WRONG_OTP),
        Error::WrongLoginCode => (StatusCode::UNAUTHORIZED, "bad_otp", WRONG_OTP),
        Error::OtpSet => (StatusCode::CONFLICT, "otp_set", "A second factor is set already; remove it first"),
        Error::OtpNotSet => (StatusCode::NOT_FOUND, "otp_not_set", "This user has no second factor"),
        Error::OtpNotBegun => (
            StatusCode::CONFLICT,
            "otp_not_begun",
            "No second factor was begun in the last ten minutes; start with POST /sfp/api/users/me/otp",
        ),
        Error::TooManyTries { retry_after_secs } => {
            let message = format!("Too many attempts; try again in {retry_after_secs} seconds");
            return (StatusCode::TOO_MANY_REQUESTS, "too_many_tries", message);
        }
        Error::TooManyDisclosures { retry_after_secs } => {
            let message = format!(
                "This caller has read too many credentials in this minute; try again in {retry_after_secs} seconds"
            );
            return (StatusCode::TOO_MANY_REQUESTS, "too_many_disclosures", message);
        }
        Error::TooManyWrites { retry_after_secs } => {
            let message = format!(
                "This caller has stored and asked too much in this minute; try again in {retry_after_secs} seconds"
            );
            return (StatusCode::TOO_MANY_REQUESTS, "too_many_writes", message);
        }
        Error::BadRequest(BadRequest { code, message }) => {
            return (StatusCode::BAD_REQUEST, code, message.clone());
        }
        Error::ProjectNotRegistered(project) => {
            return (
                StatusCode::BAD_REQUEST,
                "project_not_registered",
                format!("Project '{project}' not found"),
            );
        }
        Error::ExpiryPast => (StatusCode::BAD_REQUEST, "expiry_past", "expiresAt is in the past"),
        Error::NameNeeded => {
            (StatusCode::BAD_REQUEST, "name_needed", "name is required where provider is custom")
        }
        Error::NothingMatches { provider, project } => {
            let provider = provider.map(|provider| format!("provider={provider}"));
            let project = project.as_ref().map(|project| format!("project={project}"));
            let filters: Vec<String> = provider.into_iter().chain(project).collect();
            let by = if filters.is_empty() { String::new() } else { format!(" for {}", filters.join(", ")) };
            return (StatusCode::NOT_FOUND, "integration_not_found", format!("No integration found{by}"));
        }
        Error::RepositoryNotFound(missing) => {
            let code = match missing {
                MissingRepository::Project => "project_not_found",
                MissingRepository::Integration => "integration_not_found",
                MissingRepository::Installation => "app_not_installed",
            };
            (StatusCode::NOT_FOUND, code, "Repository not found")
        }
        Error::OutgoingDisabled(disabled) => {
            return (unavailable, "outgoing_disabled", disabled.to_string());
        }
        Error::NotMinted(unminted) => {
            return (StatusCode::BAD_GATEWAY, "provider_unreachable", unminted.message());
        }
        Error::TooManyMatches => (
            StatusCode::BAD_REQUEST,
            "too_many_matches",
            "More integrations match than one answer may hold; narrow the filters, or page with limit and cursor",
        ),
        Error::IntegrationNotFound => {
            (StatusCode::NOT_FOUND, "integration_not_found", "No integration with that id")
        }
        Error::RevisionNotFound => {
            (StatusCode::NOT_FOUND, "revision_not_found", "That revision is not stored")
        }
        Error::RevisionConflict { current } => {
            let message = format!("Revision conflict; the current revision is {}", current.number());
            return (StatusCode::PRECONDITION_FAILED, "revision_conflict", message);
        }
        Error::ProjectNotFound(project) => {
            return (StatusCode::NOT_FOUND, "project_not_found", format!("Project '{project}' not found"));
        }
        Error::ProjectExists => (StatusCode::CONFLICT, "project_exists", "The project already exists."),
        Error::ProjectInUse { integrations } => {
            let message = match integrations {
                1 => "1 integration is scoped to this project: delete or move it first".to_owned(),
                _ => format!(
                    "{integrations} integrations are scoped to this project: delete or move them first"
                ),
            };
            return (StatusCode::CONFLICT, "project_in_use", message);
        }
        Error::WouldShadow { integrations } => {
            let message = match integrations {
                1 => "It would be read in the place of 1 integration of an owner; ask an owner to store it"
                    .to_owned(),
                _ => format!(
                    "It would be read in the place of {integrations} integrations of owners; ask an owner to store it"
                ),
            };
            return (StatusCode::CONFLICT, "would_shadow", message);
        }
        Error::TokenNotFound => (StatusCode::NOT_FOUND, "token_not_found", "No such application token"),
        Error::TokenEnded => (
            StatusCode::CONFLICT,
            "token_ended",
            "The token has ended or was revoked; create another one with POST /sfp/api/application-tokens",
        ),
        Error::TokenRolled => (
            StatusCode::CONFLICT,
            "token_rolled",
            "The token has a successor that is active: roll that one, or revoke it first",
        ),
        Error::OutOfRange => (
            StatusCode::BAD_REQUEST,
            "out_of_range",
            "No such sequence or size in the log; GET /sfp/api/audit/checkpoint shows the current size",
        ),
        Error::Archived { last } => {
            return (StatusCode::GONE, "archived", format!("archived: sequences 0 to {last}"));
        }
        Error::UserExists => (StatusCode::CONFLICT, "user_exists", "A user with that e-mail already exists"),
        Error::UserNotFound => (StatusCode::NOT_FOUND, "user_not_found", "No such user"),
        Error::LastOwner => (
            StatusCode::CONFLICT,
            "last_owner",
            "The last enabled owner cannot be removed, disabled or demoted",
        ),
        Error::OwnLeave => (
            StatusCode::CONFLICT,
            "own_leave",
            "You cannot leave by your own request; another owner does it, and works off what you received",
        ),
    };
    (status, code, message.to_owned())
}
