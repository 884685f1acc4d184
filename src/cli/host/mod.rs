//! The commands of the host: they open the vault file, or call its server over the local socket.

pub(super) mod archive;
pub(super) mod archive_file;
mod archives;
mod archiving;
mod backups;
mod bind;
mod certificate;
mod check_report;
mod checkpoint_check;
mod checkpoints;
mod clock_watch;
mod control;
mod cosigning;
mod descriptors;
mod dev;
mod doctor;
mod file_args;
mod hanging;
mod host_actor;
mod init;
mod kdf_args;
mod keeping;
mod knock;
mod lock;
mod log_watch;
mod memory;
mod notify;
mod offline;
mod passphrase;
mod read_only;
mod recover;
mod repeats;
mod replace;
mod rescue;
mod restore;
mod runtime;
mod sandbox;
mod self_check;
mod serve;
mod settings;
mod shutdown;
mod slot;
mod surroundings;
mod systemd;
mod tls;
mod tracing;
pub(super) mod verify;
mod witness;

use clap::Subcommand;

use super::{error::CliError, terminal::output::Output};

pub(super) use notify::{HOOK, help_run};
pub(super) use sandbox::{SANDBOX_CHECK, check_sandbox};

/// The commands of the host.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a vault file and its first owner.
    #[command(after_help = "Examples:\n  sealroom init --data team.redb --owner-email ada@example.com")]
    Init(init::Args),
    /// Serve a vault file over HTTP, or a temporary one with --dev.
    #[command(
        after_help = "Examples:\n  sealroom serve --dev\n  sealroom serve --data team.redb --passphrase-file /run/secrets/passphrase"
    )]
    Serve(Box<settings::Args>),
    /// Unlock the vault of a running server, over its local socket.
    #[command(after_help = "Examples:\n  sealroom unlock --data team.redb")]
    Unlock(lock::UnlockArgs),
    /// Lock the vault of a running server and wipe its keys from memory.
    #[command(after_help = "Examples:\n  sealroom lock --data team.redb")]
    Lock(lock::LockArgs),
    /// Recover the vault of a running server whose file was removed, moved or replaced.
    #[command(after_help = "Examples:\n  sealroom rescue --data team.redb --to saved.redb")]
    Rescue(rescue::Args),
    /// Examine a vault file or a backup: pages, rows, log, and the rows against what the log says happened.
    #[command(
        after_help = "Reads only: no byte of the file changes. Without a passphrase the checks that need none run. A file in \
                      use is examined by its server.\n\nExamples:\n  sealroom doctor team.redb --passphrase-file /run/secrets/passphrase\n  \
                      sealroom doctor backup.redb --strict --json\n  sealroom doctor backup.redb --archive 2025.archive"
    )]
    Doctor(doctor::Args),
    /// Check this host before `init`: primitives, sandbox, folder, locks, syncs, clock and memory.
    #[command(
        after_help = "Needs no vault, and leaves nothing behind.\n\nExamples:\n  sealroom self-check --data /var/lib/sealroom/vault.redb\n  \
                      sealroom self-check --strict --json"
    )]
    SelfCheck(self_check::Args),
    /// Restore a backup; what was revoked or removed after it stays away.
    #[command(
        after_help = "The backup is verified first. What the replaced file's log, or --since FILE, shows as revoked, \
                      removed or narrowed after the backup is taken away again, unless --revive is given. Every session \
                      ends, and the log continues with a new key.\n\nExamples:\n  \
                      sealroom restore backup.redb --data team.redb --force\n  \
                      sealroom restore backup.redb --data team.redb --since events.ndjson"
    )]
    Restore(restore::Args),
    /// Make certificates for hosts that no public authority reaches.
    #[command(after_help = "Examples:\n  sealroom tls make --name vault.example --dir tls")]
    Tls(tls::Args),
    /// List and change the key slots: the secrets that open the vault.
    #[command(
        after_help = "If a server has the file open, the command speaks to that server's local socket.\n\nExamples:\n  \
                      sealroom slot list --data team.redb\n  sealroom slot change --data team.redb"
    )]
    Slot(slot::Args),
    /// Try the targets of notices: a webhook, and a command.
    #[command(after_help = "Examples:\n  sealroom notify test --config /etc/sealroom.toml")]
    Notify(notify::Args),
    /// Reset the lost password of an owner, with the passphrase or the recovery key.
    #[command(after_help = "Examples:\n  sealroom recover owner --data team.redb")]
    Recover(recover::Args),
    /// Rewrite the vault file without free pages and deleted data; recorded as vault.compact.
    #[command(
        after_help = "The server must be stopped: a fresh file takes the place of the old one. Killed at any moment, \
                      the command leaves one of the two, whole.\n\nExamples:\n  sealroom compact --data team.redb"
    )]
    Compact(replace::CompactArgs),
    /// Replace the vault key and seal every row again; recorded as vault.rekey.
    #[command(
        after_help = "The server must be stopped. The slot of the secret in hand stays, every other one goes, and a new \
                      recovery key is made and shown once. Do it after a copy of the file and its passphrase may have \
                      leaked: older copies keep the old key.\n\nExamples:\n  sealroom rekey --data team.redb"
    )]
    Rekey(replace::RekeyArgs),
}

/// Runs a command.
pub(super) fn run(command: Command, output: &Output) -> Result<(), CliError> {
    match command {
        Command::Init(args) => init::run(args, output),
        Command::Serve(args) => serve::run(*args, output),
        Command::Unlock(args) => lock::unlock(args, output),
        Command::Lock(args) => lock::lock(args, output),
        Command::Rescue(args) => rescue::run(&args, output),
        Command::Doctor(args) => doctor::run(&args, output),
        Command::SelfCheck(args) => self_check::run(&args, output),
        Command::Restore(args) => restore::run(&args, output),
        Command::Tls(args) => tls::run(&args, output),
        Command::Slot(args) => slot::run(args, output),
        Command::Notify(args) => notify::run(&args, output),
        Command::Recover(args) => recover::run(args, output),
        Command::Compact(args) => replace::compact(args, output),
        Command::Rekey(args) => replace::rekey(args, output),
    }
}
