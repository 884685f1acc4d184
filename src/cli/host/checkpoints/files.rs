//! The files of a checkpoint folder: what is read there, and what git is told about it.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

/// Maximum size of a note: a checkpoint with many witnesses has a few KiB.
const NOTE_BYTES_MAX: u64 = 64 * 1024;
/// Attributes that keep git from converting line ends: a signature covers the exact bytes.
const ATTRIBUTES: &str =
    "# A checkpoint is verified byte for byte: its line ends stay as they are.\n*.checkpoint -text\n";

/// Tells git not to convert checkpoints, if the folder is or becomes a work tree; existing rules stay.
pub(super) fn keep_line_ends(folder: &Path) {
    let path = folder.join(".gitattributes");
    let made = fs::OpenOptions::new().write(true).create_new(true).open(&path);
    let written = made.and_then(|mut file| file.write_all(ATTRIBUTES.as_bytes()));
    // Only the checkpoint matters, and its own write reports whether the folder is writable.
    if let Err(error) = &written
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        tracing::debug!(%error, path = %path.display(), "no .gitattributes was written beside the checkpoint");
    }
}

/// Returns the file's text if it is a regular file of a checkpoint's size: opening anything else may hang.
pub(super) fn read_checkpoint(path: &Path) -> io::Result<Option<String>> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() && found.len() <= NOTE_BYTES_MAX => fs::read_to_string(path).map(Some),
        Ok(_) => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "it is no file, or too long for a checkpoint"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
