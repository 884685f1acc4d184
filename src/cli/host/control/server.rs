//! The server's side of the local socket.

use std::{io, path::Path, pin::pin, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, unix::OwnedWriteHalf},
    task::JoinHandle,
    time::timeout,
};
use zeroize::Zeroizing;

use super::{
    examination::tell_checks,
    protocol::{Answer, LINE_BYTES_MAX, LogHead, Moved, READ_TIMEOUT, Request, line_of},
    slots,
    transfer::send_file,
};
use crate::{
    audit::checkpoint,
    cli::{
        error::CliError,
        host::{
            archiving::{self, Moving},
            checkpoints::{CheckpointPlan, settle_accepted},
            host_actor::actor_of_uid,
            memory,
        },
    },
    clock::Clock,
    disk::{DataFile, beside},
    domain::{Action, Actor, Event, Secret},
    http::{Bound, Listener, pause_after},
    vault::{self, Vault},
};

/// The socket's task; dropping it closes and removes the socket.
pub(in crate::cli::host) struct Control {
    task: JoinHandle<()>,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Binds the socket next to the data file; requests are not answered yet.
pub(in crate::cli::host) fn bind(data: &Path) -> Result<Bound, CliError> {
    let path = beside(data, ".sock");
    Bound::unix(&path).map_err(|error| {
        let hint = "a socket's path has at most 107 bytes; use a shorter --data, or remove the file yourself";
        CliError::failed(format!("cannot listen on {}: {error}", path.display()), hint)
    })
}

/// Answers on the bound socket.
pub(in crate::cli::host) fn serve(
    listener: Listener,
    vault: Arc<Vault>,
    file: Arc<DataFile>,
    clock: Clock,
    checkpoints: Option<Arc<CheckpointPlan>>,
) -> Control {
    let task = tokio::spawn(async move {
        let Listener::Unix(socket, _) = &listener else { return };
        accept(socket, &vault, &file, &clock, checkpoints.as_ref()).await;
    });
    Control { task }
}

async fn accept(
    socket: &UnixListener,
    vault: &Arc<Vault>,
    file: &Arc<DataFile>,
    clock: &Clock,
    checkpoints: Option<&Arc<CheckpointPlan>>,
) {
    // One at a time: more is not needed, and a flood of guesses costs one derivation at a time.
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
            Ok(uid) if uid == own || uid == 0 => {
                converse(stream, actor_of_uid(uid), vault, file, clock, checkpoints).await;
            }
            Ok(_) | Err(_) => turn_away(stream, own).await,
        }
    }
}

