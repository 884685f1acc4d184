//! The local socket of `unlock` and `lock`: next to the file, mode 0600, never over HTTP.
//!
//! One request a connection: one line of JSON, `{"command":"unlock","secret":"…"}` or `{"command":"lock"}`, and one
//! line back, `{"ok":true}` or `{"error":…,"hint":…}`.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt},
    net::UnixListener,
    task::JoinHandle,
    time::timeout,
};
use zeroize::Zeroizing;

use super::{error::CliError, serve::host_actor};
use crate::{
    clock::Clock,
    domain::{Action, Event, Secret},
    http::Listener,
    storage::file::beside,
    vault::Vault,
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
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Answer {
    Done { ok: bool },
    Failed { error: String, hint: String },
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

/// Listens next to the data file.
pub(super) fn listen(data: &Path, vault: Arc<Vault>, clock: Clock) -> Result<Control, CliError> {
    let path = beside(data, ".sock");
    let listener = Listener::unix(&path).map_err(|error| {
        let hint = "a socket's path has at most 107 bytes; use a shorter --data, or remove the file yourself";
        CliError::failed(format!("cannot listen on {}: {error}", path.display()), hint)
    })?;
    let task = tokio::spawn(async move {
        let Listener::Unix(socket, _) = &listener else { return };
        accept(socket, &vault, &clock).await;
    });
    Ok(Control { task })
}

async fn accept(socket: &UnixListener, vault: &Arc<Vault>, clock: &Clock) {
    // One at a time: nobody needs more, and a flood of guesses costs one derivation at a time.
    loop {
        let Ok((stream, _)) = socket.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let own = rustix::process::getuid().as_raw();
        if stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0) {
            converse(stream, vault, clock).await;
        }
    }
}

async fn converse(stream: tokio::net::UnixStream, vault: &Vault, clock: &Clock) {
    let (reader, mut writer) = stream.into_split();
    let mut line = Zeroizing::new(Vec::with_capacity(8192));
    let mut reader = tokio::io::BufReader::new(reader).take(LINE_BYTES_MAX);
    let read = timeout(READ_TIMEOUT, reader.read_until(b'\n', &mut line)).await;
    let answer = match (read, serde_json::from_slice::<Request>(&line)) {
        (Ok(Ok(_)), Ok(request)) => carry_out(request, vault, clock).await,
        _ => Answer::Failed {
            error: "the request was not understood".to_owned(),
            hint: "use the same version".to_owned(),
        },
    };
    let text = serde_json::to_string(&answer).unwrap_or_default() + "\n";
    drop(writer.write_all(text.as_bytes()).await);
}

async fn carry_out(request: Request, vault: &Vault, clock: &Clock) -> Answer {
    match request {
        Request::Unlock { secret } => {
            let secret = Secret::new(secret.as_bytes().to_vec());
            match vault.unlock(secret, host_actor(), clock.now(), None).await {
                Ok(()) => Answer::Done { ok: true },
                Err(error) => {
                    let CliError { message, hint, .. } = CliError::unlock(&error);
                    Answer::Failed { error: message, hint }
                }
            }
        }
        Request::Lock => match vault.lock(Event::new(clock.now(), host_actor(), Action::VaultLock)).await {
            Ok(()) => Answer::Done { ok: true },
            Err(error) => {
                let hint = "nothing is served any more; `sealroom unlock` opens it again";
                Answer::Failed { error: error.to_string(), hint: hint.to_owned() }
            }
        },
    }
}

/// Asks the server that has the file open to unlock.
pub(super) fn unlock(data: &Path, secret: &Secret) -> Result<(), CliError> {
    let text = std::str::from_utf8(secret.expose()).map_err(|_| {
        CliError::failed("the passphrase is not UTF-8", "start the server with --passphrase-file")
    })?;
    ask(data, &Request::Unlock { secret: Zeroizing::new(text.to_owned()) })
}

/// Asks the server that has the file open to lock.
pub(super) fn lock(data: &Path) -> Result<(), CliError> {
    ask(data, &Request::Lock)
}

fn ask(data: &Path, request: &Request) -> Result<(), CliError> {
    let path = beside(data, ".sock");
    let failed = |error: std::io::Error| {
        let hint = "start it with `sealroom serve`, or name its file with --data";
        CliError::failed(format!("no server answers at {}: {error}", path.display()), hint)
    };
    let mut stream = UnixStream::connect(&path).map_err(failed)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(failed)?;
    let mut line = Zeroizing::new(serde_json::to_vec(request).unwrap_or_default());
    line.push(b'\n');
    stream.write_all(&line).map_err(failed)?;
    let mut answer = String::new();
    BufReader::new(stream).take(LINE_BYTES_MAX).read_line(&mut answer).map_err(failed)?;
    match serde_json::from_str(&answer) {
        Ok(Answer::Done { .. }) => Ok(()),
        Ok(Answer::Failed { error, hint }) => Err(CliError::failed(error, hint)),
        Err(_) => Err(CliError::failed("the server's answer was not understood", "use the same version")),
    }
}
