//! Contract §6: second factors.

use serde_json::json;

use super::users::TAG;
use crate::http::openapi::{
    examples,
    operation::{Operation, Reply},
    schemas::reference,
};

pub(super) fn begin() -> Operation {
    Operation::new(
        TAG,
        "Begin to set a second factor",
        "Returns the secret for an authenticator (TOTP, RFC 6238). Nothing changes until its first code confirms it, \
         within ten minutes.",
    )
    .takes(json!({ "currentPassword": "password-example" }))
    .answers(Reply::json(200, "The secret, shown once.", reference("BegunOtp"), examples::begun_otp()))
    .codes(&["wrong_password", "too_many_tries", "otp_set", "disk_low"])
}

pub(super) fn confirm() -> Operation {
    Operation::new(
        TAG,
        "Set the second factor",
        "From now on a login needs a code. Returns ten one-time codes, each of which stands for one code of the \
         authenticator. The user's other sessions end.",
    )
    .takes(json!({ "otp": "123456" }))
    .answers(one_time_codes())
    .codes(&["wrong_otp", "too_many_tries", "otp_set", "otp_not_begun"])
}

pub(super) fn renew_codes() -> Operation {
    Operation::new(TAG, "Replace the one-time codes", "The earlier codes, used or not, are no longer valid.")
        .takes(examples::own_otp())
        .answers(one_time_codes())
        .codes(&["wrong_password", "wrong_otp", "too_many_tries", "otp_not_set"])
}

pub(super) fn remove_own() -> Operation {
    Operation::new(TAG, "Remove one's own second factor", "The user's other sessions end.")
        .takes(examples::own_otp())
        .answers(updated())
        .codes(&["wrong_password", "wrong_otp", "too_many_tries", "otp_not_set"])
}

pub(super) fn remove() -> Operation {
    Operation::new(
        TAG,
        "Remove another user's second factor",
        "For a user whose authenticator is lost. Ends all sessions of the user.",
    )
    .path("email", reference("Email"), "The user's e-mail.")
    .answers(updated())
    .codes(&["user_not_found", "otp_not_set"])
}

fn one_time_codes() -> Reply {
    Reply::json(200, "The one-time codes, shown once.", reference("OneTimeCodes"), examples::one_time_codes())
}

fn updated() -> Reply {
    let example = json!({ "success": true, "user": examples::user() });
    Reply::json(200, "The user after the change.", reference("UpdatedUser"), example)
}
