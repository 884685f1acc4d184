//! `sealroom notify test`: one message to the targets that a config file names, from this process.

use clap::Subcommand;
use serde_json::json;

use super::{hook::Hook, notice::Notice, targets::Targets};
use crate::{
    cli::{
        error::CliError,
        host::settings::{NotifyArgs, OutgoingPlan, read_notify},
        runtime::block_on,
        terminal::output::Output,
    },
    clock::Clock,
};

/// `notify`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send a test message to the webhook and the command that a config file names.
    #[command(
        after_help = "Needs no vault and no server.\n\nExamples:\n  sealroom notify test --config /etc/sealroom.toml"
    )]
    Test(NotifyArgs),
}

pub(in crate::cli) fn run(args: &Args, output: &Output) -> Result<(), CliError> {
    let Command::Test(args) = &args.command;
    let (plan, outgoing) = read_notify(args)?;
    let hook = plan.command.as_deref().map(Hook::start).transpose()?;
    let outgoing = outgoing.map(OutgoingPlan::open).transpose()?;
    let webhook = plan.webhook(outgoing.as_ref(), output)?;
    block_on(send(Targets { webhook, hook }, output))
}

async fn send(targets: Targets, output: &Output) -> Result<(), CliError> {
    let notice = Notice::new("test", json!({ "hint": "sealroom notify test sent this" }));
    let message = notice.into_message(None, Clock::system().now());
    let message = message.map_err(|error| CliError::failed(error.to_string(), "try again"))?;
    let (mut lines, mut failed) = (Vec::new(), Vec::new());
    for mut target in targets.into_list() {
        let name = target.name();
        match target.send(&message).await {
            Ok(()) => lines.push(format!("delivered to {name}")),
            Err(cause) => failed.push(format!("{name}: {cause}")),
        }
    }
    if failed.is_empty() {
        return output.result(&lines.join("\n"), &json!({ "id": message.id, "delivered": lines.len() }));
    }
    lines.iter().for_each(|line| output.note(line));
    Err(CliError::failed(failed.join("; "), "check the target, its address and its own log"))
}
