//! `sealroom audit list`, `checkpoint` and `key`: the log as its server shows it.

use clap::Subcommand;
use serde_json::json;

use super::{
    error::CliError,
    output::Output,
    remote::{Need, Remote, ServerArgs},
    stream,
    table::{NOTHING, local, table},
};
use crate::{
    client::{Event, EventFilter},
    domain::Timestamp,
};

/// The commands of `audit` that speak to a server.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List events, newest first; with --json the records as the server gives them.
    #[command(
        after_help = "Examples:\n  sealroom audit list --action credentials.read --limit 20\n  sealroom audit list --actor user:ada@example.com --from 2026-11-01T00:00:00Z"
    )]
    List(At<ListArgs>),
    /// Print the latest signed checkpoint; keep it away from the host.
    #[command(after_help = "Examples:\n  sealroom audit checkpoint > checkpoint.txt")]
    Checkpoint(At<NoArgs>),
    /// Write the log, oldest first: each line of NDJSON is one record, byte for byte.
    #[command(
        after_help = "Examples:\n  sealroom audit export --output export.ndjson\n  sealroom audit export --format csv --from 2026-11-01T00:00:00Z > november.csv"
    )]
    Export(At<stream::ExportArgs>),
    /// Print the newest records, oldest first; with --json each as it is.
    #[command(
        after_help = "Examples:\n  sealroom audit tail -f\n  sealroom audit tail -f --json --cursor-file /var/lib/shipper/sealroom.cursor"
    )]
    Tail(At<stream::TailArgs>),
    /// Print the key that checkpoints are verified with.
    #[command(after_help = "Examples:\n  sealroom audit key > audit.key")]
    Key(At<NoArgs>),
}

/// A command's own flags, and its server: `audit verify` beside it has none.
#[derive(Debug, clap::Args)]
pub(super) struct At<T: clap::Args> {
    #[command(flatten)]
    own: T,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct NoArgs {}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Who: `user:<email>`, `app:<token id>` or `host:<os user>`.
    #[arg(long)]
    actor: Option<String>,
    /// What, like credentials.read.
    #[arg(long)]
    action: Option<String>,
    /// Which integration, by its id.
    #[arg(long)]
    integration: Option<String>,
    /// Which project.
    #[arg(long)]
    project: Option<String>,
    /// How it ended: allowed, denied or failed.
    #[arg(long)]
    outcome: Option<String>,
    /// Not before this time, like 2026-11-24T10:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Not after this time.
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// At most so many, 1 to 1000.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
    /// Where the list before ended.
    #[arg(long)]
    cursor: Option<String>,
}

pub(super) async fn run(command: Command, output: Output) -> Result<(), CliError> {
    let at = |server: ServerArgs| server.connect(Need::Token, output);
    match command {
        Command::List(At { own, server }) => show_all(own, &at(server)?).await,
        Command::Export(At { own, server }) => stream::export(own, &at(server)?).await,
        Command::Tail(At { own, server }) => stream::tail(own, &at(server)?).await,
        Command::Checkpoint(At { server, .. }) => {
            let text = at(server)?.client.checkpoint().await?;
            // A signed note ends with its line end; a machine gets the text whole.
            output.result(&text, &json!({ "checkpoint": text }))
        }
        Command::Key(At { server, .. }) => {
            let key = at(server)?.client.verifier_key().await?;
            output.result(&key, &json!({ "key": key.trim_end() }))
        }
    }
}

async fn show_all(args: ListArgs, remote: &Remote) -> Result<(), CliError> {
    let parameters = [
        ("actor", args.actor),
        ("action", args.action),
        ("integration", args.integration),
        ("project", args.project),
        ("outcome", args.outcome),
        ("from", args.from.map(|time| time.to_string())),
        ("to", args.to.map(|time| time.to_string())),
        ("limit", Some(args.limit.to_string())),
        ("cursor", args.cursor),
    ];
    let parameters = parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let (events, next) = remote.client.events(&EventFilter { parameters }).await?;
    let mut rows = Vec::with_capacity(events.len());
    for event in &events {
        let event: Event = serde_json::from_str(event.get()).map_err(|_| {
            CliError::failed("an event is of a kind that this sealroom does not know", "pass --json")
        })?;
        let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
        rows.push([
            event.sequence.to_string(),
            local(event.time),
            event.actor,
            event.action,
            event.outcome,
            or_nothing(event.provider),
            or_nothing(event.project),
            or_nothing(event.peer),
        ]);
    }
    let headings = ["SEQ", "TIME", "ACTOR", "ACTION", "OUTCOME", "PROVIDER", "PROJECT", "PEER"];
    let lines = if rows.is_empty() { "no event matches".to_owned() } else { table(headings, rows) };
    remote.output.result(&lines, &events)?;
    if let Some(next) = next {
        remote.output.note(&format!("more: --cursor {next}"));
    }
    Ok(())
}
