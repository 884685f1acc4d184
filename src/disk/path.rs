//! Paths of a data file and of the files beside it, without links.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::error::FileError;

/// The suffix of a replaced file's name, before the time.
pub(super) const REPLACED: &str = ".replaced-";

/// Follows the links of a path as far as they lead, even if the file is gone.
pub fn resolved(data: &Path) -> PathBuf {
    const LINKS_MAX: usize = 40;
    let mut path = data.to_owned();
    for _ in 0..LINKS_MAX {
        if let Ok(path) = fs::canonicalize(&path) {
            return path;
        }
        let Ok(target) = fs::read_link(&path) else { break };
        path = folder_of(&path).join(target);
    }
    canonical_new(&path).unwrap_or(path)
}

/// Returns the path of an existing regular file without links, so that every name of it leads to the same files beside
/// it.
pub(super) fn canonical(data: &Path) -> Result<PathBuf, FileError> {
    let path = fs::canonicalize(data).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if has_folder(data) => FileError::Missing(data.to_owned()),
        io::ErrorKind::NotFound => FileError::NoFolder(data.to_owned()),
        _ => FileError::Io { path: data.to_owned(), source: error },
    })?;
    // Opening a pipe would block until its other end opens.
    match fs::metadata(&path) {
        Ok(metadata) if !metadata.is_file() => Err(FileError::Io {
            path: data.to_owned(),
            source: io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"),
        }),
        Ok(_) => Ok(path),
        Err(source) => Err(FileError::Io { path: data.to_owned(), source }),
    }
}

/// Returns the path of a file that does not exist yet, with its folder's links followed.
pub(super) fn canonical_new(data: &Path) -> Result<PathBuf, FileError> {
    let failed = |source| FileError::Io { path: data.to_owned(), source };
    let name = data.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    let folder = fs::canonicalize(folder_of(data)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => FileError::NoFolder(data.to_owned()),
        _ => failed(error),
    })?;
    Ok(folder.join(name))
}

/// The end of the name of a file under construction.
pub const UNFINISHED: &str = ".sealroom-new";

/// Returns the name of a file under construction: hidden, and unlikely for any other file.
pub(super) fn temporary_name(data: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(data.file_name().unwrap_or_default());
    name.push(UNFINISHED);
    data.with_file_name(name)
}

/// Appends a suffix to the whole file name.
pub fn beside(data: &Path, suffix: &str) -> PathBuf {
    let mut name = data.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

pub(super) fn folder_of(data: &Path) -> &Path {
    data.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn has_folder(data: &Path) -> bool {
    folder_of(data).is_dir()
}

/// Returns whether the path leads to this open file.
pub(super) fn leads_to(path: &Path, file: &File) -> bool {
    let (Ok(there), Ok(own)) = (fs::metadata(path), file.metadata()) else { return false };
    (there.dev(), there.ino()) == (own.dev(), own.ino())
}

/// Removes the second name that a killed replacement gave to a data file that is still in its place.
pub(super) fn remove_unfinished_asides(path: &Path, file: &File) {
    let (Some(name), Ok(own)) = (path.file_name(), file.metadata()) else { return };
    if own.nlink() < 2 {
        return;
    }
    let prefix = format!("{}{REPLACED}", name.to_string_lossy());
    let Ok(entries) = fs::read_dir(folder_of(path)) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) && leads_to(&entry.path(), file) {
            // Best effort: opening the file then names it as a further link.
            drop(fs::remove_file(entry.path()));
        }
    }
}
