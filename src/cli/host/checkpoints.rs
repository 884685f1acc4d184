//! Checkpoints stored off the host: the newest one in a folder of another disk, a share or a git work tree.

mod files;

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::Mutex, time::timeout};

use self::files::{keep_line_ends, read_checkpoint};
use super::{read_only, repeats::ASKED};
use crate::{
    audit::{
        checkpoint::{self, Checkpoint, VerifierKey},
        key_ring,
    },
    disk::take_turn,
    storage::StorageError,
    vault::{Rollback, Vault},
};

/// Time limit for a write, after which the folder counts as hanging.
const WRITE_MAX: Duration = Duration::from_secs(10);
/// The turn of the work on the folder.
static TURN: Mutex<()> = Mutex::const_new(());

/// The folder, and the interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CheckpointPlan {
    pub(super) folder: PathBuf,
    pub(super) every: Duration,
}

/// The reason why a checkpoint was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotWritten {
    #[error("{path}: {source}", path = .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} knows {there} records, this vault has {ours}, or different ones: the vault file was restored from an older copy", path = .path.display())]
    Larger { path: PathBuf, there: u64, ours: u64 },
    #[error("{path} ends within records that were archived, so that it cannot be compared", path = .path.display())]
    Archived { path: PathBuf },
    #[error("{path} is not a checkpoint and is not overwritten", path = .path.display())]
    Foreign { path: PathBuf },
    #[error("{path} does not answer", path = .path.display())]
    Hangs { path: PathBuf },
    #[error("the vault's own checkpoint cannot be read")]
    Own,
}

impl NotWritten {
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::Io { source, .. } => {
                let otherwise = "check that folder, its mode and its space; the next interval tries again";
                read_only::remedy(source, otherwise)
            }
            Self::Larger { .. } => {
                "if an older copy was put in place on purpose, start once with --accept-rollback, which settles the \
                 folder, as `sealroom restore --checkpoint-folder` does; if not, find out who replaced the file and \
                 keep it: a newer one holds records that it lacks"
            }
            Self::Archived { .. } => "move it away: the next interval writes a newer one",
            Self::Foreign { .. } => "move that file away, or name another folder with --checkpoint-folder",
            Self::Hangs { .. } => "check the share or disk of that folder; the next interval tries again",
            Self::Own => "examine the vault: sealroom doctor",
        }
    }
}

/// Writes the newest checkpoint at each interval, for as long as it is polled. Reports failures, which stop nothing.
pub(super) async fn keep(plan: Option<&CheckpointPlan>, vault: &Arc<Vault>) {
    let Some(plan) = plan else { return std::future::pending().await };
    let mut every = tokio::time::interval(plan.every);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        write_now(plan, vault).await;
    }
}

/// Writes the newest checkpoint; log, metrics and health report a failure. Gives up on a share that hangs, and retries
/// at the next interval.
pub(super) async fn write_now(plan: &CheckpointPlan, vault: &Arc<Vault>) {
    loop {
        // Looked at first: an unlock after this look may accept what the attempt finds.
        let was_locked = vault.is_locked();
        if !settle_accepted(Some(plan), vault).await {
            return vault.set_checkpoint_kept(false);
        }
        let written = attempt(plan, vault, write).await;
        let found = match &written {
            Err(NotWritten::Larger { there, ours, .. }) => Some(Rollback { known: *there, held: *ours }),
            Ok(()) | Err(_) => None,
        };
        if found.is_some() {
            vault.set_rollback(found);
        }
        vault.set_checkpoint_kept(written.is_ok());
        // The second look follows both reports: an unlock after it overwrites them.
        if found.is_some() && was_locked && !vault.is_locked() {
            vault.set_rollback(None);
            continue;
        }
        // If the settings accept it, the unlock will settle it.
        let is_awaited = found.is_some() && was_locked && vault.accepts_rollback();
        if let Err(error) = &written
            && !is_awaited
        {
            tracing::error!(%error, hint = error.hint(), "the checkpoint was not written to its folder");
        }
        // Only a key of this log signs such a checkpoint: another history of it exists.
        if found.is_some() && !is_awaited {
            vault.distrust_log();
        }
        return;
    }
}

