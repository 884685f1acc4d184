//! `sealroom audit list`, `checkpoint` and `key`: the log as its server shows it.

use clap::Subcommand;
use serde_json::json;

use super::{
    client_error::{AUDITOR, or_role},
    export, integration_find,
    names::{self, Names},
    near::nearest,
    remote::{Need, Remote, ServerArgs, Speaker},
    time_range::TimeRange,
};
#[cfg(feature = "server")]
use super::{cosign, explain, report};
use crate::{
    cli::{
        error::CliError,
        terminal::{
            output::Output,
            table::{NOTHING, local_second, table, visible},
            visible::for_reader,
        },
    },
    client::{Error, Event, EventFilter},
    domain::Action,
};

/// The commands of `audit` that speak to a server.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// List events, newest first; --json prints the server's records unchanged.
    #[command(
        after_help = "Examples:\n  sealroom audit list --action credentials.read --limit 20\n  sealroom audit list --actor ada@example.com --from 2026-11-01\n  sealroom audit list --integration 'deploy key'"
    )]
    List(At<ListArgs>),
    /// Print the latest signed checkpoint, to store away from the host.
    #[command(after_help = "Examples:\n  sealroom audit checkpoint > checkpoint.txt")]
    Checkpoint(At<NoArgs>),
    /// Export the log, oldest first; each NDJSON line is one record, byte for byte.
    #[command(
        after_help = "Examples:\n  sealroom audit export --output export.ndjson\n  sealroom audit export --format csv --from 2026-11-01 > november.csv"
    )]
    Export(At<export::ExportArgs>),
    /// Print the newest records, oldest first; --json prints them unchanged.
    #[command(
        after_help = "Examples:\n  sealroom audit tail -f\n  sealroom audit tail -f --json --cursor-file /var/lib/shipper/sealroom.cursor"
    )]
    Tail(At<export::TailArgs>),
    /// Say one record in sentences, and verify that it is in the signed log.
    #[cfg(feature = "server")]
    #[command(
        after_help = "Examples:\n  sealroom audit explain 41\n  sealroom audit explain 41 --key audit.key"
    )]
    Explain(At<explain::ExplainArgs>),
    /// Write one page about a range of the log, to file: who read what, refusals, changes, and how it was verified.
    #[cfg(feature = "server")]
    #[command(
        after_help = "Examples:\n  sealroom audit report --from 2026-11-01 --to 2026-12-01 november.html\n  sealroom audit report --key audit.key > report.md"
    )]
    Report(At<report::ReportArgs>),
    /// Ask witnesses to cosign the latest checkpoint, and store it with their signatures.
    #[cfg(feature = "server")]
    #[command(
        after_help = "Run it from a timer. It fails, and FILE stays, if fewer witnesses cosign than the policy needs.\n\nExamples:\n  sealroom audit cosign --policy witnesses.policy --to /mnt/elsewhere\n  sealroom audit cosign --policy witnesses.policy > cosigned.checkpoint"
    )]
    Cosign(At<cosign::CosignArgs>),
    /// Print the key that verifies checkpoints.
    #[command(after_help = "Examples:\n  sealroom audit key > audit.key")]
    Key(At<NoArgs>),
}

/// A command's own flags, and its server: `audit verify` beside it has none.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct At<T: clap::Args> {
    #[command(flatten)]
    own: T,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct NoArgs {}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    /// Only events by this actor: an e-mail address, a token's name or id, or `host:<os user>`.
    #[arg(long, value_name = "NAME|EMAIL|ID")]
    actor: Option<String>,
    /// Only events of this action, such as credentials.read.
    #[arg(long)]
    action: Option<String>,
    /// Only events about this integration, by name or id.
    #[arg(long, value_name = "NAME|ID")]
    integration: Option<String>,
    /// Only events about this project.
    #[arg(long)]
    project: Option<String>,
    /// Only events with this outcome: allowed, denied or failed.
    #[arg(long)]
    outcome: Option<String>,
    #[command(flatten)]
    between: TimeRange,
    /// Maximum number of events, 1 to 1000.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
    /// Continue the previous list at this cursor.
    #[arg(long)]
    cursor: Option<String>,
}

pub(super) async fn run(command: Command, output: Output) -> Result<(), CliError> {
    let at = |server: ServerArgs| server.connect(Need::Token, output);
    match command {
        Command::List(At { own, server }) => show_all(own, &at(server)?).await,
        Command::Export(At { own, server }) => export::export(own, &at(server)?).await,
        #[cfg(feature = "server")]
        Command::Explain(At { own, server }) => explain::run(own, &at(server)?).await,
        #[cfg(feature = "server")]
        Command::Report(At { own, server }) => report::run(own, &at(server)?).await,
        #[cfg(feature = "server")]
        Command::Cosign(At { own, server }) => cosign::run(own, &server, output).await,
        Command::Tail(At { own, server }) => export::tail(own, &at(server)?).await,
        Command::Checkpoint(At { server, .. }) => {
            let text = at(server)?.client.checkpoint().await.map_err(or_role(AUDITOR))?;
            // A signed note ends with a line end; JSON gets the whole text.
            output.result(&for_reader(&text), &json!({ "checkpoint": text }))
        }
        Command::Key(At { server, .. }) => {
            let key = at(server)?.client.verifier_key().await.map_err(or_role(AUDITOR))?;
            output.result(&for_reader(&key), &json!({ "key": key.trim_end() }))
        }
    }
}

