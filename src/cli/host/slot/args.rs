//! The flags of `sealroom slot`.

use std::path::PathBuf;

use crate::cli::{
    error::CliError,
    host::{file_args::FileArgs, kdf_args::KdfArgs, passphrase::PassphraseArgs},
    terminal::confirm::Consent,
};

/// `slot`'s subcommands.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List the slots: number, kind, cost and last change; needs no passphrase.
    #[command(after_help = "Examples:\n  sealroom slot list --data team.redb")]
    List(FileArgs),
    /// Add a further secret that opens the vault.
    #[command(after_help = "Examples:\n  sealroom slot add passphrase --data team.redb")]
    Add(AddArgs),
    /// Replace the secret of a slot, or derive its key anew with other costs.
    #[command(
        after_help = "Without --slot, the slot changes that the secret given to unlock opens. A copy of the file from \
                      before still opens with the old secret.\n\nExamples:\n  sealroom slot change --data team.redb\n  \
                      sealroom slot change --data team.redb --same --kdf-memory 32768"
    )]
    Change(ChangeArgs),
    /// Remove a slot: its secret no longer opens this file.
    #[command(after_help = "Examples:\n  sealroom slot remove 3 --data team.redb")]
    Remove(RemoveArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct AddArgs {
    #[command(subcommand)]
    pub(super) kind: AddKind,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum AddKind {
    /// Add a passphrase.
    #[command(after_help = "Examples:\n  sealroom slot add passphrase --data team.redb")]
    Passphrase(NewPassphraseArgs),
    /// Add a recovery key, and show it once.
    #[command(after_help = "Examples:\n  sealroom slot add recovery --data team.redb")]
    Recovery(NewRecoveryArgs),
    /// Add a machine key for unattended starts, in a new file: pass it to `serve` as --passphrase-file.
    #[command(
        after_help = "Whoever reads the key file opens the vault file: keep it on another disk than the vault and its \
                      backups, or as a systemd credential.\n\nExamples:\n  \
                      sealroom slot add machine --data team.redb --key-file /run/secrets/machine"
    )]
    Machine(NewMachineArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct NewPassphraseArgs {
    #[command(flatten)]
    pub(super) file: FileArgs,
    #[command(flatten)]
    pub(super) passphrase: PassphraseArgs,
    /// Read the new passphrase from this file (mode 0600).
    #[arg(long, value_name = "FILE")]
    pub(super) new_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) cost: KdfArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct NewRecoveryArgs {
    #[command(flatten)]
    pub(super) file: FileArgs,
    #[command(flatten)]
    pub(super) passphrase: PassphraseArgs,
    /// Write the recovery key to this new file (mode 0600) instead of stdout.
    #[arg(long, value_name = "FILE")]
    pub(super) recovery_key_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) cost: KdfArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct NewMachineArgs {
    #[command(flatten)]
    pub(super) file: FileArgs,
    #[command(flatten)]
    pub(super) passphrase: PassphraseArgs,
    /// Write the machine key to this new file (mode 0600).
    #[arg(long, value_name = "FILE")]
    pub(super) key_file: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct ChangeArgs {
    #[command(flatten)]
    pub(super) file: FileArgs,
    #[command(flatten)]
    pub(super) passphrase: PassphraseArgs,
    /// The slot to change, as `slot list` numbers it.
    #[arg(long, value_name = "ID")]
    pub(super) slot: Option<u32>,
    /// Keep the secret, and derive its key anew with these costs.
    #[arg(long, conflicts_with_all = ["new_passphrase_file", "recovery_key_file", "key_file", "slot"])]
    pub(super) same: bool,
    /// Read the new passphrase from this file (mode 0600).
    #[arg(long, value_name = "FILE")]
    pub(super) new_passphrase_file: Option<PathBuf>,
    /// Write the new recovery key to this new file (mode 0600) instead of stdout.
    #[arg(long, value_name = "FILE")]
    pub(super) recovery_key_file: Option<PathBuf>,
    /// Write the new machine key to this new file (mode 0600).
    #[arg(long, value_name = "FILE")]
    pub(super) key_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) cost: KdfArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct RemoveArgs {
    /// The slot, as `slot list` numbers it.
    #[arg(value_name = "ID", required_unless_present = "named")]
    slot: Option<u32>,
    /// The slot, spelt as for `slot change`.
    #[arg(long = "slot", value_name = "ID", conflicts_with = "slot")]
    named: Option<u32>,
    #[command(flatten)]
    pub(super) file: FileArgs,
    #[command(flatten)]
    pub(super) passphrase: PassphraseArgs,
    #[command(flatten)]
    pub(super) consent: Consent,
}

impl RemoveArgs {
    pub(super) fn slot(&self) -> Result<u32, CliError> {
        self.slot
            .or(self.named)
            .ok_or_else(|| CliError::usage("no slot is named", "see `sealroom slot list`"))
    }
}
