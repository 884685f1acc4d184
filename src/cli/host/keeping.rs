//! The copy that the server keeps of an older vault file before it migrates it: the way back to an earlier version.

use std::path::{Path, PathBuf};

use super::repeats::ASKED;
use crate::{
    cli::{
        error::CliError,
        terminal::{output::Output, progress::Progress},
    },
    disk::{COPIES_MAX, DataFile, FileError, Locking, NewFile, kept_copy},
    storage::{Keeper, NotKept, Upgrade},
};

/// The room for what a migration adds to the file beside its rows.
const MARGIN_BYTES: u64 = 1 << 20;

/// Returns what keeps a copy beside the vault file, named after the format.
pub(super) fn keeper(data: &Path, locking: Locking, output: &Output) -> Keeper {
    let (data, output) = (data.to_owned(), *output);
    Keeper::new(move |upgrade| keep(&data, locking, &output, upgrade).map_err(not_kept))
}

/// Returns what keeps no copy, since the backup that is being restored is one.
pub(super) fn none() -> Keeper {
    Keeper::new(|_| Ok(()))
}

fn not_kept(CliError { message, hint, .. }: CliError) -> NotKept {
    NotKept { message: format!("{message}; the vault file was not changed"), hint }
}

fn keep(data: &Path, locking: Locking, output: &Output, upgrade: &Upgrade<'_>) -> Result<(), CliError> {
    let (from, to) = (upgrade.from, upgrade.to);
    let Place { path, is_kept } = place(data, upgrade)?;
    tracing::warn!(
        target: ASKED,
        from,
        to,
        file = %data.display(),
        copy = %path.display(),
        "the vault file has an older format and is migrated in one transaction; the copy is kept and opens with the \
         version of sealroom before"
    );
    if is_kept {
        return Ok(());
    }
    let failed = |error: std::io::Error| {
        CliError::failed(format!("{}: {error}", path.display()), "free space on that disk, then start again")
    };
    let new = NewFile::begin_with(&path, locking)?;
    let bytes = upgrade.bytes().map_err(failed)?;
    check_room(bytes, new.free_bytes().map_err(failed)?, &path)?;
    let progress = Progress::bytes("copying", bytes, output);
    upgrade.copy_to(&new.medium(), |bytes| progress.advance(bytes)).map_err(failed)?;
    drop(new.publish()?);
    Ok(())
}

/// The name of a copy, and whether it holds the file already.
struct Place {
    path: PathBuf,
    is_kept: bool,
}

/// Returns the first free name, or the one under which an earlier attempt kept this very state.
fn place(data: &Path, upgrade: &Upgrade<'_>) -> Result<Place, CliError> {
    for number in 1..=COPIES_MAX {
        let path = kept_copy(data, upgrade.from, number);
        match DataFile::open_read_only(&path) {
            Err(FileError::Missing(_)) if std::fs::symlink_metadata(&path).is_err() => {
                return Ok(Place { path, is_kept: false });
            }
            Ok(file) if upgrade.is_kept_in(file.medium()) => return Ok(Place { path, is_kept: true }),
            Ok(_) | Err(_) => {}
        }
    }
    Err(CliError::failed(
        format!("{COPIES_MAX} other copies of format {} lie beside {}", upgrade.from, data.display()),
        "move those that nobody needs away, then start again",
    ))
}

/// Checks that the copy fits, and a file beside it in which the transaction rewrites every row.
fn check_room(bytes: u64, free: u64, path: &Path) -> Result<(), CliError> {
    let needed = bytes.saturating_mul(2).saturating_add(MARGIN_BYTES);
    if free >= needed {
        return Ok(());
    }
    Err(CliError::failed(
        format!(
            "the migration needs up to {needed} bytes, a copy at {} among them, and {free} are free",
            path.display()
        ),
        "free space on that disk, or move the vault file to a larger one, then start again",
    ))
}

#[cfg(test)]
mod tests;
