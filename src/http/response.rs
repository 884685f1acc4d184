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
use tokio::sync::{mpsc, oneshot};

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
    /// True if the body counts against a budget.
    pub(super) is_held: bool,
}

/// The pieces of a streamed body.
pub(super) type Pieces = mpsc::Receiver<io::Result<Piece>>;

/// A piece of a streamed body.
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    /// Held until the piece is with the connection: a revocation waits for it.
    pub(super) disclosure: Option<Disclosure>,
    /// Is told once the operating system has all bytes up to the end of the piece, and dropped if it never gets them.
    pub(super) arrival: Option<oneshot::Sender<()>>,
}

impl<T: Into<Bytes>> From<T> for Piece {
    fn from(bytes: T) -> Self {
        Self { bytes: bytes.into(), disclosure: None, arrival: None }
    }
}

/// A body of so many bytes takes no more memory than its connection.
const SMALL_BYTES: usize = 8 * 1024;

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
        let body = Bytes::from_owner(SecretBytes(body, Some(held)));
        Self { is_held: true, ..Self::new(status, JSON, body) }
    }

    /// Creates a JSON answer that keeps its place among the exports until its last byte is sent.
    pub(super) fn held_json<T: serde::Serialize + ?Sized>(body: &T, turn: ExportTurn) -> Self {
        let bytes = Bytes::from_owner(TurnBytes(responses::to_json(body), turn));
        Self { is_held: true, ..Self::new(StatusCode::OK, JSON, bytes) }
    }

    /// Counts the body against its caller's budget until its last byte is sent, unless it does so already or is small.
    ///
    /// # Errors
    /// `hold` has no room for so many bytes.
    pub(super) fn holding<E>(self, hold: impl FnOnce(usize) -> Result<AnswerBytes, E>) -> Result<Self, E> {
        if self.is_held || self.body.len() <= SMALL_BYTES {
            return Ok(self);
        }
        let held = hold(self.body.len())?;
        let body = Bytes::from_owner(HeldBytes(self.body, held));
        Ok(Self { is_held: true, body, ..self })
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
            is_held: false,
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
                    let Piece { bytes, disclosure, arrival } = piece?;
                    if let Some(left) = left {
                        *left = left.saturating_sub(bytes.len() as u64);
                    }
                    if let Some(disclosure) = disclosure {
                        connection.hold_piece(disclosure);
                    }
                    if let Some(arrival) = arrival {
                        connection.hold_arrival(arrival);
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

/// Bytes that are given back once hyper has sent them.
struct HeldBytes(Bytes, #[allow(dead_code, reason = "held for its drop")] AnswerBytes);

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
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

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Mutex};

    use hyper::{server::conn::http1, service::service_fn};
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::{
        super::{connection::Watched, connection_limit::ConnectionLimiter},
        *,
    };
    use crate::domain::{Timestamp, seconds};

    const PIECE: usize = 3_000;
    const BYTES: usize = 3 * PIECE;
    /// The bytes under way between server and client.
    const PIPE: usize = 1_024;

    /// Serves a file of three pieces to a client that reads so many bytes of it and leaves; returns whether its last
    /// piece arrived.
    async fn arrives(read: usize) -> bool {
        let (mut client, server) = duplex(PIPE);
        let slot = ConnectionLimiter::new(1).acquire(None).unwrap();
        let connection = Arc::new(Connection::of(Arc::new(slot)));
        let (pieces, stream) = mpsc::channel(1);
        let (arrival, arrived) = oneshot::channel();
        let (stream, of_answer) = (Mutex::new(Some(stream)), Arc::clone(&connection));
        let service = service_fn(move |_| {
            let answer = Answer::file(stream.lock().unwrap().take().unwrap(), BYTES as u64);
            let response = answer.finish(RequestId::new(Timestamp::from_millis(1), [7; 10]), &of_answer);
            async move { Ok::<_, Infallible>(response) }
        });
        let socket = TokioIo::new(Watched::new(server, connection, seconds(60)));
        let serving = tokio::spawn(http1::Builder::new().serve_connection(socket, service));
        tokio::spawn(async move {
            for arrival in [None, None, Some(arrival)] {
                let piece = Piece { arrival, ..vec![7; PIECE].into() };
                if pieces.send(Ok(piece)).await.is_err() {
                    return;
                }
            }
        });
        client.write_all(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        client.read_exact(&mut vec![0; read]).await.unwrap();
        let client = (read == BYTES).then_some(client);
        let has_arrived = arrived.await.is_ok();
        drop(client);
        drop(serving.await.unwrap());
        has_arrived
    }

    /// A backup whose client left after the last piece was queued counted as the newest one.
    #[tokio::test]
    async fn nothing_has_arrived_before_the_operating_system_has_its_last_byte() {
        for read in [0, 1, PIECE, BYTES - PIECE, BYTES - PIECE + 1, BYTES - PIPE - 1] {
            assert!(!arrives(read).await, "{read} of {BYTES} bytes");
        }
        assert!(arrives(BYTES).await);
    }
}
