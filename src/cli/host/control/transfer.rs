//! Sends the open vault file to `sealroom rescue`.

use std::{io, sync::Arc};

use tokio::{io::AsyncWriteExt, net::unix::OwnedWriteHalf};

use super::protocol::{Answer, RescueHead, line_of};
use crate::disk::DataFile;

/// Bytes of the file in memory at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// Sends the open file if its path no longer leads to it.
pub(super) async fn send_file(writer: &mut OwnedWriteHalf, file: Arc<DataFile>) -> io::Result<()> {
    let Some(displaced) = on_disk(&file, |file| Ok(file.check().err())).await? else {
        let answer = Answer::Failed {
            error: "the file is in place: nothing to rescue".to_owned(),
            hint: "to copy it: sealroom backup FILE".to_owned(),
        };
        return writer.write_all(line_of(&answer).as_bytes()).await;
    };
    let foreign = (!displaced.is_intact()).then(|| displaced.to_string());
    let bytes = on_disk(&file, DataFile::bytes).await?;
    writer.write_all(line_of(&RescueHead { bytes, foreign }).as_bytes()).await?;
    let mut at = 0;
    while at < bytes {
        let piece = on_disk(&file, move |file| {
            let mut piece = vec![0; PIECE_BYTES];
            let read = file.read_at(at, &mut piece)?;
            piece.truncate(read);
            Ok(piece)
        });
        let piece = piece.await?;
        if piece.is_empty() {
            break;
        }
        at += piece.len() as u64;
        writer.write_all(&piece).await?;
    }
    Ok(())
}

/// Runs `work` on a blocking thread: a disk that hangs must not hang the server too.
async fn on_disk<T: Send + 'static>(
    file: &Arc<DataFile>,
    work: impl FnOnce(&DataFile) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let file = Arc::clone(file);
    tokio::task::spawn_blocking(move || work(&file)).await.map_err(io::Error::other)?
}
