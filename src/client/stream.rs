//! Streamed answers: exports of the log.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{StatusCode, body::Incoming};
use tokio::time::timeout;

use super::{
    ANSWER_TIMEOUT, Client, Error,
    call::{Answer, Call},
    connect::Sender,
    routes::get,
};
use crate::domain::Secret;

/// Maximum size of a refusal, which has a few hundred bytes.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;
/// Maximum silence of a stream that ends; a stream that follows the log may be silent forever.
const SILENCE_MAX: Duration = ANSWER_TIMEOUT;

/// The range and format of an export.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportFilter {
    /// `format`, `from`, `to`, `fromSequence`, as the server spells them.
    pub parameters: Vec<(&'static str, String)>,
    /// `true` to continue with new records.
    pub follow: bool,
}

/// The records of an export, as a stream.
pub struct Records {
    body: Incoming,
    /// Keeps the connection open, which lasts as long as its sender.
    _sender: Sender,
    server: String,
    follows: bool,
}

impl Client {
    /// Begins an export.
    pub async fn export(&self, filter: &ExportFilter) -> Result<Records, Error> {
        let mut parameters: Vec<(&str, Option<&str>)> =
            filter.parameters.iter().map(|(name, value)| (*name, Some(value.as_str()))).collect();
        parameters.extend(filter.follow.then_some(("follow", Some("true"))));
        let call = get("/sfp/api/audit/export", &parameters);
        let bearer = self.bearer().await?;
        let (status, records) = self.begin(&call, bearer.as_ref(), filter.follow).await?;
        if status == StatusCode::UNAUTHORIZED && self.renew(bearer.as_ref()).await? {
            let renewed = self.bearer().await?;
            let (status, records) = self.begin(&call, renewed.as_ref(), filter.follow).await?;
            return self.check_status(status, records).await;
        }
        self.check_status(status, records).await
    }

    async fn begin(
        &self,
        call: &Call,
        bearer: Option<&Secret>,
        follows: bool,
    ) -> Result<(StatusCode, Records), Error> {
        // A separate connection: the stream occupies it, perhaps for days.
        let mut sender = self.open().await?;
        let request = self.request(call, bearer)?;
        let server = self.endpoint().to_string();
        let answer = timeout(ANSWER_TIMEOUT, sender.send_request(request)).await;
        let late = || Error::Timeout { server: server.clone(), limit: ANSWER_TIMEOUT };
        let answer = answer.map_err(|_| late())?.map_err(|error| self.unanswered(&error))?;
        let (parts, body) = answer.into_parts();
        Ok((parts.status, Records { body, _sender: sender, server, follows }))
    }

    async fn check_status(&self, status: StatusCode, records: Records) -> Result<Records, Error> {
        if status.is_success() {
            return Ok(records);
        }
        let whole = Limited::new(records.body, REFUSAL_BYTES_MAX).collect().await;
        let body = whole.map_err(|error| self.broken(&*error))?.to_bytes();
        let (headers, body) = (hyper::HeaderMap::new(), Secret::new(body.to_vec()));
        Err(Error::Refused(self.refusal(&Answer { status, headers, body })?))
    }
}

impl Records {
    /// Returns the next piece, which may end in the middle of a record; `None` at the regular end.
    ///
    /// # Errors
    /// The stream broke.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let limit = if self.follows { Duration::MAX } else { SILENCE_MAX };
        loop {
            let frame = timeout(limit, self.body.frame()).await;
            let late = || Error::Timeout { server: self.server.clone(), limit };
            let Some(frame) = frame.map_err(|_| late())? else { return Ok(None) };
            let frame = frame.map_err(|error| {
                let cause =
                    std::error::Error::source(&error).map_or(String::new(), |cause| format!(" ({cause})"));
                Error::Broken { server: self.server.clone(), text: format!("{error}{cause}") }
            })?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }
}