async fn turn_away(mut stream: tokio::net::UnixStream, own: u32) {
    let answer = Answer::Failed {
        error: "this socket accepts only the server's user and root".to_owned(),
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
    checkpoints: Option<&Arc<CheckpointPlan>>,
) {
    let (reader, mut writer) = stream.into_split();
    let mut line = Zeroizing::new(Vec::with_capacity(8192));
    let mut reader = tokio::io::BufReader::new(reader).take(LINE_BYTES_MAX);
    let read = timeout(READ_TIMEOUT, reader.read_until(b'\n', &mut line)).await;
    let request = read.is_ok_and(|read| read.is_ok()).then(|| serde_json::from_slice(&line));
    let answer = match request {
        Some(Ok(Request::Unlock { secret })) => {
            let answer = unlocked(&secret, actor, vault, clock).await;
            settle_accepted(checkpoints.map(Arc::as_ref), vault).await;
            displaced(answer, file)
        }
        Some(Ok(Request::Lock)) => displaced(locked(actor, vault, clock).await, file),
        Some(Ok(Request::Slots)) => {
            let answer = slots::list(vault);
            drop(writer.write_all(line_of(&answer).as_bytes()).await);
            return;
        }
        Some(Ok(Request::Slot(request))) => {
            let answer = slots::change(request, actor, vault, clock).await;
            drop(writer.write_all(line_of(&answer).as_bytes()).await);
            return;
        }
        Some(Ok(Request::Log)) => {
            let vault = Arc::clone(vault);
            // The transfer may take a while, and must not delay `lock`.
            drop(tokio::spawn(async move { drop(tell_log(&mut writer, &vault).await) }));
            return;
        }
        Some(Ok(Request::Archive { before, to })) => {
            let (vault, clock, checkpoints) = (Arc::clone(vault), clock.clone(), checkpoints.cloned());
            // As with the log, `lock` must not wait for it.
            drop(tokio::spawn(async move {
                let moving = Arc::default();
                let mut archive =
                    pin!(archived(&vault, &clock, actor, &before, &to, checkpoints.as_deref(), &moving));
                let answer = loop {
                    if let Ok(answer) = timeout(archiving::TOLD_EVERY, &mut archive).await {
                        break answer;
                    }
                    let (done, total) = moving.now();
                    // A client that has gone away stops no archive.
                    drop(writer.write_all(line_of(&Moved { done, total }).as_bytes()).await);
                };
                drop(writer.write_all(line_of(&answer).as_bytes()).await);
            }));
            return;
        }
        Some(Ok(Request::Examine)) => {
            let (vault, checkpoints) = (Arc::clone(vault), checkpoints.cloned());
            drop(tokio::spawn(async move { drop(tell_checks(&mut writer, vault, checkpoints).await) }));
            return;
        }
        Some(Ok(Request::Rescue)) => {
            let file = Arc::clone(file);
            drop(tokio::spawn(async move { drop(send_file(&mut writer, file).await) }));
            return;
        }
        Some(Err(_)) | None => Answer::Failed {
            error: "the server does not know this request".to_owned(),
            hint: "use the same version of sealroom as the server".to_owned(),
        },
    };
    drop(writer.write_all(line_of(&answer).as_bytes()).await);
}

async fn tell_log(writer: &mut OwnedWriteHalf, vault: &Arc<Vault>) -> io::Result<()> {
    let told = tell_records(writer, vault).await;
    let Err(error) = told else { return Ok(()) };
    let hint = "keep the file unchanged, and compare it with a backup".to_owned();
    let answer = Answer::Failed { error: error.to_string(), hint };
    writer.write_all(line_of(&answer).as_bytes()).await
}

async fn tell_records(
    writer: &mut OwnedWriteHalf,
    vault: &Arc<Vault>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let checkpoint = vault.checkpoint()?;
    let size = checkpoint::read_unsigned(&checkpoint)?.size;
    let first_key = vault.verifier_keys()?.first().map(|(key, _)| key.to_string());
    let frontier = vault.archived_frontier()?;
    let (first, nodes) = frontier.to_parts();
    let frontier = nodes.iter().map(|hash| STANDARD.encode(hash)).collect();
    let (key, handovers) = (vault.verifier_key()?.to_string(), vault.handovers()?);
    let head = LogHead { checkpoint, key, first_key, handovers, first, frontier };
    writer.write_all(line_of(&head).as_bytes()).await?;
    let mut next = first;
    while next < size {
        let reader = Arc::clone(vault);
        let records = tokio::task::spawn_blocking(move || reader.records(next)).await??;
        let Some((last, _)) = records.last() else {
            return Err(format!("the records from {next} on are missing").into());
        };
        if records.first().is_some_and(|(found, _)| *found > next) && vault.archived_frontier()?.size() > next
        {
            return Err("records were archived meanwhile: try again".into());
        }
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

async fn archived(
    vault: &Arc<Vault>,
    clock: &Clock,
    actor: Actor,
    before: &str,
    to: &Path,
    checkpoints: Option<&CheckpointPlan>,
    moving: &Arc<Moving>,
) -> Answer {
    let before = before.parse().map_err(|_| {
        CliError::failed(
            "the server does not know this time",
            "use the same version of sealroom as the server",
        )
    });
    let done = match before {
        Ok(before) => archiving::archive(vault, clock, actor, before, to, checkpoints, moving)
            .await
            .map_err(CliError::from),
        Err(error) => Err(error),
    };
    match done {
        Ok(range) => Answer::Done { ok: true, already: range.is_none(), archived: range },
        Err(CliError { message, hint, .. }) => Answer::Failed { error: message, hint },
    }
}

const fn done(already: bool) -> Answer {
    Answer::Done { ok: true, already, archived: None }
}

/// Returns the answer; where it failed and the path no longer leads to the open file, that is the cause.
fn displaced(answer: Answer, file: &DataFile) -> Answer {
    match (answer, file.check()) {
        (Answer::Failed { error, .. }, Err(displaced)) => Answer::Failed {
            error: format!("{error}: {displaced}"),
            hint: "put the file back; or `sealroom rescue` saves what the server holds open, also while it is locked"
                .to_owned(),
        },
        (answer, _) => answer,
    }
}

async fn unlocked(secret: &str, actor: Actor, vault: &Vault, clock: &Clock) -> Answer {
    let (secret, already) = (Secret::new(secret.as_bytes().to_vec()), !vault.is_locked());
    if let Err(CliError { message, hint, .. }) = memory::check_unlock(vault, &secret) {
        return Answer::Failed { error: message, hint };
    }
    let by = actor.to_string();
    match vault.unlock(secret, actor, clock.now(), None).await {
        Ok(()) => {
            if !already {
                tracing::info!(by, "unlocked");
            }
            done(already)
        }
        Err(error) => {
            let CliError { message, hint, .. } = CliError::unlock(&error);
            Answer::Failed { error: message, hint }
        }
    }
}

async fn locked(actor: Actor, vault: &Vault, clock: &Clock) -> Answer {
    let by = actor.to_string();
    match vault.lock(Event::new(clock.now(), actor, Action::VaultLock)).await {
        // Locked already is the requested state.
        Ok(()) => {
            tracing::info!(by, "locked");
            done(false)
        }
        Err(vault::Error::Locked) => done(true),
        Err(error) => {
            let hint = "no request is served until `sealroom unlock`";
            Answer::Failed { error: error.to_string(), hint: hint.to_owned() }
        }
    }
}
