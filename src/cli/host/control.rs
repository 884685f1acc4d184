//! The local socket of `unlock`, `lock`, `rescue` and `audit verify`: next to the file, mode 0600, never over HTTP.
//!
//! One request a connection: one line of JSON, `{"command":"unlock","secret":"…"}`, `{"command":"lock"}` or
//! `{"command":"log"}` or `{"command":"rescue"}`, and one line back, `{"ok":true}` or `{"error":…,"hint":…}`. The log comes as
//! `{"checkpoint":…,"key":…}` and the records that this checkpoint signs, one a line, as an export has them; a line
//! `{"error":…,"hint":…}` ends it early. A rescued file comes as `{"bytes":…}` and so many bytes.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, unix::OwnedWriteHalf},
    task::JoinHandle,
    time::timeout,
};
use zeroize::Zeroizing;

use super::{host_actor::named, rescue};
use crate::{
    audit::checkpoint::{self, VerifierKey},
    cli::error::CliError,
    clock::Clock,
    disk::{DataFile, FileError, beside, resolved},
    domain::{Action, Actor, Event, Secret},
    http::{Listener, pause_after},
    vault::{self, Vault},
};

/// The longest line: a passphrase of 64 KiB, escaped.
const LINE_BYTES_MAX: u64 = 512 * 1024;
/// How long a client may take to say what it wants.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client waits: a key derivation on a slow host, or a revocation's wait.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);

#[derive(Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
enum Request {
    Unlock { secret: Zeroizing<String> },
    Lock,
    Log,
    Rescue,
}

/// What the log is to be held against.
#[derive(Serialize, Deserialize)]
struct LogHead {
    checkpoint: String,
    key: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Answer {
    Done {
        ok: bool,
        /// Nothing had to be done.
        #[serde(default)]
        already: bool,
    },
    Failed {
        error: String,
        hint: String,
    },
}

/// The socket's task; dropping it closes and removes the socket.
pub(super) struct Control {
    task: JoinHandle<()>,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Binds the socket next to the data file; nobody is answered yet.
pub(super) fn bind(data: &Path) -> Result<Listener, CliError> {
    let path = beside(data, ".sock");
    Listener::unix(&path).map_err(|error| {
        let hint = "a socket's path has at most 107 bytes; use a shorter --data, or remove the file yourself";
        CliError::failed(format!("cannot listen on {}: {error}", path.display()), hint)
    })
}

/// Answers on the bound socket.
pub(super) fn serve(listener: Listener, vault: Arc<Vault>, file: Arc<DataFile>, clock: Clock) -> Control {
    let task = tokio::spawn(async move {
        let Listener::Unix(socket, _) = &listener else { return };
        accept(socket, &vault, &file, &clock).await;
    });
    Control { task }
}

async fn accept(socket: &UnixListener, vault: &Arc<Vault>, file: &Arc<DataFile>, clock: &Clock) {
    // One at a time: nobody needs more, and a flood of guesses costs one derivation at a time.
    loop {
        let stream = match socket.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection to the local socket could not be accepted");
                pause_after(&error).await;
                continue;
            }
        };
        let own = rustix::process::getuid().as_raw();
        match stream.peer_cred().map(|peer| peer.uid()) {
            Ok(uid) if uid == own || uid == 0 => converse(stream, named(uid), vault, file, clock).await,
            Ok(_) | Err(_) => turn_away(stream, own).await,
        }
    }
}

async fn turn_away(mut stream: tokio::net::UnixStream, own: u32) {
    let answer = Answer::Failed {
        error: "this socket is for the server's own user and for root".to_owned(),
        hint: format!("run it as uid {own}, or as root"),
    };
    drop(timeout(READ_TIMEOUT, stream.write_all(line_of(&answer).as_bytes())).await);
}

async fn converse(
    stream: tokio::net::UnixStream,
    actor: Actor,
    vault: &Arc<Vault>,
    file: &Arc<DataFile>,
    clock: &Clock,
) {
    let (reader, mut writer) = stream.into_split();
    let mut line = Zeroizing::new(Vec::with_capacity(8192));
    let mut reader = tokio::io::BufReader::new(reader).take(LINE_BYTES_MAX);
    let read = timeout(READ_TIMEOUT, reader.read_until(b'\n', &mut line)).await;
    let request = read.is_ok_and(|read| read.is_ok()).then(|| serde_json::from_slice(&line));
    let answer = match request {
        Some(Ok(Request::Unlock { secret })) => unlocked(&secret, actor, vault, clock).await,
        Some(Ok(Request::Lock)) => locked(actor, vault, clock).await,
        Some(Ok(Request::Log)) => {
            let vault = Arc::clone(vault);
            // It may take a while, and `lock` is not to wait for it.
            drop(tokio::spawn(async move { drop(tell_log(&mut writer, &vault).await) }));
            return;
        }
        Some(Ok(Request::Rescue)) => {
            let file = Arc::clone(file);
            drop(tokio::spawn(async move { drop(rescue::send(&mut writer, file).await) }));
            return;
        }
        Some(Err(_)) | None => Answer::Failed {
            error: "the request was not understood".to_owned(),
            hint: "use the same version".to_owned(),
        },
    };
    drop(writer.write_all(line_of(&answer).as_bytes()).await);
}

pub(super) fn line_of(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).unwrap_or_default() + "\n"
}

