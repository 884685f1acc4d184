//! Answers: status, headers, and a body that is wiped after it is sent.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    body::{Body, Frame, SizeHint},
    header::{self, HeaderName, HeaderValue},
};
use tokio::sync::mpsc;

use super::connection::Connection;
use crate::{
    api::responses,
    domain::{Actor, RequestId, Secret},
    vault::{AnswerBytes, Disclosure, ExportTurn},
};

/// An answer before it has its common headers.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) body: Bytes,
    pub(super) disclosure: Option<Disclosure>,
    /// The user whom a login or a refresh authenticated, for the log.
    pub(super) authenticated: Option<Actor>,
    pub(super) stream: Option<Pieces>,
    /// The length of the stream, if it is known.
    pub(super) length: Option<u64>,
}

/// The pieces of a streamed body.
pub(super) type Pieces = mpsc::Receiver<io::Result<Piece>>;

/// A piece of a streamed body.
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    /// Held until the piece is with the connection: a revocation waits for it.
    pub(super) disclosure: Option<Disclosure>,
}

impl<T: Into<Bytes>> From<T> for Piece {
    fn from(bytes: T) -> Self {
        Self { bytes: bytes.into(), disclosure: None }
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

impl Answer {
    pub(super) fn json<T: serde::Serialize + ?Sized>(status: StatusCode, body: &T) -> Self {
        Self::new(status, JSON, responses::to_json(body).into())
    }

    /// Creates a JSON answer that holds a secret; the body is wiped on drop.
    pub(super) fn secret(status: StatusCode, body: Secret) -> Self {
        Self::new(status, JSON, Bytes::from_owner(SecretBytes(body, None)))
    }

    /// Creates a JSON answer that holds secrets and counts against a budget until its last byte is sent.
    pub(super) fn held_secret(status: StatusCode, body: Secret, held: AnswerBytes) -> Self {
        Self::new(status, JSON, Bytes::from_owner(SecretBytes(body, Some(held))))
    }

    /// Creates a JSON answer that keeps its place among the exports until its last byte is sent.
    pub(super) fn held_json<T: serde::Serialize + ?Sized>(body: &T, turn: ExportTurn) -> Self {
        let bytes = Bytes::from_owner(TurnBytes(responses::to_json(body), turn));
        Self::new(StatusCode::OK, JSON, bytes)
    }

    /// Creates an answer from serialized JSON.
    pub(super) fn raw_json(body: String) -> Self {
        Self::new(StatusCode::OK, JSON, body.into())
    }

    /// Creates an answer from constant JSON.
    pub(super) const fn fixed_json(body: &'static str) -> Self {
        Self::new(StatusCode::OK, JSON, Bytes::from_static(body.as_bytes()))
    }

    pub(super) fn text(body: String) -> Self {
        Self::new(StatusCode::OK, TEXT, body.into())
    }

    pub(super) fn stream(content_type: &'static str, pieces: Pieces) -> Self {
        Self { stream: Some(pieces), ..Self::new(StatusCode::OK, content_type, Bytes::new()) }
    }

    /// Creates an answer of a file's pieces.
    pub(super) fn file(pieces: Pieces, length: u64) -> Self {
        Self { length: Some(length), ..Self::stream("application/octet-stream", pieces) }
    }

    pub(super) fn empty(status: StatusCode) -> Self {
        Self::new(status, JSON, Bytes::new())
    }

    pub(super) fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((HeaderName::from_static(name), value.to_string()));
        self
    }

    pub(super) fn disclosing(mut self, disclosure: Option<Disclosure>) -> Self {
        self.disclosure = disclosure;
        self
    }

    const fn new(status: StatusCode, content_type: &'static str, body: Bytes) -> Self {
        Self {
            status,
            content_type,
            headers: Vec::new(),
            body,
            disclosure: None,
            authenticated: None,
            stream: None,
            length: None,
        }
    }

    /// Adds the common headers and turns the answer into a response.
    pub(super) fn finish(self, id: RequestId, connection: &Arc<Connection>) -> Response<Payload> {
        match self.disclosure {
            Some(disclosure) => connection.hold(disclosure),
            None => connection.holds_bytes(),
        }
        let content = match self.stream {
            Some(pieces) => Content::Pieces(pieces, self.length),
            None => Content::Whole(Some(self.body)),
        };
        let payload = Payload { content, connection: Arc::clone(connection) };
        let mut response = Response::new(payload);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if self.status != StatusCode::NO_CONTENT {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let own = self.headers.into_iter();
        for (name, value) in own.chain([(REQUEST_ID, id.to_string())]) {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.append(name, value);
            }
        }
        response
    }
}

/// A body that tells its connection when hyper has taken all of it.
pub(super) struct Payload {
    content: Content,
    connection: Arc<Connection>,
}

enum Content {
    Whole(Option<Bytes>),
    /// The pieces, and the bytes that are left if their number is known.
    Pieces(Pieces, Option<u64>),
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Self { content, connection } = &mut *self;
        match content {
            Content::Whole(bytes) => {
                let bytes = bytes.take().filter(|bytes| !bytes.is_empty());
                Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
            Content::Pieces(pieces, left) => {
                let piece = std::task::ready!(pieces.poll_recv(cx));
                Poll::Ready(piece.map(|piece| {
                    let Piece { bytes, disclosure } = piece?;
                    if let Some(left) = left {
                        *left = left.saturating_sub(bytes.len() as u64);
                    }
                    if let Some(disclosure) = disclosure {
                        connection.hold_piece(disclosure);
                    }
                    Ok(Frame::data(bytes))
                }))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Content::Pieces(_, left) => *left == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Content::Pieces(_, left) => left.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl Drop for Payload {
    /// hyper drops a body once its own buffer holds all of it, or the connection has ended.
    fn drop(&mut self) {
        self.connection.taken();
    }
}

/// A body that is wiped, and whose bytes are given back, once hyper has sent it.
struct SecretBytes(Secret, #[allow(dead_code, reason = "held for its drop")] Option<AnswerBytes>);

impl AsRef<[u8]> for SecretBytes {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

/// Bytes that keep their place among the exports.
struct TurnBytes(Vec<u8>, #[allow(dead_code, reason = "held for its drop")] ExportTurn);

impl AsRef<[u8]> for TurnBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Adds the cursor of the next page, if there is one.
pub(super) fn with_cursor(answer: Answer, next: Option<impl ToString>) -> Answer {
    match next {
        Some(next) => answer.header("x-next-cursor", next),
        None => answer,
    }
}
