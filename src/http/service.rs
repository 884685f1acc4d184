//! One request: its checks in order, its handler, its answer.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Request, Response, StatusCode, Uri, Version,
    body::{Body, Incoming},
    header,
    http::{request::Parts, uri::Authority},
};
use tokio::time::timeout;

use super::{
    connection::Connection,
    edge::check_origin,
    error::HttpError,
    handlers, metrics, openapi,
    origin::Origin,
    request::{self, Call, Query, bad, bearer, is_well_formed},
    request_log::Line,
    response::{Answer, Payload},
    routes::{self, Access, Endpoint, Found, Route},
    server::Server,
};
use crate::{
    api::responses::{AuditState, Health},
    auth::policy::Verb,
    clock::monotonic,
    crypto::random,
    domain::{Actor, Caller, Email, RequestId, Timestamp, days},
    vault::{Admitted, Context, Error},
};

/// Answers announce the expiry of a token in this many last days.
const SOON_DAYS: u64 = 7;

/// Facts about a request, collected on the way to its answer.
#[derive(Default)]
struct Seen {
    route: Option<&'static Route>,
    caller: OnceLock<Actor>,
    /// Set once the whole body has been read.
    body_read: bool,
    /// The end of the caller's token.
    ends: OnceLock<Timestamp>,
    /// Set where a proxy does not say for which client the request is.
    unnamed: Option<HttpError>,
}

impl Server {
    pub(super) async fn respond(
        &self,
        request: Request<Incoming>,
        origin: Origin,
        connection: &Arc<Connection>,
    ) -> Response<Payload> {
        connection.begins();
        let started = monotonic();
        let now = self.clock.now();
        let id = RequestId::new(now, random::for_id().unwrap_or_default());
        let client = self.edge.client(request.headers(), origin.peer());
        let (peer, unnamed) = match client {
            Ok(peer) => (peer, None),
            Err(error) => (origin.peer(), Some(error)),
        };
        let context = Context { now, request: Some(id), peer: Some(peer) };
        let mut seen = Seen { body_read: request.body().is_end_stream(), unnamed, ..Seen::default() };
        let answered = self.answer(request, context, origin, connection, &mut seen).await;
        let mut answer = answered.unwrap_or_else(|error| error.answer(id));
        if let Some(end) = seen.ends.get().filter(|end| **end <= now.plus(days(SOON_DAYS))) {
            answer = answer.header("token-expires-at", end);
        }
        let took = monotonic().saturating_sub(started);
        self.metrics.observe(seen.route, answer.status.as_u16(), took);
        let line = Line {
            route: seen.route,
            caller: seen.caller.get().or(answer.authenticated.as_ref()),
            request: id,
            peer,
            status: answer.status.as_u16(),
            bytes: answer.body.len(),
            took,
        };
        line.log();
        connection.answers(!seen.body_read);
        let response = answer.finish(id, connection);
        // The revocation that calls this disclosure in may have looked at the connection before it held any.
        if connection.holds(*self.vault.closed_through().borrow()) {
            drop(response);
            return HttpError::from(Error::Overloaded).answer(id).finish(id, connection);
        }
        response
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        context: Context,
        origin: Origin,
        connection: &Connection,
        seen: &mut Seen,
    ) -> Result<Answer, HttpError> {
        let (head, body) = request.into_parts();
        check_form(&head)?;
        let (route, argument) = match routes::find(head.method.as_str(), head.uri.path()) {
            Found::Route(route, argument) => (route, argument.to_owned()),
            Found::OtherMethod(allow) => return Err(HttpError::Method(allow)),
            Found::Nothing => return Err(HttpError::NoRoute),
        };
        seen.route = Some(route);
        self.edge.check_host(&head.headers, &head.uri, origin.is_loopback)?;
        if route.changes_state() {
            check_origin(&head.headers)?;
        }
        // The proxy's own probes are for nobody.
        if let Some(error) = seen.unnamed.take()
            && !matches!(route.endpoint, Endpoint::Health | Endpoint::Ping)
        {
            tracing::warn!(peer = %origin.peer(), "the proxy named no client in X-Forwarded-For");
            return Err(error);
        }
        let query = Query::parse(head.uri.query());
        match route.endpoint {
            Endpoint::Health => return query.finish().map(|()| self.health(context.now)),
            Endpoint::Ping => return query.finish().map(|()| Answer::text("pong".to_owned())),
            Endpoint::ApiDocs => return query.finish().map(|()| Answer::fixed_json(openapi::document())),
            Endpoint::Metrics if origin.metrics_open => {
                return query.finish().map(|()| self.metrics(context.now));
            }
            Endpoint::AddCheckpoint => {
                query.finish()?;
                let text = self.collect(&head.headers, body).await?;
                seen.body_read = true;
                connection.decides();
                return self.add_checkpoint(&context, text).await;
            }
            Endpoint::WitnessedCheckpoint => {
                query.finish()?;
                return self.witnessed_checkpoint(&argument).await;
            }
            Endpoint::WitnessKey => {
                query.finish()?;
                return self.witness_key().await;
            }
            _ => {}
        }
        let known = (&seen.caller, &seen.ends);
        let caller = self.admit(route, &argument, &head.headers, &context, known).await?;
        if route.endpoint == Endpoint::Metrics {
            return query.finish().map(|()| self.metrics(context.now));
        }
        let body = if route.body.is_some() {
            let whole = self.body(&head.headers, body).await?;
            seen.body_read = true;
            whole
        } else {
            Bytes::new()
        };
        connection.decides();
        let if_match = head.headers.get(header::IF_MATCH).cloned();
        // Release hyper's read buffer, which the headers point into, before the handler waits.
        drop(head);
        let (vault, clock, closing) = (Arc::clone(&self.vault), self.clock.clone(), self.closing.clone());
        let call = Call { vault, clock, closing, context, caller, argument, query, if_match, body };
        // Boxed: the handlers' futures are large, and `Call` would be moved into each of them.
        let answer = handlers::answer(route.endpoint, Box::new(call)).await?;
        self.measured(answer, route, seen.caller.get())
    }

