//! Secrets from files, variables and standard input; never from the arguments. `prompt.rs` handles prompts.
//!
//! One reader serves the host and the client. A secret is UTF-8 text or refused: lossy decoding would make two secrets
//! one. A byte order mark and trailing line ends are dropped, since editors and templates add both silently. Messages
//! name the source and never show a part of its content.

mod access;

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    path::Path,
};

use zeroize::Zeroizing;

use super::{error::CliError, signals::unfinished_file, terminal::output::Output, usage};
use crate::domain::Secret;

/// Maximum length of a passphrase or password.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

const STDIN: &str = "standard input";

/// Reads a secret file, after a check of who can read it.
pub(super) fn from_file(path: &Path, output: &Output) -> Result<Secret, CliError> {
    let bytes = bytes_of(path, output)?;
    text_of(bytes, &path.display().to_string())
}

/// Reads a secret from standard input, to its end.
pub(super) fn from_stdin() -> Result<Secret, CliError> {
    text_of(bytes_from(io::stdin().lock(), STDIN)?, STDIN)
}

/// Reads a secret file, or standard input where the path is `-`.
#[cfg(feature = "client")]
pub(super) fn from_file_or_stdin(path: &Path, output: &Output) -> Result<Secret, CliError> {
    if path.as_os_str() == "-" { from_stdin() } else { from_file(path, output) }
}

/// Reads a secret from an environment variable; `None` if it is unset, or empty, as pipelines set it.
#[cfg(feature = "client")]
pub(super) fn from_variable(name: &str) -> Result<Option<Secret>, CliError> {
    let Some(value) = std::env::var_os(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    text_of(Zeroizing::new(bytes_of_variable(value)), name).map(Some)
}

/// Reads a private key's file unchanged: a PEM file may contain comments in any encoding.
#[cfg(feature = "server")]
pub(super) fn key_from_file(path: &Path, output: &Output) -> Result<Secret, CliError> {
    bytes_of(path, output).map(|mut bytes| Secret::new(std::mem::take(&mut *bytes)))
}

/// Reads the passphrase of an existing vault, without its last line end.
///
/// Earlier versions took any bytes, and took a byte order mark and further line ends as parts of the passphrase. The
/// vault tries both readings, so that a vault created with such a file always opens.
#[cfg(feature = "server")]
pub(super) fn known_passphrase_from_file(path: &Path, output: &Output) -> Result<Secret, CliError> {
    bytes_of(path, output).map(without_last_line_end)
}

/// Like [`known_passphrase_from_file`], from standard input.
#[cfg(feature = "server")]
pub(super) fn known_passphrase_from_stdin() -> Result<Secret, CliError> {
    bytes_from(io::stdin().lock(), STDIN).map(without_last_line_end)
}

/// Checks that a new secret can be typed again; `what` names it, `source` is its file, if it came from one.
///
/// # Errors
/// It has control characters, a byte order mark or blanks at its ends.
pub(super) fn check_new(secret: &Secret, what: &'static str, source: Option<&Path>) -> Result<(), CliError> {
    secret.check_typable(what).map_err(|invalid| {
        let place = match source {
            Some(path) if path.as_os_str() == "-" => format!("{STDIN}: "),
            Some(path) => format!("{}: ", path.display()),
            None => String::new(),
        };
        CliError::failed(
            format!("{place}{invalid}"),
            "it cannot be typed again: choose another one; spaces between words are fine",
        )
    })
}

/// Opens a secret's file, checks who can read it, and reads it.
fn bytes_of(path: &Path, output: &Output) -> Result<Zeroizing<Vec<u8>>, CliError> {
    if path.as_os_str() == "-" {
        return bytes_from(io::stdin().lock(), STDIN);
    }
    usage::check_place(path)?;
    let shown = path.display();
    let failed = |error: io::Error| CliError::failed(format!("{shown}: {error}"), remedy(path, &error));
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !(metadata.is_file() || is_pipe(&metadata)) {
        return Err(CliError::failed(
            format!("{shown} is neither a regular file nor a pipe"),
            "pass a file that contains the secret",
        ));
    }
    access::check(path, &file, &metadata, output)?;
    bytes_from(file, &shown.to_string())
}

/// Returns the remedy for a file that cannot be opened; that of a credential of systemd is in its unit.
pub(super) fn remedy(path: &Path, error: &io::Error) -> String {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY").map(std::path::PathBuf::from);
    let is_of_systemd =
        path.starts_with("/run/credentials") || folder.is_some_and(|folder| path.starts_with(folder));
    match path.file_name().map(std::ffi::OsStr::to_string_lossy) {
        Some(name) if is_of_systemd && error.kind() == io::ErrorKind::NotFound => format!(
            "the unit passes no such credential: add LoadCredential={name}:/etc/sealroom/{name} to it, or drop what names \
             the file"
        ),
        _ => "check the path and its mode".to_owned(),
    }
}

/// Returns whether the file is a pipe, such as a shell's `<(…)`; a pipe has an owner and a mode like a file.
#[cfg(unix)]
fn is_pipe(metadata: &Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&metadata.file_type())
}

#[cfg(not(unix))]
const fn is_pipe(_: &Metadata) -> bool {
    false
}

