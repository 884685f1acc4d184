//! One call: its bytes, its retries, its waits.
//!
//! Only an idempotent call is retried on its own (GET, DELETE, PUT of a given revision, a refresh), and only if there
//! was no answer or the server said "later". Any call is retried if nothing was sent. A call that got a 429 was not
//! carried out, so any call waits for it, within a bound.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, header};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::{sleep, timeout};

use super::{Client, Error, Notice, ProxyFailure, Refusal, connect::Sender};
use crate::domain::Secret;

/// Time limit for one answer: a revocation may wait 5 s and a stalled disk longer; the server itself gives a request 30
/// s.
pub const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// Maximum total time that one call waits because the server says "later".
pub const WAIT_MAX: Duration = Duration::from_secs(30);
/// Maximum size of an answer: a thousand credentials of the largest body, and a little.
const ANSWER_BYTES_MAX: usize = 80 * 1024 * 1024;
/// Maximum number of attempts of a call.
const TRIES_MAX: u32 = 3;
/// The pause before a connection is retried, doubled each time: a server that restarts needs a moment.
const PAUSE: Duration = Duration::from_millis(100);

/// The identity that a call is sent with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    Caller,
    Nobody,
}

/// A request, before its encoding.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Bytes>,
    pub(super) media_type: &'static str,
    pub(super) revision: Option<u64>,
    pub(super) speaker: As,
    /// `true` if a second arrival is harmless, though the method does not say so.
    pub(super) twice: bool,
}

impl Call {
    pub(super) fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            body: None,
            media_type: "application/json",
            revision: None,
            speaker: As::Caller,
            twice: false,
        }
    }

    /// Adds a body of plain text, which is no secret.
    pub(super) fn with_text(self, text: String) -> Self {
        Self { body: Some(text.into()), media_type: "text/plain; charset=utf-8", ..self }
    }

    /// Adds a body, which is wiped once hyper has dropped it.
    pub(super) fn with_body(self, body: Secret) -> Self {
        Self { body: Some(Bytes::from_owner(Wiped(body))), ..self }
    }

    fn is_repeatable(&self) -> bool {
        match self.method {
            Method::GET | Method::DELETE => true,
            Method::PUT => self.revision.is_some(),
            _ => self.twice,
        }
    }
}

struct Wiped(Secret);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

/// The answer to a call.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: header::HeaderMap,
    pub(super) body: Secret,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The error body, as far as a client reads it.
#[derive(Deserialize)]
struct ErrorBody {
    code: String,
    message: String,
}