async fn tell_log(writer: &mut OwnedWriteHalf, vault: &Arc<Vault>) -> io::Result<()> {
    let told = tell_records(writer, vault).await;
    let Err(error) = told else { return Ok(()) };
    let hint = "keep the file as it is, and hold it against a backup".to_owned();
    let answer = Answer::Failed { error: error.to_string(), hint };
    writer.write_all(line_of(&answer).as_bytes()).await
}

async fn tell_records(
    writer: &mut OwnedWriteHalf,
    vault: &Arc<Vault>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let checkpoint = vault.checkpoint()?;
    let size = checkpoint::read_unsigned(&checkpoint)?.size;
    let head = LogHead { checkpoint, key: vault.verifier_key()?.to_string() };
    writer.write_all(line_of(&head).as_bytes()).await?;
    let mut next = 0;
    while next < size {
        let vault = Arc::clone(vault);
        let records = tokio::task::spawn_blocking(move || vault.records(next)).await??;
        let Some((last, _)) = records.last() else {
            return Err(format!("the records from {next} on are missing").into());
        };
        next = last + 1;
        let mut piece = Vec::new();
        for (_, record) in records.iter().filter(|(sequence, _)| *sequence < size) {
            piece.extend_from_slice(record);
            piece.push(b'\n');
        }
        timeout(READ_TIMEOUT, writer.write_all(&piece)).await??;
    }
    Ok(())
}

async fn unlocked(secret: &str, actor: Actor, vault: &Vault, clock: &Clock) -> Answer {
    let (secret, already) = (Secret::new(secret.as_bytes().to_vec()), !vault.is_locked());
    match vault.unlock(secret, actor, clock.now(), None).await {
        Ok(()) => Answer::Done { ok: true, already },
        Err(error) => {
            let CliError { message, hint, .. } = CliError::unlock(&error);
            Answer::Failed { error: message, hint }
        }
    }
}

async fn locked(actor: Actor, vault: &Vault, clock: &Clock) -> Answer {
    match vault.lock(Event::new(clock.now(), actor, Action::VaultLock)).await {
        // Locked already is what was asked for.
        Ok(()) => Answer::Done { ok: true, already: false },
        Err(vault::Error::Locked) => Answer::Done { ok: true, already: true },
        Err(error) => {
            let hint = "nothing is served any more; `sealroom unlock` opens it again";
            Answer::Failed { error: error.to_string(), hint: hint.to_owned() }
        }
    }
}

/// Asks the server at the other end to unlock; returns whether it was unlocked already.
pub(super) fn unlock(server: UnixStream, secret: &Secret) -> Result<bool, CliError> {
    let text = std::str::from_utf8(secret.expose()).map_err(|_| {
        CliError::failed("the passphrase is not UTF-8", "start the server with --passphrase-file")
    })?;
    ask(server, &Request::Unlock { secret: Zeroizing::new(text.to_owned()) })
}

/// Asks the server at the other end to lock; returns whether it was locked already.
pub(super) fn lock(server: UnixStream) -> Result<bool, CliError> {
    ask(server, &Request::Lock)
}

/// Asks the server at the other end for the file that it holds; its bytes follow in the stream.
pub(super) fn rescue(mut server: UnixStream) -> Result<(rescue::Head, Box<dyn Read>), CliError> {
    let failed = |error: io::Error| {
        CliError::failed(format!("the server did not answer: {error}"), "try again while it runs")
    };
    server.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(failed)?;
    // A server that turns the caller away says so without reading first.
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
pub(super) struct Served {
    pub(super) checkpoint: String,
    pub(super) key: VerifierKey,
    /// One a line; one that begins with [`ENDED_EARLY`] is none.
    pub(super) records: BufReader<UnixStream>,
}

/// How the line begins with which the server says why there is no more.
pub(super) const ENDED_EARLY: &[u8] = br#"{"error":"#;

/// What such a line says.
pub(super) fn ended_early(line: &[u8]) -> CliError {
    match serde_json::from_slice(line) {
        Ok(Answer::Failed { error, hint }) => CliError::failed(error, hint),
        Ok(Answer::Done { .. }) | Err(_) => not_understood(),
    }
}

fn not_understood() -> CliError {
    CliError::failed("the server's answer was not understood", "use the same version")
}

/// Asks the server that has the file open for its log.
pub(super) fn log(data: &Path, in_use: &FileError) -> Result<Served, CliError> {
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
    let LogHead { checkpoint, key } = serde_json::from_str(&line).map_err(|_| not_understood())?;
    Ok(Served { checkpoint, key: key.parse().map_err(|_| not_understood())?, records })
}

fn ask(mut server: UnixStream, request: &Request) -> Result<bool, CliError> {
    let failed = |error: io::Error| {
        CliError::failed(
            format!("the server did not answer: {error}"),
            "look at its log; whether it was carried out is unknown",
        )
    };
    server.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(failed)?;
    let mut line = Zeroizing::new(serde_json::to_vec(request).unwrap_or_default());
    line.push(b'\n');
    // A server that turns the caller away says so without reading first.
    let written = server.write_all(&line);
    let mut answer = String::new();
    let read = BufReader::new(server).take(LINE_BYTES_MAX).read_line(&mut answer);
    if answer.is_empty() {
        written.and(read).map_err(failed)?;
        return Err(failed(io::ErrorKind::UnexpectedEof.into()));
    }
    match serde_json::from_str(&answer) {
        Ok(Answer::Done { already, .. }) => Ok(already),
        Ok(Answer::Failed { error, hint }) => Err(CliError::failed(error, hint)),
        Err(_) => Err(not_understood()),
    }
}
