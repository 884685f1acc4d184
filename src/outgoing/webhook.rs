//! Notices to a webhook, signed as Standard Webhooks 1.0 asks.
//!
//! ```text
//! POST {path}
//! webhook-id: msg_…
//! webhook-timestamp: seconds since 1970
//! webhook-signature: v1,base64(HMAC-SHA-256(key, id ‖ "." ‖ timestamp ‖ "." ‖ body))
//! ```

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, header};
use tokio::time::timeout;
use url::Url;
use zeroize::Zeroizing;

use super::{calls::Outgoing, failure::Failure, hosts::ApiBase, session::Session};
use crate::{
    crypto::mac::MacKey,
    domain::{Invalid, Secret},
};

/// The time for one attempt, from the look-up of the name to the whole answer.
const ATTEMPT_MAX: Duration = Duration::from_secs(5);
/// The beginning of a secret's text.
const PREFIX: &str = "whsec_";
/// The lengths of a key, in bytes, as the specification bounds them.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// The port of https.
const HTTPS: u16 = 443;

/// A URL, and the key that signs what is sent there.
pub struct Webhook {
    base: ApiBase,
    key: MacKey,
}

impl Webhook {
    /// Reads the URL, and the key as `whsec_<base64>`.
    ///
    /// # Errors
    /// The URL is not https or names a user, or the key is not of that form or has not 24 to 64 bytes.
    pub fn new(url: &str, secret: &Secret) -> Result<Self, Invalid> {
        let invalid = Invalid::new("secret_file", "whsec_ and the base64 of 24 to 64 random bytes");
        let text = secret.expose_text().and_then(|text| text.trim().strip_prefix(PREFIX)).ok_or(invalid)?;
        let mut key = Zeroizing::new(STANDARD.decode(text).map_err(|_| invalid)?);
        if !KEY_BYTES.contains(&key.len()) {
            return Err(invalid);
        }
        Ok(Self { base: target(url)?, key: MacKey::new(Secret::new(std::mem::take(&mut *key))) })
    }

    /// Checks the URL alone.
    ///
    /// # Errors
    /// As [`Webhook::new`].
    pub fn check_url(url: &str) -> Result<(), Invalid> {
        target(url).map(drop)
    }

    /// Returns the host, with its port unless it is 443. The path may be a secret, and is never shown.
    pub fn host(&self) -> String {
        self.base.authority()
    }

    fn request(&self, id: &str, seconds: u64, body: &str) -> Result<Request<Full<Bytes>>, Failure> {
        let seconds = seconds.to_string();
        let parts: [&[u8]; 5] = [id.as_bytes(), b".", seconds.as_bytes(), b".", body.as_bytes()];
        let signature = format!("v1,{}", STANDARD.encode(self.key.code(&parts)));
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.base.path)
            .header(header::HOST, self.base.authority())
            .header(header::USER_AGENT, concat!("sealroom/", env!("CARGO_PKG_VERSION")))
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signature);
        request.body(Full::new(Bytes::from(body.to_owned()))).map_err(|_| Failure::Broken)
    }
}

impl Outgoing {
    /// Returns whether the webhook's host may be called.
    pub fn allows_webhook(&self, webhook: &Webhook) -> bool {
        self.allows(&webhook.base)
    }

    /// Sends a notice, once.
    ///
    /// # Errors
    /// The host is not listed, or gave no 2xx answer within 5 seconds. A redirect is no such answer.
    pub async fn notify(&self, webhook: &Webhook, id: &str, seconds: u64, body: &str) -> Result<(), Failure> {
        if !self.allows(&webhook.base) {
            return Err(Failure::ForbiddenAddress);
        }
        let request = webhook.request(id, seconds, body)?;
        let sending = async { Session::new(&self.tls, &webhook.base).send(request).await };
        let answer = timeout(ATTEMPT_MAX, sending).await.map_err(|_| Failure::TimedOut)??;
        if (200..300).contains(&answer.status) { Ok(()) } else { Err(Failure::Status(answer.status)) }
    }
}

/// Reads a URL with path and query.
fn target(text: &str) -> Result<ApiBase, Invalid> {
    let invalid = Invalid::new("url", "an https URL without a user, like https://hooks.example.com/sealroom");
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains(['\\', '#']);
    let url = Url::parse(text).ok().filter(|url| is_plain && url.scheme() == "https").ok_or(invalid)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid);
    }
    let host = url.host().map(|host| host.to_owned()).ok_or(invalid)?;
    let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
    let path = [url.path(), &query].concat();
    Ok(ApiBase { host, port: url.port().unwrap_or(HTTPS), path })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn webhook(url: &str) -> Webhook {
        Webhook::new(url, &Secret::from(SECRET.to_owned())).unwrap()
    }

    /// The example of the specification's own libraries.
    #[test]
    fn the_signature_is_that_of_the_published_example() {
        let hook = webhook("https://hooks.example.com/a?b=c");
        let request =
            hook.request("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#).unwrap();
        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("webhook-signature"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(header("webhook-id"), "msg_p5jXN8AQM9LWM0D4loKWxJek");
        assert_eq!(header("webhook-timestamp"), "1614265330");
        assert_eq!(
            (header("host").as_str(), request.uri().to_string().as_str()),
            ("hooks.example.com", "/a?b=c")
        );
    }

    #[test]
    fn only_an_https_url_without_a_user_and_a_long_key_are_taken() {
        for url in [
            "http://hooks.example.com/",
            "https://ada@hooks.example.com/",
            "https://ada:pw@hooks.example.com/",
            "https://",
            "hooks.example.com",
            "https://hooks.example.com/a b",
            "https://hooks.example.com/#x",
            "https:\\\\hooks.example.com",
            "",
        ] {
            assert!(Webhook::check_url(url).is_err(), "{url}");
        }
        assert_eq!(webhook("https://HOOKS.example.com:8443").host(), "hooks.example.com:8443");
        for secret in [
            "",
            "whsec_",
            "whsec_AAAA",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_%%%%",
            &"whsec_".repeat(9),
        ] {
            let secret = Secret::from(secret.to_owned());
            assert!(Webhook::new("https://hooks.example.com/", &secret).is_err());
        }
    }
}
