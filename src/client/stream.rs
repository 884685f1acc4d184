//! Streamed answers: exports of the log, and backups.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{
    Method, StatusCode,
    body::{Body, Incoming},
};
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

/// Time limit for a server to make a backup and verify it, before its first byte.
const BACKUP_TIMEOUT: Duration = Duration::from_hours(4);

/// The range and format of an export.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportFilter {
    /// `format`, `from`, `to`, `fromSequence`, as the server spells them.
    pub parameters: Vec<(&'static str, String)>,
    /// `true` to continue with new records.
    pub follow: bool,
}

/// The records of an export or the bytes of a backup, as a stream.
pub struct Records {
    body: Incoming,
    /// Keeps the connection open, which lasts as long as its sender.
    _sender: Sender,
    server: String,
    follows: bool,
    length: Option<u64>,
}

impl Client {
    /// Begins an export.
    pub async fn export(&self, filter: &ExportFilter) -> Result<Records, Error> {
        let mut parameters: Vec<(&str, Option<&str>)> =
            filter.parameters.iter().map(|(name, value)| (*name, Some(value.as_str()))).collect();
        parameters.extend(filter.follow.then_some(("follow", Some("true"))));
        self.stream(&get("/sfp/api/audit/export", &parameters), filter.follow, ANSWER_TIMEOUT).await
    }

    /// Asks for a copy of the vault, which begins once the server has made and verified it.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn backup(&self) -> Result<Records, Error> {
        self.stream(&Call::new(Method::POST, "/sfp/api/backup"), false, BACKUP_TIMEOUT).await
    }

    async fn stream(&self, call: &Call, follows: bool, limit: Duration) -> Result<Records, Error> {
        let bearer = self.bearer().await?;
        let (status, records) = self.begin(call, bearer.as_ref(), follows, limit).await?;
        if status == StatusCode::UNAUTHORIZED && self.renew(bearer.as_ref()).await? {
            let renewed = self.bearer().await?;
            let (status, records) = self.begin(call, renewed.as_ref(), follows, limit).await?;
            return self.check_status(status, records).await;
        }
        self.check_status(status, records).await
    }

    async fn begin(
        &self,
        call: &Call,
        bearer: Option<&Secret>,
        follows: bool,
        limit: Duration,
    ) -> Result<(StatusCode, Records), Error> {
        // A separate connection: the stream occupies it, perhaps for days.
        let mut sender = self.open().await?;
        let request = self.request(call, bearer)?;
        let server = self.endpoint().to_string();
        let answer = timeout(limit, sender.send_request(request)).await;
        let late = || Error::Timeout { server: server.clone(), limit };
        let answer = answer.map_err(|_| late())?.map_err(|error| self.unanswered(&error))?;
        let (parts, body) = answer.into_parts();
        let length = body.size_hint().exact();
        Ok((parts.status, Records { body, _sender: sender, server, follows, length }))
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
    /// Returns the length in bytes, if the server stated it.
    pub const fn length(&self) -> Option<u64> {
        self.length
    }

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
