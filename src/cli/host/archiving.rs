//! The move of old events to an archive, for the command and the server.
//!
//! The archive is written under a temporary name, synced, read back and verified before the vault lets a record go.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Write},
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Mutex, time::timeout};

use super::{
    checkpoints::{self, CheckpointPlan},
    read_only,
};
use crate::{
    audit::{
        archive::Header,
        checkpoint::{self, Checkpoint},
        tree::leaf_hash,
        verify::Verifier,
    },
    cli::error::CliError,
    clock::Clock,
    disk,
    domain::{Actor, Timestamp},
    vault::{self, Vault},
};

/// The beginning of the name of an archive under construction.
const UNFINISHED: &str = ".archive-";
/// One archive of this process at a time: two would write the same records.
static TURN: Mutex<()> = Mutex::const_new(());
/// The interval between two reports of the progress.
pub(super) const TOLD_EVERY: Duration = Duration::from_millis(500);

/// The reason why nothing was archived, or not all of it.
#[derive(Debug)]
pub(super) enum NotArchived {
    /// The vault was locked meanwhile.
    Locked(CliError),
    /// The disk, the folder or the log refuses.
    Failed(CliError),
}

impl NotArchived {
    fn of(cause: &vault::Error, told: CliError) -> Self {
        if matches!(cause, vault::Error::Locked) { Self::Locked(told) } else { Self::Failed(told) }
    }
}

impl From<CliError> for NotArchived {
    fn from(error: CliError) -> Self {
        Self::Failed(error)
    }
}

impl From<NotArchived> for CliError {
    fn from(error: NotArchived) -> Self {
        match error {
            NotArchived::Locked(error) | NotArchived::Failed(error) => error,
        }
    }
}

/// The number of records that an archive in progress has written, and of all that it will.
#[derive(Debug, Default)]
pub(super) struct Moving {
    done: AtomicU64,
    total: AtomicU64,
}

impl Moving {
    /// Returns the number of records written, and of all.
    pub(super) fn now(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }
}

/// Calls `tell` now and then until the archive is done, and returns its outcome.
pub(super) async fn told<T>(
    moving: &Moving,
    archive: impl Future<Output = T>,
    mut tell: impl FnMut(u64, u64),
) -> T {
    let mut archive = std::pin::pin!(archive);
    loop {
        if let Ok(outcome) = timeout(TOLD_EVERY, &mut archive).await {
            return outcome;
        }
        let (done, total) = moving.now();
        tell(done, total);
    }
}

/// Moves the events from before a time to a new file, once the folder for checkpoints, if there is one, has the newest
/// of them: one that ends within archived records cannot be compared with the log any more. Returns the first and last
/// sequence, or [`None`] if there is nothing to move.
pub(super) async fn archive(
    vault: &Arc<Vault>,
    clock: &Clock,
    actor: Actor,
    before: Timestamp,
    to: &Path,
    checkpoints: Option<&CheckpointPlan>,
    moving: &Arc<Moving>,
) -> Result<Option<(u64, u64)>, NotArchived> {
    let _turn = TURN.lock().await;
    if let Some(plan) = checkpoints {
        checkpoints::write_now(plan, vault).await;
    }
    if vault.is_checkpoint_lost() {
        let told = CliError::failed(
            "the newest checkpoint did not reach its folder: nothing was archived",
            "the server's log says why and what to do; settle that first, since the records may be the evidence",
        );
        return Err(told.into());
    }
    let (from, path, moved) = (Arc::clone(vault), to.to_owned(), Arc::clone(moving));
    let written = tokio::task::spawn_blocking(move || write(&from, before, &path, &moved)).await;
    let written = written.map_err(|_| failed("the archive was not written: its task panicked"))?;
    let Some(range) = written? else { return Ok(None) };
    let (first, last) = (range.start, range.end - 1);
    vault.archive(range, actor, clock.now()).await.map_err(|error| {
        let shown = to.display();
        let told = CliError::failed(
            format!("{shown} was written, but not all its events could be taken from the vault: {error}"),
            "keep it, and archive again to another file once the cause is gone; no event is lost",
        );
        NotArchived::of(&error, told)
    })?;
    Ok(Some((first, last)))
}

