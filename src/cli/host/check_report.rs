//! The report of `doctor` and `self-check`: one line a check, its findings below it.

use serde_json::json;

use crate::{
    cli::{
        error::CliError,
        terminal::{output::Output, visible::on_one_line},
    },
    storage::{Check, Status},
};

/// The thing that was checked.
pub(super) struct Subject<'a> {
    /// Its kind, the name of its field in the JSON value.
    pub(super) kind: &'static str,
    /// Its name in messages.
    pub(super) name: String,
    /// The remedy of a failed check.
    pub(super) hint: &'a str,
}

/// Prints the report; an error if a check failed or, where warnings count too, warns. `cause` says more of a failure
/// than the checks.
pub(super) fn report(
    subject: &Subject<'_>,
    checks: &[Check],
    strict: bool,
    cause: Option<CliError>,
    output: &Output,
) -> Result<(), CliError> {
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    let (failed, warned) = (count(Status::Failed), count(Status::Warning));
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
    let mut lines: Vec<String> = checks.iter().flat_map(|check| lines_of(check, width)).collect();
    lines.push(format!(
        "{} ok, {} skipped, {}, {failed} failed",
        count(Status::Ok),
        count(Status::Skipped),
        if warned == 1 { "1 warning".to_owned() } else { format!("{warned} warnings") },
    ));
    let is_well = failed == 0 && !(strict && warned > 0);
    let value = json!({ subject.kind: subject.name, "ok": is_well, "checks": checks });
    output.result(&lines.join("\n"), &value)?;
    if is_well {
        return Ok(());
    }
    if let Some(cause) = cause {
        return Err(cause);
    }
    let name = &subject.name;
    if failed > 0 {
        return Err(CliError::failed(format!("{name}: {} failed", counted(failed)), subject.hint));
    }
    let message = format!("{name}: {} gave a warning, and --strict is set", counted(warned));
    Err(CliError::failed(message, "do what the warnings say, or run it without --strict"))
}

fn counted(checks: usize) -> String {
    if checks == 1 { "1 check".to_owned() } else { format!("{checks} checks") }
}

fn lines_of(check: &Check, width: usize) -> Vec<String> {
    let Check { name, status, message, detail } = check;
    let first = format!("{:<8} {name:<width$} {}", status.as_str(), on_one_line(message));
    let rest = detail.iter().map(|line| format!("{:below$}{}", "", on_one_line(line), below = width + 10));
    std::iter::once(first).chain(rest).collect()
}
