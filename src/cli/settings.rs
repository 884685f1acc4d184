//! The settings of `serve`: flag, then environment, then the config file, then default.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    checkpoints::CheckpointPlan, config, error::CliError, passphrase::PassphraseArgs, serve::host_actor,
};
use crate::{
    clock,
    config::{FileCheckpoint, FileLimits, default},
    crypto::kdf::KdfParams,
    disk::Locking,
    http::Limits,
    vault::{SessionLife, Settings},
};

/// `serve`'s flags.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// Serve a throw-away vault with made-up users and tokens, on loopback alone.
    #[arg(long, conflicts_with_all = ["data", "config", "passphrase_file", "passphrase_stdin", "tls_cert", "tls_key"])]
    pub(super) dev: bool,
    /// Take what no flag and no environment variable says from this file.
    #[arg(long, env = "SEALROOM_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The vault file [default: sealroom.redb].
    #[arg(long, env = "SEALROOM_DATA", value_name = "FILE")]
    data: Option<PathBuf>,
    /// Where to listen: host:port (port 0 picks one) or unix:PATH [default: 127.0.0.1:3029].
    #[arg(long, env = "SEALROOM_LISTEN", value_name = "ADDRESS")]
    listen: Option<String>,
    /// A proxy in front ends TLS; the peer is the last hop of X-Forwarded-For.
    #[arg(long, env = "SEALROOM_BEHIND_TLS_PROXY", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    behind_tls_proxy: Option<bool>,
    /// The clock is right, though it is behind the newest event.
    #[arg(long)]
    pub(super) accept_clock: bool,
    /// The certificate chain to speak TLS with, as PEM; needs --tls-key.
    #[arg(long, env = "SEALROOM_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, as PEM (mode 0600).
    #[arg(long, env = "SEALROOM_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// A folder that gets the newest checkpoint of the audit log: another disk, a share, a git work tree.
    #[arg(long, env = "SEALROOM_CHECKPOINT_FOLDER", value_name = "FOLDER")]
    checkpoint_folder: Option<PathBuf>,
    /// How often the folder gets it, in seconds.
    #[arg(long, env = "SEALROOM_CHECKPOINT_EVERY_SECS", value_name = "SECS")]
    checkpoint_every_secs: Option<u32>,
    #[command(flatten)]
    pub(super) passphrase: PassphraseArgs,
    #[command(flatten)]
    tuning: Tuning,
}

/// The settings that most people leave alone; `config.example.toml` has their defaults.
#[derive(Debug, Default, Clone, clap::Args)]
#[command(next_help_heading = "Tuning")]
struct Tuning {
    /// Whether members may store integrations, or only owners.
    #[arg(long, env = "SEALROOM_MEMBERS_MAY_CREATE", value_name = "BOOL")]
    members_may_create: Option<bool>,
    /// Threads for connections.
    #[arg(long, env = "SEALROOM_WORKER_THREADS", value_name = "N")]
    worker_threads: Option<u16>,
    /// The engine's page cache, in bytes.
    #[arg(long, env = "SEALROOM_CACHE_BYTES", value_name = "BYTES")]
    cache_bytes: Option<u32>,
    /// With less free space than this, in bytes, nothing is added or disclosed.
    #[arg(long, env = "SEALROOM_DISK_LOW_BYTES", value_name = "BYTES")]
    disk_low_bytes: Option<u32>,
    /// Open a vault on a file system that has no locks; no other process may open the file.
    #[arg(long, env = "SEALROOM_WITHOUT_FILE_LOCK", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    without_file_lock: Option<bool>,
    /// How much is logged: error, warn, info, debug or trace.
    #[arg(long, env = "SEALROOM_LOG_LEVEL", value_name = "LEVEL")]
    log_level: Option<String>,
    /// The longest request body, in bytes.
    #[arg(long, env = "SEALROOM_BODY_BYTES_MAX", value_name = "BYTES")]
    body_bytes_max: Option<u32>,
    /// The longest header block, in bytes.
    #[arg(long, env = "SEALROOM_HEADER_BYTES_MAX", value_name = "BYTES")]
    header_bytes_max: Option<u32>,
    /// The time for the headers, in seconds.
    #[arg(long, env = "SEALROOM_HEADER_TIMEOUT_SECS", value_name = "SECS")]
    header_timeout_secs: Option<u16>,
    /// The time for the whole request, in seconds.
    #[arg(long, env = "SEALROOM_REQUEST_TIMEOUT_SECS", value_name = "SECS")]
    request_timeout_secs: Option<u16>,
    /// For how long a response may stall, in seconds.
    #[arg(long, env = "SEALROOM_STALL_TIMEOUT_SECS", value_name = "SECS")]
    stall_timeout_secs: Option<u16>,
    /// The most connections at a time.
    #[arg(long, env = "SEALROOM_CONNECTIONS_MAX", value_name = "N")]
    connections_max: Option<u32>,
    /// How many requests may wait for the writer.
    #[arg(long, env = "SEALROOM_QUEUE_MAX", value_name = "N")]
    queue_max: Option<u32>,
}

