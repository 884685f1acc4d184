//! The threads of a server.

use tokio::runtime::{Builder, Runtime};

use super::settings::Plan;
use crate::cli::error::CliError;

/// Starts the threads that serve connections; each has the rights of the thread that calls this.
pub(super) fn runtime(plan: &Plan) -> Result<Runtime, CliError> {
    let runtime = Builder::new_multi_thread().worker_threads(plan.workers).enable_all().build();
    runtime.map_err(|error| CliError::failed(format!("no threads: {error}"), "free memory or threads"))
}
