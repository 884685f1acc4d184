//! Audited reads against a bare hyper server, and one read against one bare commit, in one run on one machine.
//!
//! `cargo bench --bench reads` takes about half a minute; `SEALROOM_BENCH_QUICK=1` a few seconds. Rounds alternate, so
//! that a machine whose speed drifts does not favour one side; medians are printed, and ratios are what counts.
#![allow(clippy::unwrap_used, clippy::pedantic, clippy::print_stdout, missing_docs, reason = "a benchmark")]

use std::{
    convert::Infallible,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use redb::{Database, Durability, TableDefinition};
use sealroom::{
    api::{self, requests::CreateIntegration, requests::CreateToken},
    auth::token,
    clock::Clock,
    crypto::kdf::KdfParams,
    domain::{Actor, Caller, Narrowing, Role, Secret},
    http::{Limits, Listener, Server},
    storage::file::{FileLock, NewFile},
    vault::{Context, CredentialQuery, InitPlan, SessionLife, Settings, Vault},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    sync::oneshot,
};

const CONNECTIONS: usize = 256;
const ROW: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("row");

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

/// Runs a server on a thread of its own, as its one worker; gives its address and, where it has one, a token.
fn on_thread<F>(
    start: impl FnOnce(oneshot::Sender<(String, String)>) -> F + Send + 'static,
) -> (String, String)
where
    F: Future<Output = ()>,
{
    let (ready, address) = oneshot::channel();
    thread::spawn(move || {
        serving().block_on(start(ready));
    });
    address.blocking_recv().unwrap()
}

/// One thread that serves, and one that stands by as in `sealroom serve`.
fn serving() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn bare(body: Bytes, ready: oneshot::Sender<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    ready.send((listener.local_addr().unwrap().to_string(), String::new())).unwrap();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        let body = body.clone();
        tokio::spawn(async move {
            let service = service_fn(move |_| {
                let body = body.clone();
                async move { Ok::<_, Infallible>(Response::new(Full::new(body))) }
            });
            drop(http1::Builder::new().serve_connection(TokioIo::new(socket), service).await);
        });
    }
}

async fn sealed(
    folder: std::path::PathBuf,
    vaults: std::sync::mpsc::Sender<(Arc<Vault>, Caller)>,
    ready: oneshot::Sender<(String, String)>,
) {
    let data = folder.join("bench.redb");
    let lock = FileLock::take(&data).unwrap();
    let clock = Clock::system();
    let settings = Settings {
        members_may_create: true,
        queue_max: 4096,
        stand_by: true,
        cache_bytes: 4 << 20,
        sessions: SessionLife::STANDARD,
        password_kdf: KdfParams::LIGHT,
        monotonic: sealroom::clock::monotonic,
        commit_stall: Settings::COMMIT_STALL,
        host: Actor::host("bench"),
        disk_low_bytes: 0,
    };
    let plan = InitPlan {
        owner: "owner@example.com".parse().unwrap(),
        password: secret("password-example"),
        passphrase: secret("passphrase-example"),
        kdf: KdfParams::LIGHT,
        password_kdf: KdfParams::LIGHT,
        actor: Actor::host("bench"),
        now: clock.now(),
    };
    let new = NewFile::begin(&data, &lock).unwrap();
    Vault::create(new.medium(), 1 << 20, &plan).unwrap();
    drop(new.publish().unwrap());
    let vault = Arc::new(Vault::open(sealroom::storage::file::open(&data).unwrap(), settings).unwrap());
    vault.unlock(secret("passphrase-example"), Actor::host("bench"), clock.now(), None).await.unwrap();
    let context = Context { now: clock.now(), request: None, peer: None };
    let login =
        vault.login(&context, "owner@example.com", secret("password-example")).await.map_err(drop).unwrap();
    let bearer = token::parse_bearer(std::str::from_utf8(login.access.expose()).unwrap()).unwrap();
    let caller = vault.authenticate(bearer, &context).unwrap();
    let body =
        br#"{"provider":"github","authType":"pat","credentials":{"token":"ghp_example"},"isGlobal":true}"#;
    let request: CreateIntegration = api::parse(body).map_err(drop).unwrap();
    vault.create_integration(&context, &caller, request).await.map_err(drop).unwrap();
    let request = CreateToken {
        name: "bench".parse().unwrap(),
        expires_in_days: 30,
        role: Role::Application,
        narrowing: Narrowing::default(),
    };
    let (_, text) = vault.create_token(&context, &caller, request).await.map_err(drop).unwrap();
    let text = String::from_utf8(text.expose().to_vec()).unwrap();
    let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.url().unwrap().trim_start_matches("http://").to_owned();
    let reader = token::parse_bearer(&text).unwrap();
    let reader = vault.authenticate(reader, &context).unwrap();
    vaults.send((Arc::clone(&vault), reader)).unwrap();
    ready.send((address, text)).unwrap();
    Server::new(vault, clock, Limits::STANDARD, false).run(listener, std::future::pending()).await;
}

/// One request and its answer; gives the answer's bytes.
async fn exchange(socket: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) -> usize {
    socket.write_all(request).await.unwrap();
    buffer.clear();
    loop {
        assert!(socket.read_buf(buffer).await.unwrap() > 0, "the server closed");
        let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&buffer[..end]).unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let total = end + 4 + length.unwrap_or(0_usize);
        if buffer.len() >= total {
            return total;
        }
    }
}

