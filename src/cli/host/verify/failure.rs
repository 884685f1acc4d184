//! Failures of the check and their remedies.

use std::path::Path;

use crate::{audit::verify::Flaw, cli::error::CliError, storage::StorageError};

pub(super) fn failed(path: &Path, message: &str, hint: &str) -> CliError {
    CliError::failed(format!("{}: {message}", path.display()), hint)
}

pub(super) fn flawed(flaw: &Flaw) -> CliError {
    CliError::failed(
        flaw.to_string(),
        "keep this file unchanged, and compare it with a backup or another export",
    )
}

pub(super) fn damaged(error: StorageError) -> CliError {
    CliError::failed(error.to_string(), "keep this file unchanged, and compare it with a backup")
}
