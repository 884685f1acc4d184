//! A connection, and the disclosures whose bytes it may still hold.
//!
//! A disclosure counts as delivered once hyper has flushed it: hyper calls `poll_flush` of the socket only when its
//! own buffer is empty.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
    time::{Sleep, sleep},
};

use super::connection_limit::Slot;
use crate::vault::Disclosure;

/// The state of a connection.
pub(super) struct Connection {
    slot: Arc<Slot>,
    held: Mutex<Held>,
    /// True if the latest answer was sent before its request was read to the end.
    early: AtomicBool,
}

#[derive(Default)]
struct Held {
    disclosures: Vec<Disclosure>,
    /// Set once hyper's buffer has all bytes.
    taken: bool,
    /// Set while a request has no answer yet.
    begun: bool,
    /// Those of the pieces of a stream that hyper's buffer has.
    pieces: Vec<Disclosure>,
    /// The senders that wait for the flush of what hyper's buffer has.
    arrivals: Vec<oneshot::Sender<()>>,
}

impl Connection {
    /// Returns a connection that waits for its first request.
    pub(super) fn of(slot: Arc<Slot>) -> Self {
        Self { slot, held: Mutex::default(), early: AtomicBool::new(false) }
    }

    /// Records that a request has begun, whether or not the answer before it has left.
    pub(super) fn begins(&self) {
        self.lock().begun = true;
        self.slot.set_busy(false);
    }

    /// Records that the request is there to its end and is decided now: until it is answered, the connection makes room
    /// for nobody. One whose body is still to come does, or two addresses would keep everybody out with bodies that
    /// never end.
    pub(super) fn decides(&self) {
        self.slot.set_busy(true);
    }

    /// Adds the disclosure of a response that begins.
    pub(super) fn hold(&self, disclosure: Disclosure) {
        let mut held = self.lock();
        held.disclosures.push(disclosure);
        (held.taken, held.begun) = (false, false);
    }

    /// Records that a response begins that discloses nothing.
    pub(super) fn holds_bytes(&self) {
        let mut held = self.lock();
        (held.taken, held.begun) = (false, false);
    }

    /// Adds the disclosure of a piece that goes to hyper's buffer.
    pub(super) fn hold_piece(&self, disclosure: Disclosure) {
        self.lock().pieces.push(disclosure);
    }

    /// Tells this sender of the next flush; dropped with the connection, it tells of its end.
    pub(super) fn hold_arrival(&self, arrival: oneshot::Sender<()>) {
        self.lock().arrivals.push(arrival);
    }

    /// Records whether the answer precedes the end of its request.
    pub(super) fn answers(&self, early: bool) {
        self.early.store(early, Ordering::Relaxed);
    }

    /// Returns whether the client may still be sending the request that was answered last.
    pub(super) fn is_early(&self) -> bool {
        self.early.load(Ordering::Relaxed)
    }

    /// Records that hyper's buffer has all of the response.
    pub(super) fn taken(&self) {
        self.lock().taken = true;
    }

    /// Returns whether bytes disclosed in this epoch or an earlier one may be undelivered.
    pub(super) fn holds(&self, epoch: u64) -> bool {
        let held = self.lock();
        held.disclosures.iter().chain(&held.pieces).any(|disclosure| disclosure.epoch() <= epoch)
    }

    /// Records that the socket has everything hyper had buffered.
    fn flushed(&self) {
        let mut held = self.lock();
        held.pieces.clear();
        for arrival in held.arrivals.drain(..) {
            // An error means that nobody waits for it any more.
            let _ = arrival.send(());
        }
        if held.taken {
            held.disclosures.clear();
            // The bytes may be those of the answer before.
            if !held.begun {
                self.slot.set_busy(false);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket that tells its connection about each flush.
pub(super) struct Watched<S> {
    socket: S,
    connection: Arc<Connection>,
    stall: Stall,
}

impl<S> Watched<S> {
    /// Wraps a socket; a write without progress for `stall_timeout` ends the connection.
    pub(super) const fn new(socket: S, connection: Arc<Connection>, stall_timeout: Duration) -> Self {
        Self { socket, connection, stall: Stall { limit: stall_timeout, timer: None } }
    }
}

/// Times out a write that makes no progress.
struct Stall {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.timer = None;
            return written;
        }
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.stall.watch(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        let flushed = self.stall.watch(cx, flushed);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.connection.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.socket).poll_shutdown(cx);
        self.stall.watch(cx, shut)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.stall.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}