/// Works on the folder on a thread of its own, within a time and one at a time: a write that its caller gave up, as at
/// the end of a server, must not put an older checkpoint in the place of a newer one.
async fn attempt<T: Send + 'static>(
    plan: &CheckpointPlan,
    vault: &Arc<Vault>,
    work: impl FnOnce(&Path, &Vault) -> Result<T, NotWritten> + Send + 'static,
) -> Result<T, NotWritten> {
    let (folder, of) = (plan.folder.clone(), Arc::clone(vault));
    let working = async {
        let turn = TURN.lock().await;
        let work = move || {
            let worked = work(&folder, &of);
            drop(turn);
            worked
        };
        tokio::task::spawn_blocking(work).await
    };
    match timeout(WRITE_MAX, working).await {
        Ok(Ok(worked)) => worked,
        Ok(Err(_)) | Err(_) => Err(NotWritten::Hangs { path: plan.folder.clone() }),
    }
}

/// Writes a checkpoint with the signatures of witnesses beside the newest one; the log reports a failure. Returns whether
/// it was written.
pub(super) async fn write_cosigned(plan: &CheckpointPlan, vault: &Arc<Vault>, note: String) -> bool {
    let put = move |folder: &Path, vault: &Vault| {
        let own = Own::of(folder, vault)?;
        let path = folder.join(format!("{}.cosigned.checkpoint", own.file_name()));
        // `audit cosign --to` takes turns too, so that neither replaces a newer checkpoint of the other.
        let _turn = take_turn(folder).map_err(|source| NotWritten::Io { path: path.clone(), source })?;
        let next =
            checkpoint::read_unsigned(&note).map_err(|_| NotWritten::Foreign { path: path.clone() })?;
        let there = check(vault, &own, &path, &next)?;
        let kept = there.as_deref().and_then(|note| checkpoint::read_unsigned(note).ok());
        // Witnesses take seconds, and a command may have written meanwhile.
        if kept.is_some_and(|kept| kept.size > next.size) {
            return Ok(());
        }
        put(folder, &path, &note, there)
    };
    let written = attempt(plan, vault, put).await;
    if let Err(error) = &written {
        tracing::error!(%error, hint = error.hint(), "the cosigned checkpoint was not written to its folder");
    }
    written.is_ok()
}

/// Looks for a checkpoint of this log that the file does not hold, before the first unlock. A folder that does not
/// answer stops nothing: a share may be mounted later.
pub(super) async fn find_rollback(plan: Option<&CheckpointPlan>, vault: &Arc<Vault>) {
    let Some(plan) = plan else { return };
    let Err(error) = attempt(plan, vault, look).await else { return };
    let NotWritten::Larger { there, ours, .. } = error else { return };
    vault.set_rollback(Some(Rollback { known: there, held: ours }));
    vault.set_checkpoint_kept(false);
    if vault.rolled_back().is_some() {
        tracing::error!(%error, "the vault stays locked unless --accept-rollback is given");
    } else {
        tracing::warn!(%error, "the unlock will accept this older copy, as --accept-rollback says");
    }
}

/// Puts the checkpoints aside that a rollback contradicts which an unlock has accepted, and writes the vault's own.
/// Returns false if the folder failed: it is settled before the next checkpoint.
pub(super) async fn settle_accepted(plan: Option<&CheckpointPlan>, vault: &Arc<Vault>) -> bool {
    let Some((plan, Rollback { known, held })) = plan.zip(vault.accepted_rollback()) else { return true };
    let settled = attempt(plan, vault, settled).await;
    match &settled {
        Ok(_) => {
            vault.set_accepted_rollback(None);
            vault.set_checkpoint_kept(true);
            tracing::warn!(target: ASKED, known, held, "an older copy of the file was accepted; the log goes on with a new key");
        }
        Err(error) => {
            let hint = error.hint();
            tracing::error!(%error, hint, "the checkpoints of the replaced history were not put aside");
        }
    }
    settled.is_ok()
}

fn look(folder: &Path, vault: &Vault) -> Result<(), NotWritten> {
    known(folder, vault).map(drop)
}

