//! Failures of the check and their remedies.

use std::path::Path;

use crate::{audit::verify::Flaw, cli::error::CliError, storage::StorageError};

pub(super) fn failed(path: &Path, message: &str, hint: &str) -> CliError {
    CliError::failed(format!("{}: {message}", path.display()), hint)
}

pub(super) fn flawed(flaw: &Flaw) -> CliError {
    let hint = match flaw {
        Flaw::ReceiptBeyond { .. } => {
            "if the read is newer than this copy of the log, take a newer copy; if the live log lacks the record too, \
             records were removed from its end"
        }
        Flaw::ReceiptBefore { .. } => "pass a copy of the log that begins earlier",
        Flaw::Outside { size, first, .. } if size <= first => {
            "verify the archive that holds that record with this checkpoint, and this file with a newer one"
        }
        _ => "keep this file unchanged, and compare it with a backup or another export",
    };
    CliError::failed(flaw.to_string(), hint)
}

pub(super) fn damaged(error: StorageError) -> CliError {
    CliError::failed(error.to_string(), "keep this file unchanged, and compare it with a backup")
}
