//! The file that `--output` names: it appears whole, mode 0600, in place of an older one.
//!
//! Only a regular file is replaced. A name such as `/dev/stdout` or `/dev/null` leads to a device or a pipe: a rename
//! over it would take it from every other program of the machine, and leave a file of secrets there.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::cli::{error::CliError, secrets::cause, signals::unfinished_file};

/// A file under construction.
pub(super) struct OutputFile {
    /// As the user wrote it.
    path: PathBuf,
    target: PathBuf,
    file: NamedTempFile,
}

impl OutputFile {
    /// Begins the file, before anything is disclosed for it.
    ///
    /// # Errors
    /// The folder accepts no file, or the path leads to something other than a regular file.
    pub(super) fn begin(path: PathBuf) -> Result<Self, CliError> {
        let target = target(&path)?;
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        match unfinished_file(folder.unwrap_or(Path::new("."))) {
            Ok(file) => Ok(Self { path, target, file }),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    /// Returns the path as the user wrote it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.file.write_all(bytes).map_err(|error| failed(&self.path, &error))
    }

    /// Makes the file appear under its name.
    ///
    /// # Errors
    /// The operating system refuses; an older file is unchanged.
    pub(super) fn finish(self) -> Result<(), CliError> {
        let Self { path, target, file } = self;
        file.as_file().sync_all().map_err(|error| failed(&path, &error))?;
        file.persist(target).map(drop).map_err(|error| failed(&path, &error.error))
    }
}

/// Returns the path that a new file may take: the path itself, or the file that it links to, so that the link stays.
///
/// # Errors
/// The path leads to a folder, a device, a pipe, or nowhere, or by another user's link in a folder such as `/tmp`.
pub(super) fn target(path: &Path) -> Result<PathBuf, CliError> {
    let found = match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path.to_owned()),
        found => found.map_err(|error| failed(path, &error))?,
    };
    if found.is_symlink() && is_planted(path, &found).map_err(|error| failed(path, &error))? {
        return Err(CliError::failed(
            format!("{} is a link of another user", path.display()),
            "name a file in a folder that only you write to",
        ));
    }
    let target = if found.is_symlink() { fs::canonicalize(path) } else { Ok(path.to_owned()) };
    let kind = target.as_deref().ok().and_then(|target| target.metadata().ok());
    match (target, kind) {
        (Ok(target), Some(kind)) if kind.is_file() => Ok(target),
        (_, Some(kind)) if kind.is_dir() => {
            Err(CliError::failed(format!("{} is a folder", path.display()), "name a file in it"))
        }
        _ => Err(CliError::failed(
            format!("{} leads to no regular file, and nothing else is replaced", path.display()),
            "name a file; what has no file is printed on standard output, for a pipe or a redirection",
        )),
    }
}

/// Returns whether a link may be a stranger's: in a sticky folder that all may write to, it is followed only if it is this
/// user's or the folder owner's, as Linux does for opened files (`fs.protected_symlinks`).
#[cfg(unix)]
fn is_planted(path: &Path, link: &fs::Metadata) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;

    const STICKY_AND_WRITABLE: u32 = 0o1002;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = fs::metadata(folder)?;
    let own = rustix::process::geteuid().as_raw();
    let is_open = folder.mode() & STICKY_AND_WRITABLE == STICKY_AND_WRITABLE;
    Ok(is_open && link.uid() != own && link.uid() != folder.uid())
}

#[cfg(not(unix))]
fn is_planted(_: &Path, _: &fs::Metadata) -> io::Result<bool> {
    Ok(false)
}

fn failed(path: &Path, error: &io::Error) -> CliError {
    CliError::failed(
        format!("{}: {}", path.display(), cause(error)),
        "check the folder of the file and its disk",
    )
}
