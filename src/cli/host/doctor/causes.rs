//! The causes of a failed examination that are no damage of the file.

use std::path::Path;

use crate::{
    cli::{
        error::{CliError, MISTYPED},
        host::checkpoint_check::CHECKPOINT,
    },
    storage::{Check, OpenError, Status},
};

/// Returns the error of a file that did not open, unless it is a damaged vault: then the report is the answer.
pub(super) fn not_damaged(path: &Path, error: &OpenError) -> Option<CliError> {
    (!matches!(error, OpenError::Damaged(_))).then(|| CliError::open(path, error))
}

/// Returns the error of a file in which one check alone failed, and that one is no damage.
pub(super) fn sole_cause(path: &Path, checks: &[Check]) -> Option<CliError> {
    let mut failed = checks.iter().filter(|check| check.status == Status::Failed);
    let (Some(check), None) = (failed.next(), failed.next()) else { return None };
    let hint = match &*check.name {
        "passphrase" if check.message.starts_with("wrong recovery key") => MISTYPED,
        "passphrase" => {
            "check the passphrase file or the keyboard layout; a backup opens with the secrets of its time; if it is \
             neither, the key slots are damaged: restore a backup"
        }
        CHECKPOINT => check.detail.first()?,
        _ => return None,
    };
    Some(CliError::failed(format!("{}: {}", path.display(), check.message), hint))
}