    /// Counts the answer to a read against its caller's part of the memory. What was changed is answered in any case.
    fn measured(&self, answer: Answer, route: &Route, caller: Option<&Actor>) -> Result<Answer, HttpError> {
        match caller.filter(|_| !route.changes_state()) {
            Some(caller) => Ok(answer.holding(|bytes| self.vault.hold_answer(caller.clone(), bytes))?),
            None => Ok(answer),
        }
    }

    /// Checks the lock, the token and the policy, in this order, before the body is read.
    async fn admit(
        &self,
        route: &Route,
        argument: &str,
        headers: &HeaderMap,
        context: &Context,
        (actor, ends): (&OnceLock<Actor>, &OnceLock<Timestamp>),
    ) -> Result<Option<Admitted>, HttpError> {
        if self.vault.is_locked() {
            return Err(self
                .vault
                .rolled_back()
                .map_or_else(|| Error::Locked.into(), |_| HttpError::OlderCopy));
        }
        let (own, other) = match route.access {
            Access::Open | Access::Login => return Ok(None),
            Access::Needs(verb) | Access::Local(verb) => (verb, verb),
            Access::OwnOr(own, other) => (own, other),
        };
        let verb = |caller: &Caller| -> Verb {
            // For the log and the answer, admitted or not.
            actor.get_or_init(|| caller.actor());
            if let Some(end) = caller.token_expires_at {
                ends.get_or_init(|| end);
            }
            let named = || request::argument::<Email>(argument).ok();
            let is_own = own != other && caller.email().is_some_and(|email| named().as_ref() == Some(email));
            if is_own { own } else { other }
        };
        let admitted = self.vault.admit(context, bearer(headers), verb).await?;
        if let Some(peer) = context.peer {
            self.limiter.know(peer);
        }
        Ok(Some(admitted))
    }

