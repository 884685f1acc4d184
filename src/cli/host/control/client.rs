//! The commands' side of the local socket.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::protocol::{
    ANSWER_TIMEOUT, Answer, ENDED_EARLY, LINE_BYTES_MAX, LogHead, Moved, Request, RescueHead, SlotAnswer,
    SlotRequest, SlotRow, ended_early, line_of, not_understood,
};
use crate::{
    audit::{checkpoint::VerifierKey, tree::Frontier},
    cli::{
        error::CliError,
        terminal::{output::Output, progress::Progress},
    },
    disk::{FileError, beside, resolved},
    domain::{Secret, Timestamp},
};

/// Asks the server at the other end to unlock; returns whether it was already unlocked.
pub(in crate::cli::host) fn unlock(server: UnixStream, secret: &Secret) -> Result<bool, CliError> {
    let text = std::str::from_utf8(secret.expose()).map_err(|_| {
        CliError::failed("the passphrase is not UTF-8", "start the server with --passphrase-file")
    })?;
    ask(server, &Request::Unlock { secret: Zeroizing::new(text.to_owned()) })
}

/// Asks the server at the other end to lock; returns whether it was already locked.
pub(in crate::cli::host) fn lock(server: UnixStream) -> Result<bool, CliError> {
    ask(server, &Request::Lock)
}

/// Asks the server at the other end for the file that it holds; its bytes follow in the stream.
pub(in crate::cli::host) fn rescue(mut server: UnixStream) -> Result<(RescueHead, Box<dyn Read>), CliError> {
    let failed = |error: io::Error| {
        CliError::failed(format!("the server did not answer: {error}"), "try again while it runs")
    };
    server.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(failed)?;
    // A server that rejects the caller answers without reading first.
    let written = server.write_all(line_of(&Request::Rescue).as_bytes());
    let mut bytes = BufReader::with_capacity(1 << 20, server);
    let mut line = String::new();
    let read = (&mut bytes).take(LINE_BYTES_MAX).read_line(&mut line);
    if line.is_empty() {
        written.and(read).map_err(failed)?;
    }
    if line.as_bytes().starts_with(ENDED_EARLY) {
        return Err(ended_early(line.as_bytes()));
    }
    let head = serde_json::from_str(&line).map_err(|_| not_understood())?;
    Ok((head, Box::new(bytes)))
}

/// The log of a file that a server has open.
pub(in crate::cli::host) struct Served {
    pub(in crate::cli::host) checkpoint: String,
    pub(in crate::cli::host) key: VerifierKey,
    /// The log's first key.
    pub(in crate::cli::host) first_key: VerifierKey,
    /// The checkpoints with which earlier keys ended.
    pub(in crate::cli::host) handovers: Vec<String>,
    /// The tree of the archived records.
    pub(in crate::cli::host) frontier: Frontier,
    /// One record in each line, except a line that begins with [`ENDED_EARLY`].
    pub(in crate::cli::host) records: BufReader<UnixStream>,
}

/// Asks the server that has the file open for its log.
pub(in crate::cli::host) fn log(data: &Path, in_use: &FileError) -> Result<Served, CliError> {
    let failed = |_| {
        CliError::failed(
            in_use.to_string(),
            "wait for that process, or verify a copy made while it does not run",
        )
    };
    let mut stream = UnixStream::connect(beside(&resolved(data), ".sock")).map_err(failed)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(failed)?;
    stream.write_all(line_of(&Request::Log).as_bytes()).map_err(failed)?;
    let mut records = BufReader::with_capacity(1 << 20, stream);
    let mut line = String::new();
    (&mut records).take(LINE_BYTES_MAX).read_line(&mut line).map_err(failed)?;
    if line.as_bytes().starts_with(ENDED_EARLY) {
        return Err(ended_early(line.as_bytes()));
    }
    let LogHead { checkpoint, key, first_key, handovers, first, frontier } =
        serde_json::from_str(&line).map_err(|_| not_understood())?;
    let first_key = first_key.unwrap_or_else(|| key.clone());
    let [key, first_key] = [key, first_key].map(|text| text.parse().map_err(|_| not_understood()));
    let (key, first_key) = (key?, first_key?);
    let hash = |text: &String| STANDARD.decode(text).ok()?.try_into().ok();
    let nodes = frontier.iter().map(hash).collect::<Option<Vec<_>>>().ok_or_else(not_understood)?;
    let frontier = Frontier::from_parts(first, nodes).map_err(|_| not_understood())?;
    Ok(Served { checkpoint, key, first_key, handovers, frontier, records })
}

