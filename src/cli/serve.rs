//! `sealroom serve`.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::{
    control, dev,
    error::CliError,
    output::Output,
    secrets::{Asking, PassphraseArgs},
};
use crate::{
    clock::{self, Clock},
    config::{FileConfig, FileLimits, default},
    crypto::kdf::KdfParams,
    domain::{Action, Actor, Detail, DetailKey, Event},
    http::{Limits, Listener, Server},
    storage::file::{self, FileLock},
    vault::{SessionLife, Settings, UnlockError, Vault},
};

/// A clock further behind the newest event than this stops the start.
const CLOCK_SLACK: Duration = Duration::from_mins(5);

/// `serve`'s flags.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Serve a throw-away vault with made-up users and tokens, on loopback alone.
    #[arg(long, conflicts_with_all = ["data", "config", "passphrase_file", "passphrase_stdin"])]
    dev: bool,
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
    accept_clock: bool,
    #[command(flatten)]
    tuning: Tuning,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// The settings that most people leave alone; `config.example.toml` has their defaults.
#[derive(Debug, Default, clap::Args)]
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
struct Plan {
    data: PathBuf,
    address: Address,
    behind_tls_proxy: bool,
    workers: usize,
    limits: Limits,
    settings: Settings,
    log_level: tracing::Level,
}

pub(super) fn run(mut args: Args, output: &Output) -> Result<(), CliError> {
    let plan = plan(&mut args)?;
    start_log(plan.log_level);
    check_listener(&plan.address, plan.behind_tls_proxy, args.dev)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(plan.workers).enable_all().build();
    let runtime = runtime
        .map_err(|error| CliError::failed(format!("no threads: {error}"), "free memory or threads"))?;
    if args.dev {
        runtime.block_on(dev::serve(plan.address, plan.limits, output))
    } else {
        runtime.block_on(serve(plan, &args, output))
    }
}