fn bytes_from(reader: impl Read, name: &str) -> Result<Zeroizing<Vec<u8>>, CliError> {
    // Allocate the full size at once: a growing buffer would leave partial copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(SECRET_BYTES_MAX).unwrap_or(0) + 64));
    let read = reader.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| CliError::failed(format!("{name}: {error}"), "check the source of the secret"))?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(CliError::failed(
            format!("{name} holds more than 64 KiB"),
            "pass a file that contains only the secret",
        ));
    }
    Ok(bytes)
}

#[cfg(all(unix, feature = "client"))]
fn bytes_of_variable(value: std::ffi::OsString) -> Vec<u8> {
    std::os::unix::ffi::OsStringExt::into_vec(value)
}

/// Leaves an unpaired surrogate as it is: invalid text.
#[cfg(all(not(unix), feature = "client"))]
fn bytes_of_variable(value: std::ffi::OsString) -> Vec<u8> {
    value.into_encoded_bytes()
}

/// Returns the text of a secret, without a byte order mark and trailing line ends.
fn text_of(mut bytes: Zeroizing<Vec<u8>>, name: &str) -> Result<Secret, CliError> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(CliError::failed(
            format!("{name} is UTF-16, not UTF-8"),
            "save it as UTF-8, without a byte order mark",
        ));
    }
    if bytes.starts_with("\u{feff}".as_bytes()) {
        bytes.drain(..3);
    }
    while matches!(bytes.last(), Some(b'\n' | b'\r')) {
        bytes.pop();
    }
    if std::str::from_utf8(&bytes).is_err() {
        return Err(CliError::failed(
            format!("{name} is not UTF-8 text"),
            "save it as UTF-8; encode random bytes as text, for example with `openssl rand -base64 24`",
        ));
    }
    Ok(Secret::new(std::mem::take(&mut *bytes)))
}

#[cfg(feature = "server")]
fn without_last_line_end(mut bytes: Zeroizing<Vec<u8>>) -> Secret {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    Secret::new(std::mem::take(&mut *bytes))
}

/// Returns a secret as text, to show it this once.
#[cfg(feature = "server")]
pub(super) fn shown(secret: &Secret) -> String {
    secret.expose_text().expect("what this program generates is ASCII").to_owned()
}

/// A new file for a secret, created before the secret, so that none is lost; removed on drop, and by a signal, unless
/// written.
pub(super) struct NewFile<'a> {
    path: &'a Path,
    file: tempfile::NamedTempFile,
}

impl<'a> NewFile<'a> {
    /// Ensures that the file can be written, and does not exist yet.
    pub(super) fn begin(path: &'a Path) -> Result<Self, CliError> {
        if path.as_os_str() == "-" {
            let hint = "omit the flag to print it, or pass a file; write ./- for a file named -";
            return Err(CliError::usage("- is not a file to write a secret to", hint));
        }
        if path.exists() {
            return Err(CliError::failed(format!("{} already exists", path.display()), "name a new file"));
        }
        let file = unfinished_file(folder_of(path)).map_err(|error| unwritable(path, &error))?;
        Ok(Self { path, file })
    }

    /// Writes the secret, mode 0600, with a line end.
    pub(super) fn write(mut self, secret: &[u8]) -> Result<(), CliError> {
        use io::Write;
        let written = self.file.write_all(secret).and_then(|()| self.file.write_all(b"\n"));
        let written = written.and_then(|()| self.file.as_file().sync_all());
        written.map_err(|error| unwritable(self.path, &error))?;
        self.file.persist_noclobber(self.path).map_err(|error| unwritable(self.path, &error.error))?;
        // A power cut must not lose the name of a secret that something relies on.
        sync_folder(folder_of(self.path)).map_err(|error| unwritable(self.path, &error))
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

/// Windows opens no folders as files.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Returns the operating system's message without the name of the temporary file, which is of no use to a user.
pub(super) fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" at path ").map_or_else(|| text.clone(), |(cause, _)| cause.to_owned())
}

fn unwritable(path: &Path, error: &io::Error) -> CliError {
    CliError::failed(format!("{}: {}", path.display(), cause(error)), "name a new file in a writable folder")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<u8>, String> {
        text_of(Zeroizing::new(bytes.to_vec()), "p")
            .map(|secret| secret.expose().to_vec())
            .map_err(|error| error.message)
    }

    #[test]
    fn a_mark_and_line_ends_are_dropped_and_nothing_else() {
        for (bytes, kept) in [
            (&b"nine words"[..], &b"nine words"[..]),
            (b"nine words\n", b"nine words"),
            (b"nine words\r\n\n\r\n", b"nine words"),
            (b"\xef\xbb\xbfnine words\n", b"nine words"),
            (b" nine words \n", b" nine words "),
            (b"one\ntwo\n", b"one\ntwo"),
            (b"\n\n", b""),
            (b"", b""),
        ] {
            assert_eq!(read(bytes).unwrap(), kept, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_text_is_refused_and_never_repaired() {
        for (bytes, told) in [
            (&b"caf\xe9"[..], "not UTF-8"),
            (b"caf\xc3", "not UTF-8"),
            (b"\xed\xa0\x80", "not UTF-8"),
            (b"\xff\xfea\0b\0", "UTF-16"),
            (b"\xfe\xff\0a\0b", "UTF-16"),
        ] {
            assert!(read(bytes).unwrap_err().contains(told), "{bytes:?}");
        }
    }
}