/// Asks the server at the other end to archive the events before a time; returns the archived range, if any.
pub(in crate::cli::host) fn archive(
    server: UnixStream,
    before: Timestamp,
    to: &Path,
    output: &Output,
) -> Result<Option<(u64, u64)>, CliError> {
    let request = Request::Archive { before: before.to_string(), to: to.to_owned() };
    let progress = Progress::entries("archiving", output);
    let mut answers = lines(server, &request, None)?;
    loop {
        let answer = answers()?;
        if let Ok(Moved { done, total }) = serde_json::from_str(&answer) {
            progress.reach(done, total);
            continue;
        }
        return match serde_json::from_str(&answer) {
            Ok(Answer::Done { archived, .. }) => Ok(archived),
            Ok(Answer::Failed { error, hint }) => Err(CliError::failed(error, hint)),
            Err(_) => Err(not_understood()),
        };
    }
}

/// Asks the server that has the file open for its slots.
pub(in crate::cli::host) fn slots(server: UnixStream) -> Result<Vec<SlotRow>, CliError> {
    match serde_json::from_str(&line(server, &Request::Slots, Some(ANSWER_TIMEOUT))?) {
        Ok(SlotAnswer::Listed { slots } | SlotAnswer::Changed { slots, .. }) => Ok(slots),
        Ok(SlotAnswer::Failed { error, hint }) => Err(CliError::failed(error, hint)),
        Err(_) => Err(not_understood()),
    }
}

/// Asks the server that has the file open to change its slots. An error leaves open whether it did.
pub(in crate::cli::host) fn change_slot(
    server: UnixStream,
    request: SlotRequest,
) -> Result<SlotAnswer, CliError> {
    let answer = line(server, &Request::Slot(request), Some(ANSWER_TIMEOUT))?;
    serde_json::from_str(&answer).map_err(|_| not_understood())
}

fn ask(server: UnixStream, request: &Request) -> Result<bool, CliError> {
    match serde_json::from_str(&line(server, request, Some(ANSWER_TIMEOUT))?) {
        Ok(Answer::Done { already, .. }) => Ok(already),
        Ok(Answer::Failed { error, hint }) => Err(CliError::failed(error, hint)),
        Err(_) => Err(not_understood()),
    }
}

/// Sends a request and reads the line that answers it.
fn line(server: UnixStream, request: &Request, within: Option<Duration>) -> Result<String, CliError> {
    lines(server, request, within)?()
}

/// Sends a request; the result reads the next line that answers it.
fn lines(
    mut server: UnixStream,
    request: &Request,
    within: Option<Duration>,
) -> Result<impl FnMut() -> Result<String, CliError>, CliError> {
    let failed = |error: io::Error| {
        CliError::failed(
            format!("the server did not answer: {error}"),
            "check its log; the request may have been carried out",
        )
    };
    server.set_read_timeout(within).map_err(failed)?;
    let mut line = Zeroizing::new(serde_json::to_vec(request).unwrap_or_default());
    line.push(b'\n');
    // A server that rejects the caller answers without reading first.
    let mut written = Some(server.write_all(&line));
    let mut answers = BufReader::new(server);
    Ok(move || {
        let mut answer = String::new();
        let read = (&mut answers).take(LINE_BYTES_MAX).read_line(&mut answer);
        if answer.is_empty() {
            written.take().unwrap_or(Ok(())).and(read).map_err(failed)?;
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(answer)
    })
}
