//! The backup: a verified copy of the vault file, made before its first byte leaves.

use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::spawn_blocking,
};

use super::{
    error::{HandlerResult, HttpError},
    request::Call,
    response::{Answer, Piece},
};
use crate::{
    clock::Clock,
    disk,
    vault::{Admitted, Backup, Context, Error, InternalError, Vault},
};

/// Bytes of the file in memory at a time; one more piece waits for a slow client.
const PIECE_BYTES: usize = 256 * 1024;

pub(super) async fn create(call: Box<Call>) -> HandlerResult {
    let mut closing = call.closing.subscribe();
    call.query.finish()?;
    let (file, medium) = {
        let vault = Arc::clone(&call.vault);
        let made = spawn_blocking(move || disk::scratch(vault.scratch())).await;
        let made = made.map_err(|_| Error::from(InternalError::TaskPanicked))?;
        made.map_err(|error| Error::from(InternalError::Scratch(error)))?
    };
    let copying = call.vault.create_backup(&call.context, call.caller()?, medium);
    let (copied, backup) = tokio::select! {
        copied = copying => copied?,
        // A server that stops does not wait for a copy.
        _ = closing.wait_for(|closing| *closing) => return Err(HttpError::Stopping),
    };
    let caller = call.caller()?.clone();
    let (pieces, stream) = mpsc::channel(1);
    let Call { vault, clock, context, .. } = *call;
    let (file, bytes) = (Arc::new(file), copied.bytes);
    let sending = Sending { file, bytes, backup, vault, clock, context, caller, pieces };
    tokio::spawn(sending.until(closing));
    Ok(Answer::file(stream, copied.bytes))
}

/// A copy on its way to a client.
struct Sending {
    file: Arc<File>,
    bytes: u64,
    backup: Backup,
    vault: Arc<Vault>,
    clock: Clock,
    context: Context,
    caller: Admitted,
    pieces: mpsc::Sender<io::Result<Piece>>,
}

impl Sending {
    /// Sends the file, unless the server stops first: a client then sees the answer break off.
    async fn until(self, mut closing: watch::Receiver<bool>) {
        let sent = tokio::select! {
            sent = self.send() => Some(sent),
            closing = closing.wait_for(|closing| *closing) => closing.is_err().then_some(false),
        };
        match sent {
            Some(true) => self.backup.arrived(&self.vault, self.clock.now()),
            Some(false) => {}
            None => drop(self.pieces.send(Err(io::Error::other("the server stops"))).await),
        }
    }

    /// Sends piece after piece; returns whether the operating system took all of them for the client. Whether the client
    /// read them is what no server knows: it may lose them afterwards. A disk that fails, a lock or a revocation breaks
    /// the answer off.
    async fn send(&self) -> bool {
        let (mut at, (arrival, arrived)) = (0, oneshot::channel());
        let mut arrival = Some(arrival);
        while at < self.bytes {
            let length = usize::try_from(self.bytes - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            let mut piece = self.piece(at, length).await;
            at += length as u64;
            if let Ok(last) = piece.as_mut()
                && at == self.bytes
            {
                last.arrival = arrival.take();
            }
            let broke = piece.is_err();
            if self.pieces.send(piece).await.is_err() || broke {
                return false;
            }
        }
        drop(arrival);
        arrived.await.is_ok()
    }

    /// Reads a piece, then admits the caller to it: the permit is as new as the piece.
    async fn piece(&self, at: u64, length: usize) -> io::Result<Piece> {
        let file = Arc::clone(&self.file);
        let read = spawn_blocking(move || {
            let mut piece = vec![0; length];
            file.read_exact_at(&mut piece, at).map(|()| Bytes::from(piece))
        });
        let bytes = read.await.unwrap_or_else(|_| Err(io::Error::other("the read panicked")))?;
        match self.vault.admit_piece(&self.context, &self.caller, self.clock.now()).await {
            Ok(disclosure) => Ok(Piece { disclosure, ..bytes.into() }),
            Err(error) => {
                tracing::warn!(%error, "backup aborted");
                Err(io::Error::other("broken off"))
            }
        }
    }
}