fn request(token: &str) -> String {
    format!(
        "GET /sfp/api/integrations/credentials?provider=github HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    )
}

/// Requests per second over so many keep-alive connections.
async fn throughput(address: &str, token: &str, time: Duration) -> f64 {
    let request: Arc<[u8]> = request(token).into_bytes().into();
    let end = Instant::now() + time;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (address, request) = (address.to_owned(), Arc::clone(&request));
        clients.spawn(async move {
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.set_nodelay(true).unwrap();
            let (mut buffer, mut count) = (Vec::with_capacity(4096), 0_u64);
            while Instant::now() < end {
                exchange(&mut socket, &request, &mut buffer).await;
                count += 1;
            }
            count
        });
    }
    let mut total = 0;
    while let Some(count) = clients.join_next().await {
        total += count.unwrap();
    }
    total as f64 / time.as_secs_f64()
}

async fn latency(address: &str, token: &str, rounds: usize) -> Duration {
    let request = request(token);
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let mut buffer = Vec::with_capacity(4096);
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let start = Instant::now();
        exchange(&mut socket, request.as_bytes(), &mut buffer).await;
        times.push(start.elapsed());
    }
    median(times)
}

/// The same read without HTTP: all but the sockets.
async fn inside(vault: &Vault, reader: &Caller, rounds: usize) -> Duration {
    let context = Context { now: Clock::system().now(), request: None, peer: None };
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let start = Instant::now();
        let read = vault.read_credentials(&context, reader, CredentialQuery::default()).await;
        drop(read.map_err(drop).unwrap());
        times.push(start.elapsed());
    }
    median(times)
}

/// One small row, durable, in two phases: what the engine costs by itself.
fn bare_commit(database: &Database, rounds: usize) -> Duration {
    let times = (0..rounds).map(|n| {
        let start = Instant::now();
        let mut txn = database.begin_write().unwrap();
        txn.set_durability(Durability::Immediate).unwrap();
        txn.set_two_phase_commit(true);
        txn.open_table(ROW).unwrap().insert(n as u64, &[7_u8; 350][..]).unwrap();
        txn.commit().unwrap();
        start.elapsed()
    });
    median(times.collect())
}

fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap());
    values[values.len() / 2]
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

fn main() {
    let quick = std::env::var_os("SEALROOM_BENCH_QUICK").is_some();
    let (rounds, time, singles) =
        if quick { (1, Duration::from_millis(500), 200) } else { (5, Duration::from_secs(2), 2_000) };
    // On the same file system as everything else that is built here, since /tmp may be memory.
    let folder = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let path = folder.path().to_owned();
    let (vaults, vault) = std::sync::mpsc::channel();
    let (sealed, token) = on_thread(move |ready| self::sealed(path, vaults, ready));
    let (_vault, _) = vault.recv().unwrap();
    let second = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let (vaults, vault) = std::sync::mpsc::channel();
    let path = second.path().to_owned();
    let (quiet, quiet_token) = on_thread(move |ready| self::sealed(path, vaults, ready));
    let (vault, reader) = vault.recv().unwrap();
    let inner = serving();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut buffer = Vec::new();
    let size = runtime.block_on(async {
        let mut socket = TcpStream::connect(&sealed).await.unwrap();
        exchange(&mut socket, request(&token).as_bytes(), &mut buffer).await
    });
    let (bare, _) =
        on_thread(move |ready| self::bare(Bytes::from(vec![b'x'; size.saturating_sub(120)]), ready));
    let mut database = Database::builder();
    let database = database.set_cache_size(4 << 20).create(folder.path().join("bare.redb")).unwrap();
    let (mut ours, mut theirs, mut ratios) = (vec![], vec![], vec![]);
    let (mut read, mut without, mut plain, mut commit) = (vec![], vec![], vec![], vec![]);
    for _ in 0..rounds {
        let (a, b) = runtime.block_on(async {
            (throughput(&sealed, &token, time).await, throughput(&bare, &token, time).await)
        });
        ours.push(a);
        theirs.push(b);
        ratios.push(a / b);
        read.push(runtime.block_on(latency(&quiet, &quiet_token, singles)).as_secs_f64() * 1e6);
        commit.push(bare_commit(&database, singles).as_secs_f64() * 1e6);
        plain.push(runtime.block_on(latency(&bare, &token, singles)).as_secs_f64() * 1e6);
        let (vault, reader) = (Arc::clone(&vault), reader.clone());
        let task = inner.spawn(async move { inside(&vault, &reader, singles).await });
        without.push(inner.block_on(task).unwrap().as_secs_f64() * 1e6);
    }
    let latencies: Vec<f64> = read.iter().zip(&commit).map(|(a, b)| a / b).collect();
    println!("audited reads, {CONNECTIONS} connections   {:>9.0} /s", median(ours));
    println!("bare hyper, constant body         {:>9.0} /s", median(theirs));
    println!("ratio                             {:>9.2}     (at least 0.40)", median(ratios));
    println!("one audited read, p50             {:>9.0} µs", median(read));
    println!("the same without HTTP, p50        {:>9.0} µs", median(without));
    println!("bare hyper, one request, p50      {:>9.0} µs", median(plain));
    println!("one bare commit, p50              {:>9.0} µs", median(commit));
    println!("ratio                             {:>9.2}     (at most 1.5)", median(latencies));
    println!("resident, load generator included {:>9.1} MiB   (at most 40)", resident_kib() as f64 / 1024.0);
}
