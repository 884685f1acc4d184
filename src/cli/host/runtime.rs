//! The threads of a server.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::settings::Plan;
use crate::{cli::error::CliError, crypto::stack};

/// The longest wait for threads that work on files when the server stops.
pub(super) const THREADS_WAIT: Duration = Duration::from_secs(2);

/// Starts the threads that serve connections; each has the rights of the thread that calls this.
pub(super) fn runtime(plan: &Plan) -> Result<Runtime, CliError> {
    let mut runtime = Builder::new_multi_thread();
    runtime.worker_threads(plan.workers).enable_all();
    // The rest of a request on the stack goes as soon as its thread has nothing to do.
    runtime.on_thread_park(stack::wipe).on_thread_stop(stack::wipe);
    let runtime = runtime.build();
    runtime.map_err(|error| CliError::failed(format!("no threads: {error}"), "free memory or threads"))
}