async fn show_all(args: ListArgs, remote: &Remote) -> Result<(), CliError> {
    let actor = match &args.actor {
        Some(text) => Some(names::actor(text, remote).await?),
        None => None,
    };
    let integration = match &args.integration {
        Some(text) => Some(integration_find::id_of(text, remote).await?.to_string()),
        None => None,
    };
    let [from, to] = args.between.parameters();
    let parameters = [
        ("actor", actor.clone()),
        ("action", args.action.clone()),
        ("integration", integration),
        ("project", args.project),
        ("outcome", args.outcome),
        from,
        to,
        ("limit", Some(args.limit.to_string())),
        ("cursor", args.cursor),
    ];
    let parameters = parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let read = remote.client.events(&EventFilter { parameters }).await;
    let (events, next) = read.map_err(|error| with_known_actions(error, args.action.as_deref()))?;
    if remote.output.is_json() {
        remote.output.result("", &events)?;
    } else if events.is_empty() {
        let lines = nothing_matches(actor.as_deref(), remote).await;
        remote.output.result(&lines, &events)?;
    } else {
        let mut rows = Vec::with_capacity(events.len());
        let mut names = Names::new(remote);
        for event in &events {
            let event: Event = serde_json::from_str(event.get()).map_err(|_| {
                CliError::failed("this version of sealroom does not know the kind of an event", "pass --json")
            })?;
            names.learn(&event).await;
            rows.push(row(&event, &names));
        }
        remote.output.result(&table(HEADINGS, rows), &events)?;
    }
    if let Some(next) = next {
        remote.output.note(&format!("more: --cursor {next}"));
    }
    Ok(())
}

/// Names come first and ids last: on a narrow terminal, the ids are left out.
const HEADINGS: [&str; 11] = [
    "SEQ", "TIME", "ACTOR", "ACTION", "OUTCOME", "ABOUT", "PROVIDER", "PROJECT", "PEER", "ACTOR ID",
    "ABOUT ID",
];

fn row(event: &Event, names: &Names<'_>) -> [String; 11] {
    let or_nothing = |text: Option<&String>| text.map_or(NOTHING, String::as_str).to_owned();
    let (actor, subject) = (names.actor(event), names.subject(event));
    [
        event.sequence.to_string(),
        local_second(event.time),
        actor.text,
        event.action.clone(),
        event.outcome.clone(),
        subject.text,
        or_nothing(event.provider.as_ref()),
        or_nothing(event.project.as_ref()),
        or_nothing(event.peer.as_ref()),
        or_nothing(actor.id.as_ref()),
        or_nothing(subject.id.as_ref()),
    ]
}

/// Adds the most similar known action to a refusal; the server decides which actions exist.
fn with_known_actions(error: Error, action: Option<&str>) -> CliError {
    let unknown = action.filter(|action| action.parse::<Action>().is_err());
    match (&error, unknown) {
        (Error::Refused(refusal), Some(action)) if refusal.status == 400 => {
            let known = || Action::ALL.iter().map(|action| action.as_str());
            let hint = match nearest(action, known()) {
                Some(nearest) => format!("the nearest is '{nearest}'"),
                None => format!("known actions: {}", known().collect::<Vec<_>>().join(", ")),
            };
            CliError { message: format!("unknown action '{action}'"), hint, ..CliError::from(error) }
        }
        _ => or_role(AUDITOR)(error),
    }
}

/// Explains an empty list: a mistyped address is one possible reason.
async fn nothing_matches(actor: Option<&str>, remote: &Remote) -> String {
    let nothing = "no event matches".to_owned();
    let Some(email) = actor.and_then(|actor| actor.strip_prefix("user:")) else { return nothing };
    if remote.speaker != Speaker::User {
        return nothing;
    }
    let Ok(users) = remote.client.users().await else { return nothing };
    if users.iter().any(|user| user.email.eq_ignore_ascii_case(email)) {
        return nothing;
    }
    // The addresses of one company differ only before the `@`.
    let name = |email: &'_ str| email.split('@').next().unwrap_or_default().to_owned();
    let names: Vec<String> = users.iter().map(|user| name(&user.email)).collect();
    let near = nearest(&name(email), names.iter().map(String::as_str));
    let near = near.and_then(|near| users.iter().find(|user| name(&user.email) == near));
    let near = near.map_or_else(String::new, |user| format!(", the nearest is {}", user.email));
    visible(&format!("{nothing}; no user is called {email}{near}")).into_owned()
}
