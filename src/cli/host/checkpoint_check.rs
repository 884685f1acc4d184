//! The check of an examination that compares the file with its checkpoint folder.

use std::path::Path;

use super::checkpoints::{NotWritten, known};
use crate::{
    storage::{Check, Status},
    vault::Vault,
};

/// The name of the check in a report.
pub(super) const CHECKPOINT: &str = "checkpoint";

/// Compares the file with the newest checkpoint in a folder: an older copy lacks records that were signed there. A backup
/// may, as long as it is kept as one.
pub(super) fn check_folder(folder: &Path, vault: &Vault) -> Check {
    let shown = folder.display();
    let (status, message, detail) = match known(folder, vault) {
        Ok(Some(size)) => {
            let message = format!("the file holds the {size} records that {shown} knows");
            return Check::new(CHECKPOINT, Status::Ok, message);
        }
        Ok(None) => {
            let message = format!("{shown} has no checkpoint that a key of this log signed");
            return Check::new(CHECKPOINT, Status::Warning, message);
        }
        Err(NotWritten::Larger { there, ours, .. }) if vault.is_copy().unwrap_or(false) => (
            Status::Warning,
            format!("this backup has {ours} records, and {shown} knows {there}, or different ones"),
            "to go on with it, restore it: `sealroom restore` with --checkpoint-folder".to_owned(),
        ),
        Err(error @ NotWritten::Larger { .. }) => {
            (Status::Failed, error.to_string(), error.hint().to_owned())
        }
        Err(error) => (Status::Warning, error.to_string(), error.hint().to_owned()),
    };
    Check { detail: vec![detail], ..Check::new(CHECKPOINT, status, message) }
}