impl Client {
    /// Makes a call and reads its answer's JSON.
    pub(super) async fn json<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        let answer = self.answer(call).await?;
        serde_json::from_slice(answer.body.expose()).map_err(|_| self.foreign(answer.status))
    }

    /// Makes a call once and reads its answer's JSON, whatever its status.
    pub(super) async fn once<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        let answer = self.send(&call, None).await?;
        serde_json::from_slice(answer.body.expose()).map_err(|_| self.foreign(answer.status))
    }

    /// Makes a call until it has an answer that is not a refusal.
    pub(super) async fn answer(&self, call: Call) -> Result<Answer, Error> {
        let (mut tries, mut waited, mut renewed, mut repeated) = (1, Duration::ZERO, false, false);
        loop {
            let bearer = match call.speaker {
                As::Caller => self.bearer().await?,
                As::Nobody => None,
            };
            let outcome = self.send(&call, bearer.as_ref()).await;
            let refusal = match outcome {
                Ok(answer) if answer.status.is_success() => return Ok(answer),
                Ok(answer) => self.refusal(&answer)?,
                Err(error) => {
                    let unsent = error.is_unsent();
                    if tries >= TRIES_MAX || !(unsent || call.is_repeatable() && is_break(&error)) {
                        return Err(error);
                    }
                    repeated |= !unsent;
                    sleep(PAUSE * (1 << (tries - 1))).await;
                    tries += 1;
                    continue;
                }
            };
            // The session's access token expired, or another command replaced it: the call was not carried out.
            if refusal.status == 401
                && call.speaker == As::Caller
                && !renewed
                && self.renew(bearer.as_ref()).await?
            {
                renewed = true;
                continue;
            }
            let Some(wait) = later(&refusal, &call, tries).filter(|wait| waited + *wait <= WAIT_MAX) else {
                return if repeated && is_gone(&call, &refusal) {
                    Ok(Answer {
                        status: StatusCode::OK,
                        headers: header::HeaderMap::new(),
                        body: Secret::new(Vec::new()),
                    })
                } else {
                    Err(Error::Refused(refusal))
                };
            };
            (self.notify)(Notice::Waiting { time: wait, message: refusal.message });
            sleep(wait).await;
            waited += wait;
            tries += 1;
        }
    }

    pub(super) async fn send(&self, call: &Call, bearer: Option<&Secret>) -> Result<Answer, Error> {
        let mut sender = self.sender().await?;
        let request = self.request(call, bearer)?;
        let exchange = async {
            let answer = sender.send_request(request).await.map_err(|error| {
                // The server has meanwhile closed a kept connection: nothing was sent on it.
                if error.is_canceled() { self.unsent(error) } else { self.unanswered(&error) }
            })?;
            let (parts, body) = answer.into_parts();
            let whole = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let whole = whole.map_err(|error| self.broken(&*error))?.to_bytes();
            // hyper's own buffers cannot be wiped from here; this copy can.
            let body = Secret::new(whole.to_vec());
            Ok::<_, Error>(Answer { status: parts.status, headers: parts.headers, body })
        };
        let limit = ANSWER_TIMEOUT;
        let server = || self.endpoint().to_string();
        let answer =
            timeout(limit, exchange).await.map_err(|_| Error::Timeout { server: server(), limit })??;
        if let Some(proxy) = self.connector.forwarder()
            && answer.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED
        {
            return Err(proxy.failed(ProxyFailure::Unauthorized));
        }
        *self.kept.lock().await = Some(sender);
        if let Some(end) = answer.header("token-expires-at").and_then(|end| end.parse().ok()) {
            (self.notify)(Notice::TokenEnds(end));
        }
        Ok(answer)
    }

    /// Returns the connection of the previous call if it is still usable, or a new one.
    async fn sender(&self) -> Result<Sender, Error> {
        let kept = self.kept.lock().await.take();
        if let Some(mut sender) = kept
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        self.open().await
    }

    pub(super) fn request(
        &self,
        call: &Call,
        bearer: Option<&Secret>,
    ) -> Result<Request<Full<Bytes>>, Error> {
        let forwarder = self.connector.forwarder();
        let target = match forwarder {
            Some(_) => format!("{}{}", self.endpoint(), call.path),
            None => call.path.clone(),
        };
        let mut request = Request::builder()
            .method(&call.method)
            .uri(target)
            .header(header::HOST, self.connector.authority())
            .header(header::USER_AGENT, concat!("sealroom/", env!("CARGO_PKG_VERSION")));
        if let Some(bearer) = bearer {
            let text = [b"Bearer ", bearer.expose()].concat();
            let mut value =
                header::HeaderValue::from_maybe_shared(Bytes::from_owner(Wiped(Secret::new(text))))
                    .map_err(|_| self.unusable_token())?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        if let Some(authorization) = forwarder.and_then(|proxy| proxy.authorization.as_ref()) {
            request = request.header(header::PROXY_AUTHORIZATION, authorization);
        }
        if let Some(revision) = call.revision {
            request = request.header(header::IF_MATCH, revision);
        }
        if call.body.is_some() {
            request = request.header(header::CONTENT_TYPE, call.media_type);
        }
        let body = Full::new(call.body.clone().unwrap_or_default());
        request.body(body).map_err(|error| self.broken(&error))
    }

    pub(super) fn refusal(&self, answer: &Answer) -> Result<Refusal, Error> {
        let body: ErrorBody =
            serde_json::from_slice(answer.body.expose()).map_err(|_| self.foreign(answer.status))?;
        let secs = answer.header("retry-after").and_then(|secs| secs.parse().ok());
        let ErrorBody { code, message } = body;
        let retry_after = secs.map(Duration::from_secs);
        let status = answer.status.as_u16();
        let token_from = self.token_from.clone().filter(|_| status == 401);
        Ok(Refusal { status, code, message, retry_after, token_from })
    }

    pub(super) fn foreign(&self, status: StatusCode) -> Error {
        let server = self.endpoint().to_string();
        let server = match self.connector.proxy() {
            Some(proxy) => format!("{server} (through the proxy {proxy})"),
            None => server,
        };
        Error::Foreign { server, status: status.as_u16() }
    }

    fn unsent(&self, error: hyper::Error) -> Error {
        Error::Connect { server: self.endpoint().to_string(), source: std::io::Error::other(error) }
    }

    /// Returns the error of a request that was sent and got no answer.
    pub(super) fn unanswered(&self, error: &hyper::Error) -> Error {
        if error.is_parse() {
            Error::NotHttp { server: self.endpoint().to_string() }
        } else {
            self.broken(error)
        }
    }

    pub(super) fn broken(&self, error: &dyn std::error::Error) -> Error {
        let cause = error.source().map_or(String::new(), |cause| format!(" ({cause})"));
        Error::Broken { server: self.endpoint().to_string(), text: format!("{error}{cause}") }
    }

    /// Returns the refusal of a token with a line end in it, which no server issues.
    fn unusable_token(&self) -> Error {
        Error::Refused(Refusal {
            status: 401,
            code: "invalid_token".to_owned(),
            message: "The token contains invalid characters".to_owned(),
            retry_after: None,
            token_from: self.token_from.clone(),
        })
    }
}

const fn is_break(error: &Error) -> bool {
    matches!(error, Error::Broken { .. })
}

/// Returns the wait that the server asks for, if a retry is right.
fn later(refusal: &Refusal, call: &Call, tries: u32) -> Option<Duration> {
    let told = refusal.retry_after?;
    let again = match refusal.status {
        429 => true,
        // `locked`, `disk_low` and `audit_unavailable` need an operator, not time.
        503 => call.is_repeatable() && matches!(refusal.code.as_str(), "overloaded" | "shutting_down"),
        _ => false,
    };
    (again && tries < TRIES_MAX).then_some(told)
}

/// Returns whether a DELETE finds nothing because its first attempt, whose answer was lost, succeeded.
fn is_gone(call: &Call, refusal: &Refusal) -> bool {
    call.method == Method::DELETE && refusal.status == 404
}
