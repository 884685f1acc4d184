//! The flags of `serve`, and the variables that stand for them.

use std::path::PathBuf;

use crate::cli::{host::passphrase::PassphraseArgs, source::Given};

/// `serve`'s flags.
#[derive(Debug, Clone, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    pub(super) given: Given,
    /// Serve a temporary vault with generated users and tokens, on loopback only.
    #[arg(long, conflicts_with_all = ["data", "config", "passphrase_file", "passphrase_stdin", "tls_cert", "tls_key"])]
    pub(in crate::cli::host) dev: bool,
    /// With --dev: serve over TLS, with a certificate of a temporary authority.
    #[arg(long, requires = "dev")]
    pub(in crate::cli::host) tls: bool,
    /// Configuration file; flags and environment variables override it.
    #[arg(long, env = "SEALROOM_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The vault file [default: sealroom.redb].
    #[arg(long, env = "SEALROOM_DATA", value_name = "FILE")]
    pub(super) data: Option<PathBuf>,
    /// Address to listen on: host:port (port 0 picks one) or unix:PATH [default: 127.0.0.1:3029].
    #[arg(long, env = "SEALROOM_LISTEN", value_name = "ADDRESS")]
    pub(super) listen: Option<String>,
    /// A reverse proxy terminates TLS; the client is the last address in X-Forwarded-For.
    #[arg(long, env = "SEALROOM_BEHIND_TLS_PROXY", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub(super) behind_tls_proxy: Option<bool>,
    /// Networks of that proxy, separated by commas; by default this host.
    #[arg(long, env = "SEALROOM_TRUSTED_PROXIES", value_delimiter = ',', value_name = "NETWORKS")]
    pub(super) trusted_proxies: Option<Vec<String>>,
    /// Names under which clients reach the server, separated by commas.
    #[arg(long, env = "SEALROOM_HOST_NAMES", value_delimiter = ',', value_name = "NAMES")]
    pub(super) host_names: Option<Vec<String>>,
    /// Accept a clock that is over five minutes behind the newest record, or decades ahead.
    #[arg(long)]
    pub(in crate::cli::host) accept_clock: bool,
    /// Serve an older copy of the file than the checkpoint folder knows; the log goes on with a new key.
    #[arg(long)]
    pub(in crate::cli::host) accept_rollback: bool,
    /// The TLS certificate chain, as PEM; needs --tls-key.
    #[arg(long, env = "SEALROOM_TLS_CERT", value_name = "FILE")]
    pub(super) tls_cert: Option<PathBuf>,
    /// The certificate's private key, as PEM (mode 0600).
    #[arg(long, env = "SEALROOM_TLS_KEY", value_name = "FILE")]
    pub(super) tls_key: Option<PathBuf>,
    /// Folder for the newest checkpoint of the audit log: another disk, a share, a git work tree.
    #[arg(long, env = "SEALROOM_CHECKPOINT_FOLDER", value_name = "FOLDER")]
    pub(super) checkpoint_folder: Option<PathBuf>,
    /// Interval between checkpoints, in seconds.
    #[arg(long, env = "SEALROOM_CHECKPOINT_EVERY_SECS", value_name = "SECS")]
    pub(super) checkpoint_every_secs: Option<u32>,
    /// Folder for the server's own backups: another disk or a share.
    #[arg(long, env = "SEALROOM_BACKUP_FOLDER", value_name = "FOLDER")]
    pub(super) backup_folder: Option<PathBuf>,
    /// Interval between backups, in seconds.
    #[arg(long, env = "SEALROOM_BACKUP_EVERY_SECS", value_name = "SECS")]
    pub(super) backup_every_secs: Option<u32>,
    /// Number of backups to keep.
    #[arg(long, env = "SEALROOM_BACKUP_KEEP", value_name = "N")]
    pub(super) backup_keep: Option<u16>,
    /// Folder for the server's own archives of old events.
    #[arg(long, env = "SEALROOM_ARCHIVE_FOLDER", value_name = "FOLDER")]
    pub(super) archive_folder: Option<PathBuf>,
    /// Number of days for which an event stays in the vault.
    #[arg(long, env = "SEALROOM_ARCHIVE_KEEP_DAYS", value_name = "DAYS")]
    pub(super) archive_keep_days: Option<u16>,
    /// Be a witness: cosign the checkpoints of the log with this key, as its `audit key` prints it. Repeatable.
    #[arg(long, env = "SEALROOM_WITNESS_FOR", value_delimiter = ',', value_name = "ORIGIN=KEY")]
    pub(super) witness_for: Option<Vec<String>>,
    #[command(flatten)]
    pub(in crate::cli::host) passphrase: PassphraseArgs,
    #[command(flatten)]
    pub(super) tuning: Tuning,
}

