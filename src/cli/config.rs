//! The config file, for every command that has settings.

use std::path::Path;

use super::{error::CliError, source::Given};
use crate::config::{ConfigError, FileConfig};

/// Reads the named file; without one, no setting is set. `given` records the source of the name.
pub(super) fn read(path: Option<&Path>, given: &Given) -> Result<FileConfig, CliError> {
    let Some(path) = path else { return Ok(FileConfig::default()) };
    FileConfig::read(path).map_err(|error| match error {
        ConfigError::Io(_) => given
            .source("config", "config", None)
            .refuse(format!("{}: {error}", path.display()), "name another file there, or omit it"),
        ConfigError::Invalid(_) => {
            CliError::usage(format!("{}: {error}", path.display()), "config.example.toml shows every setting")
        }
    })
}
