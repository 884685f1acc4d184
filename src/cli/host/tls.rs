//! `sealroom tls`: certificates for hosts that no public authority reaches.

mod make;
mod place;

use clap::Subcommand;

pub(super) use place::next_of;

use crate::cli::{error::CliError, terminal::output::Output};

/// `tls`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a private authority and a server certificate, or renew the certificate.
    #[command(
        after_help = "The authority vouches for the given names alone, so that its key is of no use elsewhere. An existing \
                      authority is used again and never overwritten.\n\nExamples:\n  sealroom tls make --name vault.example \
                      --name 192.0.2.7 --dir tls\n  sealroom tls make --renew --dir tls"
    )]
    Make(make::Args),
}

pub(super) fn run(args: &Args, output: &Output) -> Result<(), CliError> {
    match &args.command {
        Command::Make(args) => make::run(args, output),
    }
}
