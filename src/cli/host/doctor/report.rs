//! The report of `doctor`: one line a check, its findings below it.

use std::path::Path;

use serde_json::json;

use crate::{
    cli::{
        error::CliError,
        host::checkpoint_check::CHECKPOINT,
        terminal::{output::Output, visible::on_one_line},
    },
    storage::{Check, OpenError, Status},
};

/// Returns the error of a file that did not open, unless it is a damaged vault: then the report is the answer.
pub(super) fn not_damaged(path: &Path, error: &OpenError) -> Option<CliError> {
    (!matches!(error, OpenError::Damaged(_))).then(|| CliError::open(path, error))
}

/// Prints the report; an error if a check failed or, where warnings count too, warns. `cause` says more than the checks.
pub(super) fn report(
    path: &Path,
    checks: &[Check],
    strict: bool,
    cause: Option<CliError>,
    output: &Output,
) -> Result<(), CliError> {
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    let (failed, warned) = (count(Status::Failed), count(Status::Warning));
    let mut lines: Vec<String> = checks.iter().flat_map(lines_of).collect();
    lines.push(format!(
        "{} ok, {} skipped, {}, {failed} failed",
        count(Status::Ok),
        count(Status::Skipped),
        if warned == 1 { "1 warning".to_owned() } else { format!("{warned} warnings") },
    ));
    let is_well = failed == 0 && !(strict && warned > 0);
    let value = json!({ "file": path.display().to_string(), "ok": is_well, "checks": checks });
    output.result(&lines.join("\n"), &value)?;
    if is_well {
        return Ok(());
    }
    if let Some(cause) = cause.or_else(|| sole_cause(path, checks)) {
        return Err(cause);
    }
    if failed > 0 {
        let hint = "keep this file unchanged, and compare it with a backup: `sealroom doctor BACKUP`";
        let message = format!("{}: {} failed", path.display(), counted(failed));
        return Err(CliError::failed(message, hint));
    }
    let message = format!("{}: {} gave a warning, and --strict is set", path.display(), counted(warned));
    Err(CliError::failed(message, "do what the warnings say, or run it without --strict"))
}

/// Returns the error of a file in which one check alone failed, and that one is no damage.
fn sole_cause(path: &Path, checks: &[Check]) -> Option<CliError> {
    let mut failed = checks.iter().filter(|check| check.status == Status::Failed);
    let (Some(check), None) = (failed.next(), failed.next()) else { return None };
    let hint = match &*check.name {
        "passphrase" => {
            "check the passphrase file or the keyboard layout; a backup opens with the secrets of its time; if it is \
             neither, the key slots are damaged: restore a backup"
        }
        CHECKPOINT => check.detail.first()?,
        _ => return None,
    };
    Some(CliError::failed(format!("{}: {}", path.display(), check.message), hint))
}

fn counted(checks: usize) -> String {
    if checks == 1 { "1 check".to_owned() } else { format!("{checks} checks") }
}

fn lines_of(check: &Check) -> Vec<String> {
    let Check { name, status, message, detail } = check;
    let first = format!("{:<8} {name:<11} {}", status.as_str(), on_one_line(message));
    let rest = detail.iter().map(|line| format!("{:21}{}", "", on_one_line(line)));
    std::iter::once(first).chain(rest).collect()
}