/// The settings that most people leave alone; `config.example.toml` has their defaults.
#[derive(Debug, Default, Clone, clap::Args)]
#[command(next_help_heading = "Tuning")]
pub(super) struct Tuning {
    /// Allow members to store integrations; otherwise only owners may.
    #[arg(long, env = "SEALROOM_MEMBERS_MAY_CREATE", value_name = "BOOL")]
    pub(super) members_may_create: Option<bool>,
    /// Allow members to store integrations that are read in the place of an owner's.
    #[arg(long, env = "SEALROOM_MEMBERS_MAY_SHADOW", value_name = "BOOL")]
    pub(super) members_may_shadow: Option<bool>,
    /// Let an owner without a second factor do nothing but set one.
    #[arg(long, env = "SEALROOM_OWNERS_NEED_OTP", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub(super) owners_need_otp: Option<bool>,
    /// Projects that a new member sees whose creator names none: all or none.
    #[arg(long, env = "SEALROOM_NEW_MEMBERS_SEE", value_name = "WHICH")]
    pub(super) new_members_see: Option<String>,
    /// Threads that serve connections.
    #[arg(long, env = "SEALROOM_WORKER_THREADS", value_name = "N")]
    pub(super) worker_threads: Option<u16>,
    /// The engine's page cache, in bytes.
    #[arg(long, env = "SEALROOM_CACHE_BYTES", value_name = "BYTES")]
    pub(super) cache_bytes: Option<u32>,
    /// Refuse additions and disclosures below this much free disk space, in bytes.
    #[arg(long, env = "SEALROOM_DISK_LOW_BYTES", value_name = "BYTES")]
    pub(super) disk_low_bytes: Option<u64>,
    /// Open a vault on a file system without locks; no other process may open the file.
    #[arg(long, env = "SEALROOM_WITHOUT_FILE_LOCK", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub(super) without_file_lock: Option<bool>,
    /// Take from the process every right that a server does not need; false keeps them.
    #[arg(long, env = "SEALROOM_SANDBOX", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub(super) sandbox: Option<bool>,
    /// Log level: error, warn, info, debug or trace.
    #[arg(long, env = "SEALROOM_LOG_LEVEL", value_name = "LEVEL")]
    pub(super) log_level: Option<String>,
    /// Maximum size of a request body, in bytes.
    #[arg(long, env = "SEALROOM_BODY_BYTES_MAX", value_name = "BYTES")]
    pub(super) body_bytes_max: Option<u32>,
    /// Maximum size of a request's headers, in bytes.
    #[arg(long, env = "SEALROOM_HEADER_BYTES_MAX", value_name = "BYTES")]
    pub(super) header_bytes_max: Option<u32>,
    /// Time limit for a request's headers, in seconds.
    #[arg(long, env = "SEALROOM_HEADER_TIMEOUT_SECS", value_name = "SECS")]
    pub(super) header_timeout_secs: Option<u16>,
    /// Time limit for a whole request, in seconds.
    #[arg(long, env = "SEALROOM_REQUEST_TIMEOUT_SECS", value_name = "SECS")]
    pub(super) request_timeout_secs: Option<u16>,
    /// Time limit for a client that stops reading its response, in seconds.
    #[arg(long, env = "SEALROOM_STALL_TIMEOUT_SECS", value_name = "SECS")]
    pub(super) stall_timeout_secs: Option<u16>,
    /// Maximum number of open connections.
    #[arg(long, env = "SEALROOM_CONNECTIONS_MAX", value_name = "N")]
    pub(super) connections_max: Option<u32>,
    /// Maximum number of requests queued for the writer.
    #[arg(long, env = "SEALROOM_QUEUE_MAX", value_name = "N")]
    pub(super) queue_max: Option<u32>,
    /// Maximum number of password checks that wait for a core.
    #[arg(long, env = "SEALROOM_PASSWORDS_WAITING_MAX", value_name = "N")]
    pub(super) passwords_waiting_max: Option<u32>,
    /// Maximum size of the credentials in one answer, in bytes.
    #[arg(long, env = "SEALROOM_ANSWER_BYTES_MAX", value_name = "BYTES")]
    pub(super) answer_bytes_max: Option<u32>,
    /// Maximum size of the credentials in all answers that are not sent yet, in bytes.
    #[arg(long, env = "SEALROOM_ANSWERS_BYTES_MAX", value_name = "BYTES")]
    pub(super) answers_bytes_max: Option<u32>,
    /// Maximum number of credentials that one caller reads in a minute.
    #[arg(long, env = "SEALROOM_DISCLOSURES_PER_MINUTE_MAX", value_name = "N")]
    pub(super) disclosures_per_minute_max: Option<u32>,
    /// Maximum number of writes of one caller in a minute.
    #[arg(long, env = "SEALROOM_WRITES_PER_MINUTE_MAX", value_name = "N")]
    pub(super) writes_per_minute_max: Option<u32>,
}
