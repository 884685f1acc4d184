//! Inputs of the verifier, each opened and read once: a file, a pipe, a fifo, a device, or standard input as `-`.
//!
//! Guarantees that nothing is opened twice that can be read only once. An export is read in one pass. A vault file
//! needs random access: if it comes as a stream, it is copied first.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read, Seek, Write},
    os::fd::AsFd,
    path::Path,
};

use crate::cli::error::CliError;

/// Number of bytes that identify a file's kind.
const START_BYTES: u64 = 64;
/// Size of the pieces in which a copy is written.
const PIECE_BYTES: usize = 1 << 20;

/// Returns whether a name denotes standard input.
pub(super) fn is_standard_input(name: &Path) -> bool {
    [Path::new("-"), Path::new("/dev/stdin"), Path::new("/dev/fd/0")].contains(&name)
}

/// An input, opened once.
pub(super) struct Input {
    name: String,
    file: File,
    /// The first bytes, already read to identify the kind.
    start: Vec<u8>,
    kind: Kind,
}

/// Access that an input allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// By name, any number of times.
    Named { bytes: u64 },
    /// To its end, once.
    Stream,
}

impl Input {
    /// Opens what a flag names, and reads its beginning.
    ///
    /// # Errors
    /// It cannot be opened or read.
    pub(super) fn open(path: &Path) -> Result<Self, CliError> {
        let is_stdin = is_standard_input(path);
        let name = if is_stdin { "standard input".to_owned() } else { path.display().to_string() };
        let failed = |error: io::Error| {
            let hint = match error.raw_os_error() {
                // ENXIO: a socket has no open(2).
                Some(6) => "a socket cannot be opened by its name: pipe what it sends, and name it `-`",
                _ => "check the path and its mode",
            };
            CliError::failed(format!("{name}: {error}"), hint)
        };
        let file = if is_stdin {
            io::stdin().as_fd().try_clone_to_owned().map(File::from)
        } else {
            File::open(path)
        };
        let mut file = file.map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(CliError::failed(format!("{name} is a folder"), "name a file in it"));
        }
        let mut start = Vec::new();
        (&mut file).take(START_BYTES).read_to_end(&mut start).map_err(failed)?;
        let is_named = metadata.is_file() && !is_stdin;
        let kind = if is_named { Kind::Named { bytes: metadata.len() } } else { Kind::Stream };
        Ok(Self { name, file, start, kind })
    }

    /// Returns its name for messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns its first bytes, at most 64.
    pub(super) fn start(&self) -> &[u8] {
        &self.start
    }

    /// Returns its length; none for a stream.
    pub(super) const fn bytes(&self) -> Option<u64> {
        match self.kind {
            Kind::Named { bytes } => Some(bytes),
            Kind::Stream => None,
        }
    }

    /// Returns a reader from the beginning to the end.
    pub(super) fn into_reader(self) -> impl BufRead + Send + 'static {
        BufReader::with_capacity(PIECE_BYTES, Cursor::new(self.start).chain(self.file))
    }

    /// Reads the whole of a short text.
    ///
    /// # Errors
    /// It cannot be read, or is longer than `bytes_max`.
    pub(super) fn into_text(self, bytes_max: usize, what: &str) -> Result<Vec<u8>, CliError> {
        let name = self.name.clone();
        let mut bytes = Vec::new();
        let read = self.into_reader().take(bytes_max as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| {
            CliError::failed(format!("{name}: {error}"), "check the disk, or what writes it")
        })?;
        if bytes.len() > bytes_max {
            let message = format!("{name} has more than {bytes_max} bytes, and so is no {what}");
            return Err(CliError::failed(message, "check that the right file is named"));
        }
        Ok(bytes)
    }

    /// Copies a stream into a private file without a name, for random access.
    ///
    /// # Errors
    /// It cannot be read, or its copy cannot be written.
    pub(super) fn into_copy(self) -> Result<File, CliError> {
        let folder = std::env::temp_dir();
        let (name, shown) = (self.name.clone(), folder.display().to_string());
        // A named file would survive a kill, and others could open it.
        let mut copy = tempfile::tempfile_in(&folder).map_err(|error| unwritten(&name, &shown, 0, &error))?;
        let (mut reader, mut written) = (self.into_reader(), 0);
        loop {
            let piece = reader.fill_buf();
            let piece = piece
                .map_err(|error| CliError::failed(format!("{name}: {error}"), "check what writes into it"))?;
            if piece.is_empty() {
                break;
            }
            copy.write_all(piece).map_err(|error| unwritten(&name, &shown, written, &error))?;
            let length = piece.len();
            written += length as u64;
            reader.consume(length);
        }
        copy.rewind().map_err(|error| unwritten(&name, &shown, written, &error))?;
        Ok(copy)
    }
}

fn unwritten(name: &str, folder: &str, written: u64, error: &io::Error) -> CliError {
    // The name of the temporary file, which follows, is of no use to the user.
    let cause = error.to_string();
    let cause = cause.split(" at path ").next().unwrap_or_default();
    let message = format!(
        "{name} is a stream, and its copy in {folder} cannot be written after {written} bytes: {cause}; nothing was \
         verified"
    );
    CliError::failed(
        message,
        "set TMPDIR to a folder with room for the whole vault file, or name that file instead of a stream",
    )
}
