//! One connection, and what it still holds of disclosed credentials.
//!
//! A disclosure counts as handed over once hyper has flushed it: it calls `poll_flush` of the socket only when its own
//! buffer is empty.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::vault::Disclosure;

/// What a connection holds.
#[derive(Default)]
pub(super) struct Connection {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    disclosures: Vec<Disclosure>,
    /// Set once hyper has taken the bytes over.
    taken: bool,
}

impl Connection {
    /// A response that discloses begins.
    pub(super) fn hold(&self, disclosure: Disclosure) {
        let mut held = self.lock();
        held.disclosures.push(disclosure);
        held.taken = false;
    }

    /// hyper has the response's bytes.
    pub(super) fn taken(&self) {
        self.lock().taken = true;
    }

    /// Whether bytes of that epoch, or an earlier one, may still be on their way.
    pub(super) fn holds(&self, epoch: u64) -> bool {
        self.lock().disclosures.iter().any(|disclosure| disclosure.epoch() <= epoch)
    }

    /// The socket has everything that hyper had.
    fn flushed(&self) {
        let mut held = self.lock();
        if held.taken {
            held.disclosures.clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket that tells its connection when it has been flushed.
pub(super) struct Watched<S> {
    socket: S,
    connection: Arc<Connection>,
}

impl<S> Watched<S> {
    pub(super) const fn new(socket: S, connection: Arc<Connection>) -> Self {
        Self { socket, connection }
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
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.connection.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}
