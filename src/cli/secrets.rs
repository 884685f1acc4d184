//! Secrets from files and standard input; never from the arguments. `prompt.rs` asks people.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    path::Path,
};

use super::{error::CliError, output::Output, usage};
use crate::domain::Secret;

/// No passphrase or password is longer.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Reads a secret file that nobody else can read.
pub(super) fn from_file(path: &Path, output: &Output) -> Result<Secret, CliError> {
    usage::check_place(path)?;
    let shown = path.display();
    let failed =
        |error: io::Error| CliError::failed(format!("{shown}: {error}"), "check the path and its mode");
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !(metadata.is_file() || is_pipe(&metadata)) {
        return Err(CliError::failed(
            format!("{shown} is neither a regular file nor a pipe"),
            "name a file with the secret in it",
        ));
    }
    check_mode(path, &file, &metadata, output)?;
    from_reader(file, &shown.to_string())
}

/// Reads a secret from standard input, to its end.
pub(super) fn from_stdin() -> Result<Secret, CliError> {
    from_reader(io::stdin().lock(), "standard input")
}

/// A shell's `<(…)` is one; it has an owner and a mode as a file has.
#[cfg(unix)]
fn is_pipe(metadata: &Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&metadata.file_type())
}

#[cfg(not(unix))]
const fn is_pipe(_: &Metadata) -> bool {
    false
}

/// Others must not be able to read it; where the mode cannot be changed, as with a container's secrets, they may.
#[cfg(unix)]
fn check_mode(path: &Path, file: &File, metadata: &Metadata, output: &Output) -> Result<(), CliError> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    let shown = path.display();
    if metadata.permissions().mode() & 0o077 != 0 {
        let mount = rustix::fs::fstatvfs(file)
            .map_err(|error| CliError::failed(format!("{shown}: {error}"), "check the path and its mode"))?;
        if !mount.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
            return Err(CliError::failed(
                format!("{shown} can be read by others (mode {:04o})", metadata.mode() & 0o7777),
                format!("chmod 600 {shown}"),
            ));
        }
        output.warning(&format!("{shown} can be read by others; accepted, since its mount is read-only"));
    }
    Ok(())
}

/// Elsewhere a file has no mode; its folder's rights protect it.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "as on unix")]
fn check_mode(_: &Path, _: &File, _: &Metadata, _: &Output) -> Result<(), CliError> {
    Ok(())
}

fn from_reader(reader: impl Read, name: &str) -> Result<Secret, CliError> {
    // Room for all of it at once, so that no half-read copy is left behind by a growing buffer.
    let mut bytes = Vec::with_capacity(4096);
    let read = reader.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| CliError::failed(format!("{name}: {error}"), "check the source of the secret"))?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(CliError::failed(
            format!("{name} holds more than 64 KiB"),
            "name a file with the secret alone",
        ));
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    Ok(Secret::new(bytes))
}

/// A secret as text, for showing it this once.
#[cfg(feature = "server")]
pub(super) fn shown(secret: &Secret) -> String {
    String::from_utf8_lossy(secret.expose()).into_owned()
}

/// A new file for a secret, made before the secret is, so that none is lost; gone again unless it is written.
pub(super) struct NewFile<'a> {
    path: &'a Path,
    file: tempfile::NamedTempFile,
}

impl<'a> NewFile<'a> {
    /// Makes sure that it can be written, and is not there yet.
    pub(super) fn begin(path: &'a Path) -> Result<Self, CliError> {
        if path.exists() {
            return Err(CliError::failed(format!("{} exists already", path.display()), "name a new file"));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::NamedTempFile::new_in(folder).map_err(|error| unwritable(path, &error))?;
        Ok(Self { path, file })
    }

    /// Writes it, mode 0600, with a line end.
    pub(super) fn write(mut self, secret: &[u8]) -> Result<(), CliError> {
        use io::Write;
        let written = self.file.write_all(secret).and_then(|()| self.file.write_all(b"\n"));
        let written = written.and_then(|()| self.file.as_file().sync_all());
        written.map_err(|error| unwritable(self.path, &error))?;
        self.file.persist_noclobber(self.path).map(drop).map_err(|error| unwritable(self.path, &error.error))
    }
}

/// What the operating system said of a temporary file, without that file's name, which says nothing to anybody.
pub(super) fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" at path ").map_or_else(|| text.clone(), |(cause, _)| cause.to_owned())
}

fn unwritable(path: &Path, error: &io::Error) -> CliError {
    CliError::failed(
        format!("{}: {}", path.display(), cause(error)),
        "name a new file in a folder that you can write into",
    )
}
