//! The file of a trust policy: which witnesses vouch for a log, and how many of them are needed.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use super::error::CliError;
use crate::audit::{
    checkpoint::VerifierKey,
    witness_policy::{POLICY_BYTES_MAX, Policy},
};

/// Reads a policy (C2SP `tlog-policy`).
///
/// # Errors
/// The file cannot be read, or a line breaks a rule.
pub(super) fn read(path: &Path) -> Result<Policy, CliError> {
    read_as(path, "--policy")
}

/// Reads a policy that `source` names.
///
/// # Errors
/// As [`read`].
pub(super) fn read_as(path: &Path, source: &str) -> Result<Policy, CliError> {
    let shown = path.display();
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(POLICY_BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|error| {
        CliError::failed(format!("{source} {shown}: {error}"), "check the path and its mode")
    })?;
    if bytes.len() > POLICY_BYTES_MAX {
        let message =
            format!("{source} {shown}: it has more than {POLICY_BYTES_MAX} bytes, and so is no policy");
        return Err(CliError::failed(message, "check that the right file is named"));
    }
    Policy::read(&bytes).map_err(|bad| {
        let hint = "a policy has lines like `witness NAME KEY URL`, and one `quorum NAME` (C2SP tlog-policy)";
        CliError::failed(format!("{source} {shown}: {bad}"), hint)
    })
}

/// The flag `--policy`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct PolicyArg {
    /// The witnesses, and how many of them are needed: a file in the form of C2SP tlog-policy.
    #[arg(long, value_name = "FILE")]
    pub(super) policy: PathBuf,
}

/// Checks that a policy takes the log with this key.
///
/// # Errors
/// It names logs, and not this one.
pub(super) fn check_log(policy: &Policy, key: &VerifierKey, path: &Path) -> Result<(), CliError> {
    if policy.logs().is_empty() || policy.logs().contains(key) {
        return Ok(());
    }
    Err(CliError::failed(
        format!("{}: no log line has the key {key}", path.display()),
        "check that this is the policy of this vault; after a rekey or a restore, add a line: log and the new key",
    ))
}