/// Returns the number of records that the folder's checkpoint signs; `None` if there is none that a key of this log
/// signed.
///
/// # Errors
/// The file does not hold them, or the folder cannot be read.
pub(super) fn known(folder: &Path, vault: &Vault) -> Result<Option<u64>, NotWritten> {
    let own = Own::of(folder, vault)?;
    let path = folder.join(format!("{}.checkpoint", own.file_name()));
    let there = check(vault, &own, &path, &own.newest)?;
    Ok(there.and_then(|note| checkpoint::read_unsigned(&note).ok()).map(|there| there.size))
}

/// This log: its newest checkpoint, and the keys of all its histories.
struct Own {
    newest: Checkpoint,
    note: String,
    keys: Vec<VerifierKey>,
}

impl Own {
    /// Reads the log's own checkpoint. The folder may know later keys, by their handovers from the file's: those of the
    /// history that the file lacks, too.
    fn of(folder: &Path, vault: &Vault) -> Result<Self, NotWritten> {
        let own = |_| NotWritten::Own;
        let note = vault.checkpoint().map_err(own)?;
        let newest = checkpoint::read_unsigned(&note).map_err(|_| NotWritten::Own)?;
        let mut handovers = vault.handovers().map_err(own)?;
        let prefix = format!("{}.handover-", newest.origin.replace('/', "-"));
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                handovers.extend(read_checkpoint(&entry.path()).ok().flatten());
            }
        }
        let held = vault.verifier_keys().map_err(own)?.into_iter().map(|(key, _)| key).collect();
        Ok(Self { newest, note, keys: key_ring::of_all_histories(held, &handovers) })
    }

    fn file_name(&self) -> String {
        self.newest.origin.replace('/', "-")
    }
}

fn write(folder: &Path, vault: &Vault) -> Result<(), NotWritten> {
    let own = Own::of(folder, vault)?;
    let name = own.file_name();
    let newest = folder.join(format!("{name}.checkpoint"));
    // First of all: the handovers of one history do not belong into the folder of another.
    let there = check(vault, &own, &newest, &own.newest)?;
    keep_line_ends(folder);
    // With them, a verifier that has only an earlier key follows the log to its newest one.
    for handover in vault.handovers().map_err(|_| NotWritten::Own)? {
        let signed = checkpoint::read_unsigned(&handover).map_err(|_| NotWritten::Own)?;
        let path = folder.join(format!("{name}.handover-{}.checkpoint", signed.size));
        put(folder, &path, &handover, check(vault, &own, &path, &signed)?)?;
    }
    put(folder, &newest, &own.note, there)
}

/// Puts aside the folder's checkpoints that this log does not hold, after a restore, and writes the newest one. Returns
/// the new names of those put aside.
///
/// # Errors
/// The folder refuses, or holds a file that is no checkpoint.
pub(super) fn settle(folder: &Path, vault: &Vault) -> Result<Vec<PathBuf>, impl std::error::Error> {
    settled(folder, vault)
}

fn settled(folder: &Path, vault: &Vault) -> Result<Vec<PathBuf>, NotWritten> {
    put_aside(folder, vault).and_then(|moved| write(folder, vault).map(|()| moved))
}

/// Returns the checkpoints of a log in a folder, with their names; what cannot be read is none.
pub(super) fn notes(folder: &Path, origin: &str) -> Vec<(PathBuf, String)> {
    let name = origin.replace('/', "-");
    let paths = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_ours = |path: &PathBuf| {
        let file = path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&name));
        file && path.extension().is_some_and(|extension| extension == "checkpoint")
    };
    let mut notes: Vec<(PathBuf, String)> = paths
        .filter(is_ours)
        .filter_map(|path| Some((path.clone(), read_checkpoint(&path).ok()??)))
        .collect();
    notes.sort();
    notes
}

