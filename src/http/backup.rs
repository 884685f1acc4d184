//! The backup: a verified copy of the vault file, made before its first byte leaves.

use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
};

use super::{error::HandlerResult, request::Call, response::Answer};
use crate::{
    disk,
    vault::{Error, InternalError},
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
    let copied = tokio::select! {
        copied = copying => copied?,
        // A server that stops does not wait for a copy.
        _ = closing.wait_for(|closing| *closing) => return Err(Error::Overloaded.into()),
    };
    let (pieces, stream) = mpsc::channel(1);
    tokio::spawn(send(file, copied.bytes, pieces, closing));
    Ok(Answer::file(stream, copied.bytes))
}

/// Sends the file's pieces; a disk that fails, or a server that stops, breaks the answer off.
async fn send(
    file: File,
    bytes: u64,
    pieces: mpsc::Sender<io::Result<Bytes>>,
    mut closing: watch::Receiver<bool>,
) {
    let (file, mut at) = (Arc::new(file), 0);
    while at < bytes {
        let source = Arc::clone(&file);
        let length = usize::try_from(bytes - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let read = spawn_blocking(move || {
            let mut piece = vec![0; length];
            source.read_exact_at(&mut piece, at).map(|()| Bytes::from(piece))
        });
        let piece = read.await.unwrap_or_else(|_| Err(io::Error::other("the read panicked")));
        at += length as u64;
        let broke = piece.is_err();
        let closes = async { drop(closing.wait_for(|closing| *closing).await) };
        let sent = tokio::select! {
            sent = pieces.send(piece) => sent.is_ok(),
            () = closes => {
                drop(pieces.send(Err(io::Error::other("the server stops"))).await);
                false
            }
        };
        if broke || !sent {
            return;
        }
    }
}