/// Where a server listens, as it was asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// The settings once flag, environment, file and default have had their say.
pub(super) struct Plan {
    pub(super) data: PathBuf,
    pub(super) address: Address,
    pub(super) behind_tls_proxy: bool,
    pub(super) tls: Option<TlsFiles>,
    pub(super) passphrase: PassphraseArgs,
    pub(super) checkpoints: Option<CheckpointPlan>,
    pub(super) workers: usize,
    pub(super) limits: Limits,
    pub(super) locking: Locking,
    pub(super) settings: Settings,
    pub(super) log_level: tracing::Level,
}

/// Where certificate and key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TlsFiles {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
}

/// Reads the settings; nothing of the arguments is used up, so that a SIGHUP can read them again.
///
/// # Errors
/// The config file does not read, or a value is out of bounds.
pub(super) fn plan(args: &Args) -> Result<Plan, CliError> {
    let file = config::read(args.config.as_deref())?;
    let tuning = args.tuning.clone();
    let mut passphrase = args.passphrase.clone();
    passphrase.fall_back(file.passphrase_file);
    let listen = args.listen.clone().or(file.listen).unwrap_or_else(|| default::LISTEN.to_owned());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = tuning.worker_threads.or(file.worker_threads).map_or(cores.saturating_sub(1), usize::from);
    let level = tuning.log_level.clone().or(file.log_level).unwrap_or_else(|| default::LOG_LEVEL.to_owned());
    let limits = &file.limits;
    Ok(Plan {
        tls: tls_files(args.tls_cert.clone().or(file.tls_cert), args.tls_key.clone().or(file.tls_key))?,
        passphrase,
        checkpoints: checkpoint_plan(args, &file.checkpoint)?,
        data: args.data.clone().or(file.data).unwrap_or_else(|| default::DATA.into()),
        address: address(&listen)?,
        behind_tls_proxy: args.behind_tls_proxy.or(file.behind_tls_proxy).unwrap_or(false),
        workers: workers.max(1),
        limits: client_limits(&tuning, limits)?,
        locking: match tuning.without_file_lock.or(file.without_file_lock) {
            Some(true) => Locking::Waived,
            Some(false) | None => Locking::Required,
        },
        settings: Settings {
            members_may_create: tuning.members_may_create.or(file.members_may_create).unwrap_or(true),
            queue_max: number("queue_max", tuning.queue_max, limits.queue_max, default::QUEUE_MAX, 1)?,
            stand_by: true,
            cache_bytes: number(
                "cache_bytes",
                tuning.cache_bytes,
                file.cache_bytes,
                default::CACHE_BYTES,
                1 << 20,
            )?,
            sessions: SessionLife::STANDARD,
            password_kdf: KdfParams::PASSWORD,
            monotonic: clock::monotonic,
            commit_stall: Settings::COMMIT_STALL,
            idle_every: Settings::IDLE_EVERY,
            host: host_actor(),
            disk_low_bytes: u64::from(
                tuning.disk_low_bytes.or(file.disk_low_bytes).unwrap_or(default::DISK_LOW_BYTES),
            ),
        },
        log_level: level.parse().map_err(|_| {
            CliError::usage("log_level names no level", "use error, warn, info, debug or trace")
        })?,
    })
}

fn checkpoint_plan(args: &Args, file: &FileCheckpoint) -> Result<Option<CheckpointPlan>, CliError> {
    let Some(folder) = args.checkpoint_folder.clone().or_else(|| file.folder.clone()) else {
        return Ok(None);
    };
    let every = args.checkpoint_every_secs;
    let every =
        number("checkpoint.every_secs", every, file.every_secs, default::CHECKPOINT_EVERY_SECS, 1)? as u64;
    Ok(Some(CheckpointPlan { folder, every: Duration::from_secs(every) }))
}

fn tls_files(cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<TlsFiles>, CliError> {
    match (cert, key) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key })),
        (None, Some(_)) => Err(CliError::usage("--tls-key without --tls-cert", "give both, or neither")),
        (Some(_), None) => Err(CliError::usage("--tls-cert without --tls-key", "give both, or neither")),
    }
}