fn put_aside(folder: &Path, vault: &Vault) -> Result<Vec<PathBuf>, NotWritten> {
    let note = vault.checkpoint().map_err(|_| NotWritten::Own)?;
    let ours = checkpoint::read_unsigned(&note).map_err(|_| NotWritten::Own)?;
    let name = ours.origin.replace('/', "-");
    let handovers = vault.handovers().map_err(|_| NotWritten::Own)?;
    let handovers: Vec<Checkpoint> =
        handovers.iter().filter_map(|note| checkpoint::read_unsigned(note).ok()).collect();
    let in_folder = |source| NotWritten::Io { path: folder.to_owned(), source };
    let mut moved = Vec::new();
    for entry in fs::read_dir(folder).map_err(in_folder)? {
        let path = entry.map_err(in_folder)?.path();
        let is_ours = path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&name));
        if !is_ours || path.extension().is_none_or(|extension| extension != "checkpoint") {
            continue;
        }
        let failed = |source| NotWritten::Io { path: path.clone(), source };
        let Some(text) = read_checkpoint(&path).map_err(failed)? else { continue };
        let Ok(kept) = checkpoint::read_unsigned(&text) else { return Err(NotWritten::Foreign { path }) };
        let is_held = || kept.size <= ours.size && vault.root(kept.size).ok() == Some(kept.root);
        if !handovers.iter().any(|own| is_same(own, &kept)) && !is_held() {
            // It stays as evidence of the replaced history, under a name that no verifier takes for this log's.
            let aside = path.with_extension(format!("checkpoint.replaced-at-{}", ours.size));
            fs::rename(&path, &aside).map_err(failed)?;
            moved.push(aside);
        }
    }
    Ok(moved)
}

/// Writes a note in place of the one that [`check`] found there.
fn put(folder: &Path, path: &Path, note: &str, there: Option<String>) -> Result<(), NotWritten> {
    let failed = |source| NotWritten::Io { path: path.to_owned(), source };
    if there.is_some_and(|there| there == note) {
        return Ok(());
    }
    // Write under a temporary name first: a reader of the folder never sees a partial checkpoint.
    let mut file = tempfile::Builder::new().prefix(".checkpoint-").tempfile_in(folder).map_err(failed)?;
    // For auditors under another user: a checkpoint is public.
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644)).map_err(failed)?;
    file.write_all(note.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Returns whether two checkpoints are of one tree, whoever signed them.
fn is_same(one: &Checkpoint, other: &Checkpoint) -> bool {
    (&one.origin, one.size, one.root) == (&other.origin, other.size, other.root)
}

/// Returns the note that lies there, if any, once it is known that nothing is lost with it. `next` is the checkpoint that
/// takes its place.
///
/// # Errors
/// A key of this log signed it and the log does not hold it, or it is no checkpoint.
fn check(vault: &Vault, own: &Own, path: &Path, next: &Checkpoint) -> Result<Option<String>, NotWritten> {
    let failed = |source| NotWritten::Io { path: path.to_owned(), source };
    let Some(note) = read_checkpoint(path).map_err(failed)? else { return Ok(None) };
    let Ok(there) = checkpoint::read_unsigned(&note) else {
        return Err(NotWritten::Foreign { path: path.to_owned() });
    };
    // The log key's end is known by its own checkpoint for ever, also once the records before it are archived.
    if is_same(&there, next) {
        return Ok(Some(note));
    }
    let ours = own.newest.size;
    // A log that lost its end never again holds what was signed there, however long it grows.
    let own_root = if there.size > ours { None } else { Some(vault.root(there.size)) };
    match own_root {
        Some(Ok(root)) if root == there.root => return Ok(Some(note)),
        // It stays, since it may be the only trace of another history.
        Some(Err(StorageError::Archived { .. })) => {
            return Err(NotWritten::Archived { path: path.to_owned() });
        }
        Some(Err(StorageError::Engine(_))) => return Err(NotWritten::Own),
        Some(Ok(_) | Err(_)) | None => {}
    }
    // A key that ended counts too: serving a copy and rekeying end one, and nobody accepted what the file lacks.
    if checkpoint::open(&note, &own.keys).is_ok() {
        return Err(NotWritten::Larger { path: path.to_owned(), there: there.size, ours });
    }
    tracing::warn!(path = %path.display(), "no key of this log signed this checkpoint: it is replaced");
    Ok(None)
}

#[cfg(test)]
mod tests;
