//! The ends of a program, as exit codes.

use std::io;

use rustix::process::WaitStatus;

use crate::cli::error::{CliError, Exit};

/// Added to the number of the signal that ended a program, as shells do.
const BY_SIGNAL: i32 = 128;

/// Returns the exit code of a program that has ended.
pub(super) fn code(status: WaitStatus) -> Option<u8> {
    let code =
        status.exit_status().or_else(|| status.terminating_signal().map(|signal| BY_SIGNAL + signal))?;
    Some(u8::try_from(code).unwrap_or(u8::MAX))
}

/// Returns the error of a program that did not start.
pub(super) fn unstarted(program: &str, error: &io::Error) -> CliError {
    let (exit, cause, hint) = match error.kind() {
        io::ErrorKind::NotFound => {
            (Exit::NotFound, "not found".to_owned(), "check its name, PATH, and the first line of a script")
        }
        io::ErrorKind::ArgumentListTooLong => (
            Exit::NotExecutable,
            "its arguments and environment are too long".to_owned(),
            "narrow the credentials with --provider or --name",
        ),
        _ => (
            Exit::NotExecutable,
            crate::cli::secrets::cause(error),
            "check its mode, and that it was built for this machine",
        ),
    };
    CliError { exit, ..CliError::failed(format!("{program} cannot be run: {cause}"), hint) }
}
