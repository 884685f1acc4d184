//! The flags of a group of commands.

use super::remote::ServerArgs;

/// The commands of a group, and the server that they call.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct GroupArgs<C: clap::Subcommand> {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    #[command(subcommand)]
    pub(super) command: C,
}
