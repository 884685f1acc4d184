//! Contract §6: sessions.

use crate::http::openapi::{
    examples,
    operation::{Operation, Reply},
    schemas::reference,
};

pub(super) const TAG: &str = "Sessions";

pub(super) fn login() -> Operation {
    Operation::new(
        TAG,
        "Log in",
        "Exchanges e-mail and password for an access token and a refresh token. The answer does not distinguish a wrong \
         password, an unknown e-mail and a disabled user. Too many failures lead to 429, for known and unknown e-mails. \
         A user with a second factor also sends `otp`; without it, and with the right password alone, the answer is \
         `otp_required`.",
    )
    .takes(examples::login_request())
    .answers(Reply::json(200, "A pair of tokens.", reference("Login"), examples::login()))
    .codes(&["bad_login", "otp_required", "bad_otp", "too_many_tries", "disk_low"])
}

pub(super) fn refresh() -> Operation {
    Operation::new(
        TAG,
        "Refresh a session",
        "A refresh token is valid once. Reuse within 30 s returns another pair; later reuse revokes the whole session.",
    )
    .takes(examples::refresh_request())
    .answers(Reply::json(200, "A new pair of tokens.", reference("Login"), examples::login()))
    .codes(&["unauthorized", "token_expired", "too_many_tries", "disk_low"])
}

pub(super) fn logout() -> Operation {
    Operation::new(TAG, "Log out", "Revokes the session's access token and refresh token.")
        .answers(Reply::empty(204, "The session has ended."))
}