fn plan(args: &mut Args) -> Result<Plan, CliError> {
    let file = match &args.config {
        Some(path) => FileConfig::read(path).map_err(|error| {
            CliError::usage(format!("{}: {error}", path.display()), "config.example.toml shows every setting")
        })?,
        None => FileConfig::default(),
    };
    let mut tuning = std::mem::take(&mut args.tuning);
    args.passphrase.fall_back(file.passphrase_file);
    let listen = args.listen.take().or(file.listen).unwrap_or_else(|| default::LISTEN.to_owned());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = tuning.worker_threads.or(file.worker_threads).map_or(cores.saturating_sub(1), usize::from);
    let level = tuning.log_level.take().or(file.log_level).unwrap_or_else(|| default::LOG_LEVEL.to_owned());
    let limits = &file.limits;
    Ok(Plan {
        data: args.data.take().or(file.data).unwrap_or_else(|| default::DATA.into()),
        address: address(&listen)?,
        behind_tls_proxy: args.behind_tls_proxy.or(file.behind_tls_proxy).unwrap_or(false),
        workers: workers.max(1),
        limits: client_limits(&tuning, limits)?,
        settings: Settings {
            members_may_create: tuning.members_may_create.or(file.members_may_create).unwrap_or(true),
            queue_max: number("queue_max", tuning.queue_max, limits.queue_max, default::QUEUE_MAX, 1)?,
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

fn client_limits(flags: &Tuning, file: &FileLimits) -> Result<Limits, CliError> {
    use default::{
        BODY_BYTES_MAX, CONNECTIONS_MAX, HEADER_BYTES_MAX, HEADER_TIMEOUT_SECS, REQUEST_TIMEOUT_SECS,
    };
    let body = flags.body_bytes_max.or(file.body_bytes_max);
    let header = flags.header_bytes_max.or(file.header_bytes_max);
    let connections = flags.connections_max.or(file.connections_max);
    Ok(Limits {
        body_bytes_max: number("body_bytes_max", body, None, BODY_BYTES_MAX, 1024)?,
        header_bytes_max: number("header_bytes_max", header, None, HEADER_BYTES_MAX, 8192)?,
        header_timeout: secs(flags.header_timeout_secs.or(file.header_timeout_secs), HEADER_TIMEOUT_SECS),
        request_timeout: secs(flags.request_timeout_secs.or(file.request_timeout_secs), REQUEST_TIMEOUT_SECS),
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

async fn serve(plan: Plan, args: &Args, output: &Output) -> Result<(), CliError> {
    let data = plan.data;
    let _lock = FileLock::take(&data)?;
    let vault =
        Vault::open(file::open(&data)?, plan.settings).map_err(|error| CliError::open(&data, &error))?;
    let clock = Clock::system();
    let start = start_event(&vault, &clock, args.accept_clock)?;
    let vault = Arc::new(vault);
    if args.passphrase.has_source() {
        let passphrase = args.passphrase.read(Asking::Once, output)?;
        let unlocked = vault.unlock(passphrase, host_actor(), clock.now(), Some(start)).await;
        unlocked.map_err(|error: UnlockError| CliError::unlock(&error))?;
    } else {
        output.warning(&format!("locked: run `sealroom unlock --data {}`", data.display()));
    }
    let control = control::listen(&data, Arc::clone(&vault), clock.clone())?;
    let listener = listen(&plan.address).await?;
    let url = url(&listener)?;
    let server = Server::new(Arc::clone(&vault), clock.clone(), plan.limits, plan.behind_tls_proxy);
    let stop = stop_signal()?;
    output.result(&format!("listening on {url}"), &json!({ "url": url }));
    server.run(listener, stop).await;
    drop(control);
    shut(&vault, &clock).await;
    Ok(())
}

fn start_event(vault: &Vault, clock: &Clock, accept_clock: bool) -> Result<Event, CliError> {
    let newest =
        vault.newest_time().map_err(|error| CliError::failed(error.to_string(), "restore a backup"))?;
    let now = clock.now();
    let late = newest.filter(|newest| newest.since(now) > CLOCK_SLACK);
    if let Some(newest) = late
        && !accept_clock
    {
        return Err(CliError::failed(
            format!("the clock says {now}, but the newest event is of {newest}"),
            "set the clock right, or say that it is right with --accept-clock",
        ));
    }
    let detail = Detail::NONE.text(DetailKey::Version, env!("CARGO_PKG_VERSION"));
    let detail = if late.is_some() { detail.truth(DetailKey::ClockAccepted, true) } else { detail };
    Ok(Event { detail, ..Event::new(now, host_actor(), Action::ServerStart) })
}

/// Records the end and locks; the file is then as a clean stop leaves it.
pub(super) async fn shut(vault: &Vault, clock: &Clock) {
    if !vault.is_locked()
        && let Err(error) = vault.lock(Event::new(clock.now(), host_actor(), Action::ServerStop)).await
    {
        tracing::error!(%error, "the end of the server could not be recorded");
    }
}

/// Who runs this process.
pub(super) fn host_actor() -> Actor {
    let name = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    Actor::host(&name.unwrap_or_else(|_| rustix::process::getuid().as_raw().to_string()))
}

pub(super) fn stop_signal() -> Result<impl Future<Output = ()>, CliError> {
    let failed = |error| CliError::failed(format!("no signals: {error}"), "try again");
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

pub(super) async fn listen(address: &Address) -> Result<Listener, CliError> {
    let (listener, shown) = match address {
        Address::Tcp(address) => (Listener::tcp(*address).await, address.to_string()),
        Address::Unix(path) => (Listener::unix(path), format!("unix:{}", path.display())),
    };
    listener.map_err(|error| {
        CliError::failed(
            format!("cannot listen on {shown}: {error}"),
            "stop what listens there, or choose another --listen",
        )
    })
}

pub(super) fn url(listener: &Listener) -> Result<String, CliError> {
    listener
        .url()
        .map_err(|error| CliError::failed(format!("the socket has no address: {error}"), "try again"))
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
fn check_listener(address: &Address, behind_tls_proxy: bool, dev: bool) -> Result<(), CliError> {
    let Address::Tcp(tcp) = address else { return Ok(()) };
    if tcp.ip().is_loopback() {
        return Ok(());
    }
    if dev {
        return Err(CliError::usage(
            "serve --dev listens on loopback alone",
            "leave --listen away, or use 127.0.0.1:PORT",
        ));
    }
    if behind_tls_proxy {
        return Ok(());
    }
    Err(CliError::usage(
        format!("{tcp} is no loopback address, and there is no TLS"),
        "listen on 127.0.0.1, or put a TLS proxy in front and say so with --behind-tls-proxy",
    ))
}

fn start_log(level: tracing::Level) {
    use std::io::IsTerminal;
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false);
    let log = log.with_max_level(level);
    if std::io::stderr().is_terminal() { log.init() } else { log.json().init() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_a_socket_or_a_proxy_may_be_plain() {
        let tcp = |text: &str| address(text).unwrap();
        assert!(check_listener(&tcp("127.0.0.1:0"), false, true).is_ok());
        assert!(check_listener(&tcp("[::1]:0"), false, false).is_ok());
        assert!(check_listener(&tcp("unix:/tmp/x"), false, true).is_ok());
        assert!(check_listener(&tcp("0.0.0.0:0"), false, false).is_err());
        assert!(check_listener(&tcp("0.0.0.0:0"), true, false).is_ok());
        assert!(check_listener(&tcp("0.0.0.0:0"), true, true).is_err());
        for text in ["", "unix:", "127.0.0.1", "127.0.0.1:99999"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
