//! The destination of what is printed: standard output, or a file that appears whole, mode 0600.

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
};

use crate::cli::{
    client::output_file::OutputFile,
    error::CliError,
    terminal::output::{Output, Reader},
};

pub(super) enum Sink {
    Stdout(Output),
    File(OutputFile),
}

impl Sink {
    /// Opens the destination, before anything is disclosed.
    ///
    /// # Errors
    /// The path or its folder accepts no file.
    pub(super) fn open(path: Option<PathBuf>, output: Output) -> Result<Self, CliError> {
        path.map_or(Ok(Self::Stdout(output)), |path| OutputFile::begin(path).map(Self::File))
    }

    /// Returns whether a person may see what is written.
    pub(super) fn is_terminal(&self) -> bool {
        matches!(self, Self::Stdout(_)) && io::stdout().is_terminal()
    }

    pub(super) fn piece(&mut self, bytes: &[u8]) -> Result<Reader, CliError> {
        match self {
            Self::Stdout(output) => output.piece(bytes),
            Self::File(file) => file.write(bytes).map(|()| Reader::Listens),
        }
    }

    /// Makes a file appear under its name, in place of an older one.
    ///
    /// # Errors
    /// The operating system refuses; the older file is unchanged.
    pub(super) fn finish(self) -> Result<(), CliError> {
        match self {
            Self::Stdout(_) => Ok(()),
            Self::File(file) => file.finish(),
        }
    }
}
