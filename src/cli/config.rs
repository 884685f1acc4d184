//! The config file, for every command that has settings.

use std::path::Path;

use super::error::CliError;
use crate::config::FileConfig;

/// Reads the file that was named; without one, nothing is set.
pub(super) fn read(path: Option<&Path>) -> Result<FileConfig, CliError> {
    let Some(path) = path else { return Ok(FileConfig::default()) };
    FileConfig::read(path).map_err(|error| {
        CliError::usage(format!("{}: {error}", path.display()), "config.example.toml shows every setting")
    })
}