fn client_limits(flags: &Tuning, file: &FileLimits) -> Result<Limits, CliError> {
    use default::{
        BODY_BYTES_MAX, CONNECTIONS_MAX, HEADER_BYTES_MAX, HEADER_TIMEOUT_SECS, REQUEST_TIMEOUT_SECS,
        STALL_TIMEOUT_SECS,
    };
    let body = flags.body_bytes_max.or(file.body_bytes_max);
    let header = flags.header_bytes_max.or(file.header_bytes_max);
    let connections = flags.connections_max.or(file.connections_max);
    Ok(Limits {
        body_bytes_max: number("body_bytes_max", body, None, BODY_BYTES_MAX, 1024)?,
        header_bytes_max: number("header_bytes_max", header, None, HEADER_BYTES_MAX, 8192)?,
        header_timeout: secs(flags.header_timeout_secs.or(file.header_timeout_secs), HEADER_TIMEOUT_SECS),
        request_timeout: secs(flags.request_timeout_secs.or(file.request_timeout_secs), REQUEST_TIMEOUT_SECS),
        stall_timeout: secs(flags.stall_timeout_secs.or(file.stall_timeout_secs), STALL_TIMEOUT_SECS),
        connections_max: number("connections_max", connections, None, CONNECTIONS_MAX, 1)?,
    })
}

fn number(
    name: &str,
    flag: Option<u32>,
    file: Option<u32>,
    default: u32,
    least: u32,
) -> Result<usize, CliError> {
    let number = flag.or(file).unwrap_or(default);
    let wrong =
        || CliError::usage(format!("{name} must be at least {least}"), "leave it away for the default");
    usize::try_from(number).ok().filter(|_| number >= least).ok_or_else(wrong)
}

fn secs(set: Option<u16>, default: u16) -> Duration {
    Duration::from_secs(u64::from(set.unwrap_or(default).max(1)))
}

fn address(text: &str) -> Result<Address, CliError> {
    if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
        return Ok(Address::Unix(Path::new(path).to_owned()));
    }
    let resolved = text.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    let hint = "use host:port like 127.0.0.1:3029, or unix:PATH";
    resolved.map(Address::Tcp).ok_or_else(|| CliError::usage("--listen names no address of this host", hint))
}

/// Credentials must not cross a network in the clear.
pub(super) fn check_listener(plan: &Plan, dev: bool) -> Result<(), CliError> {
    let Address::Tcp(tcp) = &plan.address else {
        return match plan.tls {
            Some(_) => Err(CliError::usage("TLS on a socket file", "leave --tls-cert and --tls-key away")),
            None => Ok(()),
        };
    };
    if tcp.ip().is_loopback() || plan.tls.is_some() {
        return Ok(());
    }
    if dev {
        return Err(CliError::usage(
            "serve --dev listens on loopback alone",
            "leave --listen away, or use 127.0.0.1:PORT",
        ));
    }
    if plan.behind_tls_proxy {
        return Ok(());
    }
    Err(CliError::usage(
        format!("{tcp} is no loopback address, and there is no TLS"),
        "pass --tls-cert and --tls-key, or listen on 127.0.0.1, or put a TLS proxy in front and say --behind-tls-proxy",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(args: &[&str]) -> Result<(), CliError> {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            args: Args,
        }
        let args = <Command as clap::Parser>::parse_from(std::iter::once(&"serve").chain(args)).args;
        plan(&args).and_then(|plan| check_listener(&plan, args.dev))
    }

    #[test]
    fn only_loopback_a_socket_tls_or_a_proxy_may_be_listened_on() {
        let tls = ["--tls-cert", "c", "--tls-key", "k"];
        assert!(check(&["--dev", "--listen", "127.0.0.1:0"]).is_ok());
        assert!(check(&["--listen", "[::1]:0"]).is_ok());
        assert!(check(&["--listen", "unix:/tmp/x"]).is_ok());
        assert!(check(&["--listen", "0.0.0.0:0"]).is_err());
        assert!(check(&["--listen", "0.0.0.0:0", "--behind-tls-proxy"]).is_ok());
        assert!(check(&["--listen", "0.0.0.0:0", "--behind-tls-proxy", "--dev"]).is_err());
        assert!(check(&[&["--listen", "0.0.0.0:0"][..], &tls].concat()).is_ok());
        assert!(check(&[&["--listen", "unix:/tmp/x"][..], &tls].concat()).is_err());
        assert!(check(&tls[..2]).is_err() && check(&tls[2..]).is_err());
        for text in ["", "unix:", "127.0.0.1", "127.0.0.1:99999"] {
            assert!(check(&["--listen", text]).is_err(), "{text}");
        }
    }
}
