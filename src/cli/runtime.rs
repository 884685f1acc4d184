//! The runtime of a command.

use super::error::CliError;

/// Runs a command's work on one thread, which is enough for sequential calls.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime
        .map_err(|error| CliError::failed(format!("no runtime: {error}"), "free memory or threads"))?;
    runtime.block_on(work)
}
