//! The destination of what is printed: standard output, or a file that appears whole, mode 0600.

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::cli::{
    error::CliError,
    secrets::cause,
    signals::unfinished_file,
    terminal::output::{Output, Reader},
};

pub(super) enum Sink {
    Stdout(Output),
    File { path: PathBuf, file: NamedTempFile },
}

impl Sink {
    /// Opens the destination, before anything is disclosed.
    ///
    /// # Errors
    /// The folder accepts no file.
    pub(super) fn open(path: Option<PathBuf>, output: Output) -> Result<Self, CliError> {
        let Some(path) = path else { return Ok(Self::Stdout(output)) };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // It is created with mode 0600.
        match unfinished_file(folder) {
            Ok(file) => Ok(Self::File { path, file }),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    /// Returns whether a person may see what is written.
    pub(super) fn is_terminal(&self) -> bool {
        matches!(self, Self::Stdout(_)) && io::stdout().is_terminal()
    }

    pub(super) fn piece(&mut self, bytes: &[u8]) -> Result<Reader, CliError> {
        match self {
            Self::Stdout(output) => output.piece(bytes),
            Self::File { path, file } => {
                file.write_all(bytes).map(|()| Reader::Listens).map_err(|error| failed(path, &error))
            }
        }
    }

    /// Makes a file appear under its name, in place of an older one.
    ///
    /// # Errors
    /// The operating system refuses; the older file is unchanged.
    pub(super) fn finish(self) -> Result<(), CliError> {
        let Self::File { path, file } = self else { return Ok(()) };
        file.as_file().sync_all().map_err(|error| failed(&path, &error))?;
        file.persist(&path).map(drop).map_err(|error| failed(&path, &error.error))
    }
}

fn failed(path: &Path, error: &io::Error) -> CliError {
    CliError::failed(
        format!("{}: {}", path.display(), cause(error)),
        "check the folder of --output and its disk",
    )
}