    /// Reads a JSON body.
    async fn body(&self, headers: &HeaderMap, body: Incoming) -> Result<Bytes, HttpError> {
        self.check_length(headers)?;
        let kind =
            headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(HttpError::MediaType);
        }
        self.collect(headers, body).await
    }

    fn check_length(&self, headers: &HeaderMap) -> Result<(), HttpError> {
        let bytes_max = self.limits.load().body_bytes_max;
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > bytes_max as u64) {
            return Err(HttpError::TooLarge { bytes_max });
        }
        Ok(())
    }

    /// Reads a body of any type, within the limits.
    async fn collect(&self, headers: &HeaderMap, body: Incoming) -> Result<Bytes, HttpError> {
        self.check_length(headers)?;
        let limits = self.limits.load();
        let bytes_max = limits.body_bytes_max;
        match timeout(limits.request_timeout, Limited::new(body, bytes_max).collect()).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(HttpError::TooLarge { bytes_max }),
            Ok(Err(_)) => Err(HttpError::BrokenBody),
            Err(_) => Err(HttpError::Timeout),
        }
    }

    fn health(&self, now: Timestamp) -> Answer {
        let gone = self.vault.is_file_gone();
        let audit = match (self.vault.is_locked(), gone || self.vault.is_failing()) {
            (true, _) => AuditState::Locked,
            (false, true) => AuditState::Unavailable,
            (false, false) => AuditState::Writable,
        };
        let low = self.vault.is_disk_low();
        let mut health = Health::new(env!("CARGO_PKG_VERSION"), audit, low, self.uptime_secs(now));
        if low {
            health = health.with_detail("disk_low");
        }
        if self.vault.rolled_back().is_some() {
            health = health.with_detail("rolled_back");
        }
        if self.vault.is_checkpoint_lost() {
            health = health.with_detail("checkpoint_lost");
        }
        if self.vault.is_backup_failed() {
            health = health.with_detail("backup_failed");
        }
        if self.vault.is_archive_failed() {
            health = health.with_detail("archive_failed");
        }
        if self.vault.is_witness_refused() {
            health = health.with_detail("witness_refused");
        }
        if self.vault.is_witness_silent() {
            health = health.with_detail("witness_silent");
        }
        if gone {
            health = health.with_detail("file_gone");
        }
        if self.vault.is_log_flawed() {
            health = health.with_detail("log_flawed");
        }
        let status = StatusCode::from_u16(health.status_code()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        Answer::json(status, &health)
    }

    fn metrics(&self, now: Timestamp) -> Answer {
        let tls_end = self.tls.get().and_then(|tls| tls.certificate_end());
        let (gauges, rejected) = (self.vault.gauges(now), self.vault.rejected());
        let page = self.metrics.page(gauges, rejected, self.uptime_secs(now), tls_end);
        Answer { content_type: metrics::CONTENT_TYPE, ..Answer::text(page) }
    }

    fn uptime_secs(&self, now: Timestamp) -> u64 {
        now.since(self.started).as_secs()
    }
}

/// Rejects requests that hyper accepts and HTTP forbids: no or two hosts (RFC 9112 §3.2), an undecodable target.
fn check_form(head: &Parts) -> Result<(), HttpError> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let is_host = |value: &header::HeaderValue| {
        value.is_empty() || value.to_str().is_ok_and(|text| text.parse::<Authority>().is_ok())
    };
    let one = match (hosts.next(), hosts.next()) {
        (Some(host), None) => is_host(host),
        (None, None) => head.version != Version::HTTP_11,
        (_, Some(_)) => false,
    };
    if !one {
        return Err(bad("invalid_host", "A request must have exactly one valid Host header".to_owned()));
    }
    check_target(&head.uri)
}

fn check_target(target: &Uri) -> Result<(), HttpError> {
    if is_well_formed(target.path()) && target.query().is_none_or(is_well_formed) {
        return Ok(());
    }
    Err(bad("invalid_target", "Path and query must be percent-encoded UTF-8".to_owned()))
}
