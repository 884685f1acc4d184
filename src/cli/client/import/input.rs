//! Reads the input whole: a file, a pipe or standard input, within a limit that its kind sets.

use std::{
    fs::File,
    io::{self, IsTerminal, Read},
    path::Path,
};

use zeroize::Zeroizing;

use super::own;
use crate::cli::{error::CliError, secrets::cause};

/// Maximum size of another tool's export: a thousand values of the largest size that a vault stores are 60 MB, and
/// nobody has a tenth of that.
const TOOL_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Maximum size of an export of this program: 10,000 integrations with five credentials of 20 KB each.
const OWN_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// The first allocation; it doubles from there.
const FIRST_BYTES: usize = 64 * 1024;

/// Reads the input as text.
///
/// # Errors
/// It cannot be read, is too large, is encrypted or is no text.
pub(super) fn read(path: &Path, shown: &str) -> Result<Zeroizing<String>, CliError> {
    let bytes = if path.as_os_str() == "-" {
        if io::stdin().is_terminal() {
            return Err(CliError::usage(
                "standard input is a terminal",
                "name a file, or pipe one: sops decrypt FILE | sealroom import -",
            ));
        }
        all(io::stdin().lock(), shown)?
    } else {
        let unread = |error: &io::Error| {
            CliError::failed(format!("{shown}: {}", cause(error)), "check the path and its mode")
        };
        let file = File::open(path).map_err(|error| unread(&error))?;
        if file.metadata().map_err(|error| unread(&error))?.is_dir() {
            return Err(CliError::failed(format!("{shown} is a folder"), "name one file"));
        }
        all(file, shown)?
    };
    text(bytes, shown)
}

/// Reads bytes as the content of a file, for the fuzz targets.
#[cfg(any(test, fuzzing))]
pub(super) fn probed(bytes: &[u8]) -> Result<Zeroizing<String>, CliError> {
    all(bytes, "FILE").and_then(|bytes| text(bytes, "FILE"))
}

/// Reads to the end. A full buffer is copied into a larger one and wiped: growing it in place would leave a copy.
fn all(mut reader: impl Read, shown: &str) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let mut bytes = Zeroizing::new(vec![0; FIRST_BYTES]);
    let mut length = 0;
    loop {
        let limit = if own::is_begun(&bytes[..length]) { OWN_BYTES_MAX } else { TOOL_BYTES_MAX };
        if length > limit {
            return Err(CliError::failed(
                format!("{shown} has more than {} MiB", limit / 1024 / 1024),
                "an import of this size is no .env and no export of a secrets tool: check the file",
            ));
        }
        if length == bytes.len() {
            let mut larger = Zeroizing::new(vec![0; length * 2]);
            larger[..length].copy_from_slice(&bytes);
            bytes = larger;
        }
        match reader.read(&mut bytes[length..]) {
            Ok(0) => {
                bytes.truncate(length);
                return Ok(bytes);
            }
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let cause = cause(&error);
                return Err(CliError::failed(format!("{shown}: {cause}"), "check the source of the input"));
            }
        }
    }
}

fn text(mut bytes: Zeroizing<Vec<u8>>, shown: &str) -> Result<Zeroizing<String>, CliError> {
    let failed = |flaw: &str, hint: &str| Err(CliError::failed(format!("{shown} {flaw}"), hint));
    let starts = |begin: &str| bytes.starts_with(begin.as_bytes());
    if starts("age-encryption.org/") || starts("-----BEGIN AGE ENCRYPTED FILE-----") {
        return failed("is encrypted by age", "decrypt it on the way: age -d FILE | sealroom import -");
    }
    if starts("-----BEGIN PGP MESSAGE-----") {
        return failed("is encrypted by PGP", "decrypt it on the way: gpg -d FILE | sealroom import -");
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return failed("is UTF-16, not UTF-8", "save it as UTF-8");
    }
    if bytes.contains(&0) {
        return failed("is binary: it has NUL bytes", "pass the text that the tool exports");
    }
    if bytes.starts_with("\u{feff}".as_bytes()) {
        bytes.drain(..3);
    }
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            failed("is not UTF-8 text", "save it as UTF-8")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(bytes: &[u8]) -> String {
        let read = all(bytes, "FILE").and_then(|bytes| text(bytes, "FILE"));
        read.err().map(|error| error.message).unwrap_or_default()
    }

    #[test]
    fn what_is_no_text_is_told_apart() {
        for (bytes, said) in [
            (b"A=\0zq1".as_slice(), "is binary"),
            (b"\xff\xfeA\0", "UTF-16"),
            (b"A=caf\xe9zq1", "not UTF-8"),
            (b"age-encryption.org/v1\n-> X25519 zq1", "encrypted by age"),
            (b"-----BEGIN PGP MESSAGE-----", "encrypted by PGP"),
        ] {
            let error = error(bytes);
            assert!(error.contains(said) && !error.contains("zq1"), "{error}");
        }
        assert_eq!(error("\u{feff}A=é".as_bytes()), "");
    }

    #[test]
    fn only_an_export_of_this_program_may_be_large() {
        let large = vec![b'x'; TOOL_BYTES_MAX + 1];
        assert!(error(&large).contains("more than 16 MiB"));
        let mut own = br#"{"sealroom":"export","#.to_vec();
        own.extend(&large);
        assert_eq!(error(&own), "");
        assert_eq!(all(&own[..], "FILE").map(|all| all.len()).ok(), Some(own.len()));
    }
}
