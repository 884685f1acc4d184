//! An examination by the server that has the file open, and the command's side of it.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{io::AsyncWriteExt, net::unix::OwnedWriteHalf, time::timeout};

use super::protocol::{
    ANSWER_TIMEOUT, Answer, ENDED_EARLY, Examined, READ_TIMEOUT, Request, ended_early, line_of,
    not_understood,
};
use crate::{
    cli::{
        error::CliError,
        host::{checkpoint_check::check_folder, checkpoints::CheckpointPlan, surroundings::surroundings},
        terminal::{output::Output, progress::Progress},
    },
    disk::{FileError, beside, resolved},
    storage::Check,
    vault::Vault,
};

/// The interval between two lines that say how far the examination is.
const TOLD_EVERY: Duration = Duration::from_millis(500);

/// Asks the server that has the file open to examine it.
pub(in crate::cli::host) fn examine(
    data: &Path,
    in_use: &FileError,
    output: &Output,
) -> Result<Vec<Check>, CliError> {
    let failed = |error: io::Error| {
        let hint = "wait for that process, or examine a backup";
        CliError::failed(format!("{in_use}, and its socket does not answer: {error}"), hint)
    };
    let mut stream = UnixStream::connect(beside(&resolved(data), ".sock")).map_err(failed)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(failed)?;
    let length = std::fs::metadata(data).map_or(0, |metadata| metadata.len());
    let progress = Progress::bytes("examining", length, output);
    // A server that rejects the caller answers without reading first.
    let written = stream.write_all(line_of(&Request::Examine).as_bytes());
    let mut line = String::new();
    let mut answers = BufReader::new(stream);
    loop {
        line.clear();
        let read = answers.read_line(&mut line);
        if line.is_empty() {
            written.and(read).map_err(failed)?;
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        if line.as_bytes().starts_with(ENDED_EARLY) {
            return Err(ended_early(line.as_bytes()));
        }
        match serde_json::from_str(&line) {
            Ok(Examined::Read(bytes)) => progress.advance(bytes),
            Ok(Examined::Checks(checks)) => return Ok(checks),
            Err(_) => return Err(not_understood()),
        }
    }
}

/// Examines the file on a thread of its own, and sends the report.
pub(super) async fn tell_checks(
    writer: &mut OwnedWriteHalf,
    vault: Arc<Vault>,
    checkpoints: Option<Arc<CheckpointPlan>>,
) -> io::Result<()> {
    let read = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&read);
    let mut examination = tokio::task::spawn_blocking(move || {
        let count = move |bytes| {
            counted.fetch_add(bytes, Ordering::Relaxed);
            true
        };
        let mut checks = vault.examine_served(surroundings(), &count)?;
        checks.extend(checkpoints.map(|plan| check_folder(&plan.folder, &vault)));
        Some(checks)
    });
    let line = loop {
        match timeout(TOLD_EVERY, &mut examination).await {
            Ok(Ok(Some(checks))) => break line_of(&Examined::Checks(checks)),
            Ok(Ok(None)) => {
                break line_of(&Answer::Failed {
                    error: "the vault was locked during the examination".to_owned(),
                    hint: "run it again".to_owned(),
                });
            }
            Ok(Err(_)) => {
                break line_of(&Answer::Failed {
                    error: "the examination ended with a panic".to_owned(),
                    hint: "look for the panic's place in the server's log, and report it".to_owned(),
                });
            }
            Err(_) => {
                let told = line_of(&Examined::Read(read.swap(0, Ordering::Relaxed)));
                timeout(READ_TIMEOUT, writer.write_all(told.as_bytes())).await??;
            }
        }
    };
    timeout(READ_TIMEOUT, writer.write_all(line.as_bytes())).await?
}
