//! `sealroom rescue`: the file that a running server still has open, once its path no longer leads to it.
//!
//! While the file is displaced the server commits nothing, so the copy is of one moment.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::unix::OwnedWriteHalf};

use super::{
    control::{self, Answer, line_of},
    error::CliError,
    lock::ServerArgs,
    output::Output,
    progress::Progress,
    verify,
};
use crate::disk::DataFile;

/// How much of the file is in memory at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// `rescue`'s flags.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// The new file to write (mode 0600).
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

/// What the server says before the file's bytes.
#[derive(Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) bytes: u64,
}

/// Sends the open file where its path no longer leads to it.
pub(super) async fn send(writer: &mut OwnedWriteHalf, file: Arc<DataFile>) -> io::Result<()> {
    let displaced = on_disk(&file, |file| Ok(file.check().is_err())).await?;
    if !displaced {
        let answer = Answer::Failed {
            error: "the file is in its place: there is nothing to rescue".to_owned(),
            hint: "for a copy of it: `sealroom lock`, cp, `sealroom unlock`".to_owned(),
        };
        return writer.write_all(line_of(&answer).as_bytes()).await;
    }
    let bytes = on_disk(&file, DataFile::bytes).await?;
    writer.write_all(line_of(&Head { bytes }).as_bytes()).await?;
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

/// A disk that hangs must not hang the server too.
async fn on_disk<T: Send + 'static>(
    file: &Arc<DataFile>,
    work: impl FnOnce(&DataFile) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let file = Arc::clone(file);
    tokio::task::spawn_blocking(move || work(&file)).await.map_err(io::Error::other)?
}

pub(super) fn run(args: &Args, output: &Output) -> Result<(), CliError> {
    let to = &args.to;
    if to.symlink_metadata().is_ok() {
        return Err(CliError::failed(
            format!("{} exists already", to.display()),
            "name a new file with --to",
        ));
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut copy = tempfile::NamedTempFile::new_in(folder).map_err(|error| unwritable(to, &error))?;
    let (bytes, mut held) = control::rescue(args.server.reach(output)?)?;
    receive(&mut held, bytes, &mut copy, to, output)?;
    let records = verify::copy(copy.path(), output);
    copy.persist_noclobber(to).map_err(|error| unwritable(to, &error.error))?;
    let records = records.map_err(|error| {
        let hint = format!("{} is what the server holds, unverified; {}", to.display(), error.hint);
        CliError { hint, ..error }
    })?;
    output.result(
        &format!(
            "wrote {}: {bytes} bytes, {records} records, verified\n\
             Stop the server, then start it with this file: sealroom serve --data {}",
            to.display(),
            to.display()
        ),
        &json!({ "file": to.display().to_string(), "bytes": bytes, "records": records }),
    )
}

fn receive(
    held: &mut impl Read,
    bytes: u64,
    copy: &mut tempfile::NamedTempFile,
    to: &Path,
    output: &Output,
) -> Result<(), CliError> {
    let progress = Progress::bytes("saving", bytes, output);
    let mut piece = vec![0; PIECE_BYTES];
    let mut left = bytes;
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let read = match held.read(&mut piece[..want]) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            other => other,
        };
        let read = read.map_err(|error| {
            CliError::failed(format!("the server broke off: {error}"), "try again while the server runs")
        })?;
        copy.write_all(&piece[..read]).map_err(|error| unwritable(to, &error))?;
        left -= read as u64;
        progress.advance(read as u64);
    }
    copy.as_file().sync_all().map_err(|error| unwritable(to, &error))
}

fn unwritable(to: &Path, error: &io::Error) -> CliError {
    let cause = error.to_string();
    let cause = cause.split_once(" at path ").map_or(cause.as_str(), |(cause, _)| cause);
    CliError::failed(
        format!("{}: {cause}", to.display()),
        "name a new file with --to, on a disk with room for it",
    )
}
