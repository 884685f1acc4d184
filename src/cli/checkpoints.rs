//! Checkpoints that leave the host: the newest one in a folder of another disk, a share or a git work tree.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{audit::checkpoint, vault::Vault};

/// Where to, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CheckpointPlan {
    pub(super) folder: PathBuf,
    pub(super) every: Duration,
}

/// Why a checkpoint was not written.
#[derive(Debug, thiserror::Error)]
enum NotWritten {
    #[error("{path}: {source}", path = .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} knows {there} records, this vault has {ours}, or others: an older copy of the file was put back", path = .path.display())]
    Larger { path: PathBuf, there: u64, ours: u64 },
    #[error("the vault's own checkpoint cannot be read")]
    Own,
}

/// Writes the newest checkpoint every so often, for as long as it is polled. What fails is loud and stops nothing.
pub(super) async fn keep(plan: Option<&CheckpointPlan>, vault: &Vault) {
    let Some(plan) = plan else { return std::future::pending().await };
    let mut every = tokio::time::interval(plan.every);
    loop {
        every.tick().await;
        write_now(plan, vault);
    }
}

/// Writes the newest checkpoint; whether that failed stands in log, metrics and health.
pub(super) fn write_now(plan: &CheckpointPlan, vault: &Vault) {
    let written = write(&plan.folder, vault);
    if let Err(error) = &written {
        tracing::error!(%error, "the checkpoint was not written to its folder");
    }
    vault.set_checkpoint_kept(written.is_ok());
}

fn write(folder: &Path, vault: &Vault) -> Result<(), NotWritten> {
    let note = vault.checkpoint().map_err(|_| NotWritten::Own)?;
    let ours = checkpoint::read_unsigned(&note).map_err(|_| NotWritten::Own)?;
    let name = ours.origin.replace('/', "-");
    let path = folder.join(format!("{name}.checkpoint"));
    let failed = |source| NotWritten::Io { path: path.clone(), source };
    match fs::read_to_string(&path) {
        Ok(there) if there == note => return Ok(()),
        Ok(there) => {
            if let Ok(there) = checkpoint::read_unsigned(&there)
                && (there.size > ours.size || (there.size == ours.size && there.root != ours.root))
            {
                return Err(NotWritten::Larger { path, there: there.size, ours: ours.size });
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    // Under another name first: whoever reads the folder never sees half a checkpoint.
    let mut file = tempfile::Builder::new().prefix(".checkpoint-").tempfile_in(folder).map_err(failed)?;
    file.write_all(note.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(&path).map(drop).map_err(|error| failed(error.error))
}
