//! Requests, as types that are valid by construction.
//!
//! One file for each subject of the contract. The vault checks the rules that need a row or the time: a registered
//! project, an expiry in the future, a password's length.

mod integrations;
mod otp;
mod projects;
mod tokens;
mod users;

use super::{
    bad_request::BadRequest,
    fields::{Fields, Value},
    strict,
};
use crate::domain::Role;

pub use super::fields::Change;
pub use integrations::{
    CreateIntegration, RollbackCredentials, RotateCredentials, UpdateIntegration, check_fields,
};
pub use otp::{BeginOtp, ConfirmOtp, OwnOtp};
pub use projects::CreateProject;
pub use tokens::{CreateToken, OVERLAP_SECS_MAX, RollToken};
pub use users::{CreateUser, DeleteUser, LeaveUser, Login, Refresh, UpdateUser};

/// The most projects in one list (contract §3).
pub const PROJECTS_MAX: usize = 100;
/// The most integrations that a token names: a row stays small.
pub const INTEGRATIONS_MAX: usize = 100;

/// A request with a JSON body.
pub trait Request: Sized {
    /// The type's name; its OpenAPI schema is this with `Request` appended.
    const NAME: &'static str;
    /// The fields, in the spelling of the contract.
    const FIELDS: &'static [&'static str];

    /// Parses the fields.
    ///
    /// # Errors
    /// [`BadRequest`] for the first field that is missing or invalid.
    fn read(fields: &mut Fields<'_>) -> Result<Self, BadRequest>;
}

/// Parses a body: strict JSON, an object, known fields only, each by its rule.
///
/// # Errors
/// [`BadRequest`] for the first flaw.
pub fn parse<T: Request>(body: &[u8]) -> Result<T, BadRequest> {
    let mut fields = Fields::read(strict::check(body)?, T::FIELDS)?;
    let request = T::read(&mut fields)?;
    fields.finish()?;
    Ok(request)
}

/// Parses a role that `fits`; `rule` lists the permitted ones.
fn role(value: Value<'_>, fits: impl Fn(Role) -> bool, rule: &str) -> Result<Role, BadRequest> {
    let known = value.text()?.parse().ok().filter(|role| fits(*role));
    known.ok_or_else(|| BadRequest::invalid("role", rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The refusal of a body.
    pub(super) fn refused<T: Request>(body: &str) -> BadRequest {
        match parse::<T>(body.as_bytes()) {
            Ok(_) => panic!("{body} is taken"),
            Err(refusal) => refusal,
        }
    }

    /// The request in a body.
    pub(super) fn taken<T: Request>(body: &str) -> T {
        parse(body.as_bytes()).unwrap_or_else(|refusal| panic!("{body}: {refusal}"))
    }

    fn never_echoes<T: Request>() {
        const MARKER: &str = "hunter2 s3cret";
        for field in T::FIELDS {
            for value in [
                format!("\"{MARKER}\""),
                format!("[\"{MARKER}\"]"),
                format!("{{\"{MARKER}\":\"{MARKER}\"}}"),
                format!("\"{MARKER}"),
                format!("\"{MARKER}\\ud800\""),
            ] {
                if let Err(refusal) = parse::<T>(format!("{{\"{field}\":{value}}}").as_bytes()) {
                    assert!(!refusal.message.contains("hunter2"), "{refusal}");
                }
            }
        }
        let refusal = refused::<T>(&format!("{{\"{MARKER}\":1}}"));
        assert!(!refusal.message.contains("hunter2"), "{refusal}");
    }

    #[test]
    fn no_refusal_repeats_a_value() {
        never_echoes::<CreateIntegration>();
        never_echoes::<UpdateIntegration>();
        never_echoes::<RotateCredentials>();
        never_echoes::<RollbackCredentials>();
        never_echoes::<CreateProject>();
        never_echoes::<CreateToken>();
        never_echoes::<RollToken>();
        never_echoes::<CreateUser>();
        never_echoes::<UpdateUser>();
        never_echoes::<DeleteUser>();
        never_echoes::<LeaveUser>();
        never_echoes::<Login>();
        never_echoes::<Refresh>();
        never_echoes::<BeginOtp>();
        never_echoes::<ConfirmOtp>();
        never_echoes::<OwnOtp>();
    }

    #[test]
    fn a_body_that_is_no_json_is_refused_by_place() {
        let refusal = refused::<Login>("{\"email\":");
        assert_eq!(refusal.code, "malformed_json");
        assert_eq!(refusal.message, "the body is not valid JSON: it ends too early (line 1, column 9)");
        assert_eq!(refused::<Login>("").message, "the body is empty where JSON is expected");
        assert_eq!(refused::<Login>(r#"{"email":"a","email":"b"}"#).code, "malformed_json");
    }
}
