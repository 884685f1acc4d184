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
    clock::Clock,
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
#[allow(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
pub(super) struct Args {
    /// Serve a throw-away vault with made-up users and tokens, on loopback alone.
    #[arg(long, conflicts_with_all = ["data", "passphrase_file", "passphrase_stdin"])]
    dev: bool,
    /// The vault file.
    #[arg(long, env = "SEALROOM_DATA", default_value = "sealroom.redb", value_name = "FILE")]
    data: PathBuf,
    /// Where to listen: host:port (port 0 picks one) or unix:PATH.
    #[arg(long, env = "SEALROOM_LISTEN", default_value = "127.0.0.1:3029", value_name = "ADDRESS")]
    listen: String,
    /// A proxy in front ends TLS; the peer is the last hop of X-Forwarded-For.
    #[arg(long, env = "SEALROOM_BEHIND_TLS_PROXY")]
    behind_tls_proxy: bool,
    /// The clock is right, though it is behind the newest event.
    #[arg(long)]
    accept_clock: bool,
    /// Only owners may store integrations.
    #[arg(long, env = "SEALROOM_OWNERS_ONLY_CREATE")]
    owners_only_create: bool,
    /// Threads for connections; by default the cores less one.
    #[arg(long, env = "SEALROOM_WORKER_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    worker_threads: Option<u16>,
    /// The engine's page cache, in bytes.
    #[arg(long, env = "SEALROOM_CACHE_BYTES", default_value_t = 4 << 20, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1 << 20..=1 << 30))]
    cache_bytes: u32,
    /// How many requests may wait for the writer.
    #[arg(long, env = "SEALROOM_QUEUE_MAX", default_value_t = 4096, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    queue_max: u32,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Where a server listens, as it was asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

pub(super) fn run(args: Args, output: &Output) -> Result<(), CliError> {
    start_log();
    let address = address(&args.listen)?;
    check_listener(&address, args.behind_tls_proxy, args.dev)?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = args.worker_threads.map_or(cores.saturating_sub(1).max(1), usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    let runtime = runtime
        .map_err(|error| CliError::failed(format!("no threads: {error}"), "free memory or threads"))?;
    if args.dev {
        runtime.block_on(dev::serve(address, output))
    } else {
        runtime.block_on(serve(args, address, output))
    }
}

async fn serve(args: Args, address: Address, output: &Output) -> Result<(), CliError> {
    let _lock = FileLock::take(&args.data)?;
    let vault = Vault::open(file::open(&args.data)?, settings(&args))
        .map_err(|error| CliError::open(&args.data, &error))?;
    let clock = Clock::system();
    let start = start_event(&vault, &clock, args.accept_clock)?;
    let vault = Arc::new(vault);
    if args.passphrase.has_source() {
        let passphrase = args.passphrase.read(Asking::Once, output)?;
        let unlocked = vault.unlock(passphrase, host_actor(), clock.now(), Some(start)).await;
        unlocked.map_err(|error: UnlockError| CliError::unlock(&error))?;
    } else {
        output.warning(&format!("locked: run `sealroom unlock --data {}`", args.data.display()));
    }
    let control = control::listen(&args.data, Arc::clone(&vault), clock.clone())?;
    let listener = listen(&address).await?;
    let url = url(&listener)?;
    let server = Server::new(Arc::clone(&vault), clock.clone(), Limits::STANDARD, args.behind_tls_proxy);
    let stop = stop_signal()?;
    output.result(&format!("listening on {url}"), &json!({ "url": url }));
    server.run(listener, stop).await;
    drop(control);
    shut(&vault, &clock).await;
    Ok(())
}

fn settings(args: &Args) -> Settings {
    Settings {
        members_may_create: !args.owners_only_create,
        queue_max: usize::try_from(args.queue_max).unwrap_or(4096),
        cache_bytes: usize::try_from(args.cache_bytes).unwrap_or(4 << 20),
        sessions: SessionLife::STANDARD,
        password_kdf: KdfParams::PASSWORD,
    }
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

fn start_log() {
    use std::io::IsTerminal;
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false);
    let log = log.with_max_level(tracing::Level::INFO);
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
