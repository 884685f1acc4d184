//! Small private files beside a data file: read whole, and replaced in one step.
//!
//! ```text
//! write FILE.new (mode 0600), sync → rename it to FILE → sync the folder
//! ```
//!
//! The holder of the data file's lock is the only writer, so that `FILE.new` is what a killed one left, or nothing.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::fs::OFlags;

use super::{file::sync_folder, path::beside};

/// Reads a regular file of at most this size, without following a link; `None` if there is none.
///
/// # Errors
/// It is something else, is longer, or cannot be read.
pub fn read_private(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    // Opening a pipe would block until its other end opens.
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).map_err(io::Error::other)?;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long"));
    }
    Ok(Some(bytes))
}

/// Replaces a file, durably once this returns. A link in its place is replaced and not followed.
///
/// # Errors
/// The disk or the folder refuses. The file is then the old one, or the new one before its folder was synced.
pub fn replace_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = beside(path, ".new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write_new(&new, bytes).and_then(|()| fs::rename(&new, path));
    if let Err(error) = written {
        drop(fs::remove_file(&new));
        return Err(error);
    }
    sync_folder(path)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_a_link_is_never_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (folder.path().join("v.witness"), folder.path().join("elsewhere"));
        assert_eq!(read_private(&path, 9).unwrap(), None);
        fs::write(&elsewhere, "foreign").unwrap();
        // A link in the place of either name leads nowhere.
        symlink(&elsewhere, beside(&path, ".new")).unwrap();
        symlink(&elsewhere, &path).unwrap();
        assert!(read_private(&path, 9).is_err());
        replace_private(&path, b"one").unwrap();
        assert_eq!(fs::read(&elsewhere).unwrap(), b"foreign");
        assert_eq!(read_private(&path, 3).unwrap().unwrap(), b"one");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        replace_private(&path, b"other").unwrap();
        assert!(read_private(&path, 4).is_err(), "longer than allowed");
        assert!(!beside(&path, ".new").exists());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(read_private(&path, 9).is_err());
        assert!(replace_private(&path, b"x").is_err() && !beside(&path, ".new").exists());
    }
}
