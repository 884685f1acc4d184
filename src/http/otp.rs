//! The endpoints of second factors.

use hyper::StatusCode;

use super::{error::HandlerResult, request::Call, response::Answer};
use crate::{
    api::{
        requests::{BeginOtp, ConfirmOtp, OwnOtp},
        responses::{BegunOtp, OneTimeCodes, UpdatedUser, to_secret_json},
    },
    domain::{Email, Secret, User},
};

pub(super) async fn begin(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let BeginOtp { current_password } = call.parse()?;
    let begun = call.vault.begin_otp(&call.context, call.caller()?, current_password).await?;
    Ok(Answer::secret(StatusCode::OK, to_secret_json(&BegunOtp::new(&begun.secret, &begun.uri))))
}

pub(super) async fn confirm(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let ConfirmOtp { otp } = call.parse()?;
    Ok(codes(&call.vault.confirm_otp(&call.context, call.caller()?, otp).await?))
}

pub(super) async fn renew_codes(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let request: OwnOtp = call.parse()?;
    Ok(codes(&call.vault.renew_otp_codes(&call.context, call.caller()?, request).await?))
}

pub(super) async fn remove_own(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let request: OwnOtp = call.parse()?;
    Ok(updated(&call.vault.remove_own_otp(&call.context, call.caller()?, request).await?))
}

pub(super) async fn remove(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let email: Email = call.argument()?;
    Ok(updated(&call.vault.remove_otp(&call.context, call.caller()?, email).await?))
}

fn codes(codes: &[Secret]) -> Answer {
    Answer::secret(StatusCode::OK, to_secret_json(&OneTimeCodes::new(codes)))
}

fn updated(user: &User) -> Answer {
    Answer::json(StatusCode::OK, &UpdatedUser::new(user))
}
