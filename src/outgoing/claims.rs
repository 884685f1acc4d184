//! The token with which a GitHub App authenticates itself (RFC 7519).

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    crypto::{random::RandomError, rs256::SigningKey},
    domain::{Timestamp, minutes, seconds},
};

/// GitHub refuses a token from the future: its clock may be behind by this much.
const SKEW: Duration = seconds(60);
/// The life from now on. GitHub allows ten minutes by its own clock, which may be behind.
const LIFE: Duration = minutes(9);

#[derive(Serialize)]
struct Claims<'a> {
    iat: u64,
    exp: u64,
    iss: &'a str,
}

/// Returns the signed token of an App.
pub(super) fn signed(
    key: &SigningKey,
    issuer: &str,
    now: Timestamp,
) -> Result<Zeroizing<String>, RandomError> {
    let secs = |at: Timestamp| at.millis() / 1000;
    let claims = Claims { iat: secs(now.minus(SKEW)), exp: secs(now.plus(LIFE)), iss: issuer };
    let claims = serde_json::to_vec(&claims).expect("claims have text keys and write to memory");
    let signed =
        [&URL_SAFE_NO_PAD.encode(br#"{"alg":"RS256","typ":"JWT"}"#), ".", &URL_SAFE_NO_PAD.encode(claims)];
    let signed = signed.concat();
    let signature = Zeroizing::new(URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())?));
    Ok(Zeroizing::new([&signed, ".", &signature].concat()))
}
