//! `sealroom health`: a probe, for containers without a shell and for load balancers.

use std::time::Duration;

use serde_json::json;

use super::{remote::PlaceArgs, status::ready};
use crate::cli::{error::CliError, terminal::output::Output};

/// `health`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Succeed if the server can disclose: unlocked, its log writable. This is the default.
    #[arg(long, conflicts_with = "live")]
    ready: bool,
    /// Succeed if the server answers, also a locked one.
    #[arg(long)]
    live: bool,
    /// Time limit of the probe, in seconds.
    #[arg(long, value_name = "SECS", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=60))]
    timeout_secs: u16,
    #[command(flatten)]
    server: PlaceArgs,
}

/// Asks once: a probe neither waits for a server that is starting nor uses a session.
pub(super) async fn run(args: Args, output: Output) -> Result<(), CliError> {
    let (client, _) = args.server.anonymous(output)?;
    let client = client.waiting_for_start(Duration::ZERO);
    let limit = Duration::from_secs(args.timeout_secs.into());
    let health = tokio::time::timeout(limit, client.health()).await.map_err(|_| {
        CliError::failed(
            format!("{} did not answer within {} s", client.endpoint(), args.timeout_secs),
            "see its log on its host",
        )
    })??;
    if !args.live {
        ready(&health)?;
    }
    let state = if health.locked { "locked" } else { &health.status };
    output
        .result(state, &json!({ "status": health.status, "locked": health.locked, "detail": health.detail }))
}
