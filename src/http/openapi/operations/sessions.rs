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
        "E-mail and password for a pair of tokens. A wrong password, an unknown and a disabled user are answered \
         alike. After too many failures the next tries are a 429, for known and unknown e-mails alike.",
    )
    .takes(examples::login_request())
    .answers(Reply::json(200, "A pair of tokens.", reference("Login"), examples::login()))
    .codes(&["bad_login", "too_many_tries", "disk_low"])
}

pub(super) fn refresh() -> Operation {
    Operation::new(
        TAG,
        "Refresh a session",
        "A refresh token works once. Used again within 30 s it gives another pair; used again later it ends the \
         whole session.",
    )
    .takes(examples::refresh_request())
    .answers(Reply::json(200, "A new pair of tokens.", reference("Login"), examples::login()))
    .codes(&["unauthorized", "token_expired", "too_many_tries", "disk_low"])
}

pub(super) fn logout() -> Operation {
    Operation::new(TAG, "Log out", "The session ends, its refresh token with it.")
        .answers(Reply::empty(204, "The session has ended."))
}