fn write(
    vault: &Vault,
    before: Timestamp,
    to: &Path,
    moving: &Moving,
) -> Result<Option<Range<u64>>, NotArchived> {
    let planned = vault.plan_archive(before).map_err(|error| NotArchived::of(&error, unread(&error)));
    let Some(range) = planned? else { return Ok(None) };
    let header = vault.archive_header(&range).map_err(|error| unread(&error))?;
    check_new(to)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let unwritable = |error: io::Error| {
        let cause = crate::cli::secrets::cause(&error);
        let otherwise = "name a new file in a folder that the vault's user can write to, with enough space; a server \
                         writes only to the folders of its vault, [checkpoint], [backup] and [archive]";
        let told = format!("{}: {cause}; nothing was archived", to.display());
        CliError::failed(told, read_only::remedy(&error, otherwise))
    };
    disk::sweep_unclaimed(folder, UNFINISHED);
    // Mode 0600: the log names people and projects.
    let file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder).map_err(unwritable)?;
    disk::claim(file.as_file());
    let mut writer = BufWriter::with_capacity(1 << 20, file.as_file());
    writer.write_all(header.to_line().as_bytes()).map_err(unwritable)?;
    let mut next = range.start;
    moving.total.store(range.end - range.start, Ordering::Relaxed);
    while next < range.end {
        moving.done.store(next - range.start, Ordering::Relaxed);
        let records = vault.records(next).map_err(|error| unread(&error))?;
        let expected = (next..range.end).zip(&records);
        for (sequence, (found, bytes)) in expected {
            if sequence != *found {
                return Err(failed(&format!("record {sequence} is missing; nothing was archived")).into());
            }
            writer.write_all(bytes).and_then(|()| writer.write_all(b"\n")).map_err(unwritable)?;
            next = sequence + 1;
        }
        if records.is_empty() {
            return Err(failed(&format!("record {next} is missing; nothing was archived")).into());
        }
    }
    writer.flush().map_err(unwritable)?;
    drop(writer);
    file.as_file().sync_all().map_err(unwritable)?;
    verify(file.path(), &header).map_err(|cause| {
        let message = format!("{}: {cause}; nothing was archived", to.display());
        CliError::failed(message, "check the disk and the vault: sealroom audit verify")
    })?;
    file.persist_noclobber(to).map_err(|error| unwritable(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(unwritable)?;
    Ok(Some(range))
}

/// Reads a written archive back, and checks it against its checkpoint.
fn verify(path: &Path, expected: &Header) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path).map_err(text)?);
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).map_err(text)?;
    let header = Header::read(&line).map_err(|error| error.to_string())?;
    let own: Checkpoint = checkpoint::open(&header.checkpoint, std::slice::from_ref(&header.key))
        .map_err(|error| error.to_string())?;
    let mut verifier =
        Verifier::new(Vec::new(), Vec::new()).starting_at(header.frontier.clone()).awaiting_end();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(text)? == 0 {
            break;
        }
        let record = line.strip_suffix(b"\n").ok_or("its last line is cut off")?;
        verifier.push(record, leaf_hash(record)).map_err(|flaw| flaw.to_string())?;
    }
    if header != *expected || verifier.next() != header.end {
        return Err("what was read back is not what was written".to_owned());
    }
    verifier.finish_within(&own, &header.rest).map(drop).map_err(|flaw| flaw.to_string())
}

pub(super) fn check_new(to: &Path) -> Result<(), CliError> {
    match fs::symlink_metadata(to) {
        Ok(_) => {
            Err(CliError::failed(format!("{} already exists", to.display()), "name a new file with --to"))
        }
        Err(_) => Ok(()),
    }
}

fn unread(error: &dyn std::fmt::Display) -> CliError {
    CliError::failed(
        format!("the log cannot be read: {error}; nothing was archived"),
        "unlock the vault, or examine it: sealroom audit verify",
    )
}

pub(super) fn failed(message: &str) -> CliError {
    CliError::failed(message, "check the disk's space and the file's mode")
}
