//! A locked vault, as a client tells of it: an unlock helps, unless the vault's file is an older copy.

use crate::{api::OLDER_COPY, cli::error::CliError};

/// The remedy of a vault that an unlock opens.
pub(super) const UNLOCK: &str = "on its host: sealroom unlock --data FILE";
/// The remedy of a vault whose file is an older copy than its checkpoint folder knows.
pub(super) const NEWEST_FILE: &str = "on its host: put the newest file back, or start it once with --accept-rollback; \
                                      `sealroom unlock` says more and opens nothing";

/// Returns the error of a locked vault.
pub(super) fn locked() -> CliError {
    CliError::failed("the vault is locked", UNLOCK)
}

/// Returns the error of a vault that is locked because its file is an older copy.
pub(super) fn locked_copy() -> CliError {
    CliError::failed(format!("the vault is locked: {OLDER_COPY}"), NEWEST_FILE)
}

/// Returns the error of a request that a locked vault refused with this message.
pub(super) fn refused(message: &str) -> CliError {
    if message.contains(OLDER_COPY) { locked_copy() } else { locked() }
}
